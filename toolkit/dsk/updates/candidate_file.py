"""The file of a candidate: its stack's text with other pins, every comment kept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from dsk.errors import MatrixInvalid
from dsk.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.matrix.stack import Stack
    from dsk.updates.proposal import Proposal

_HEAD: Final = re.compile(r"\[\[?([A-Za-z0-9_.-]+)\]\]?\s*(#.*)?$")
_NOT_RUN: Final = "none yet: this is a candidate"


def folder_of(stack: Stack) -> Path:
    """Return the folder of a matrix's candidates."""
    return stack.folder / "candidates"


def write(proposal: Proposal) -> Path:
    """Write a candidate beside the live stacks, and remove its stack's earlier ones.

    Raises:
        MatrixInvalid: the stack's file does not have a line for each pin.
        UsageProblem: the folder cannot be written to.
    """
    stack = proposal.stack
    live = stack.folder / "stacks" / f"{stack.id}.toml"
    file = folder_of(stack) / f"{proposal.id}.toml"
    write_atomically(file, text(proposal, live.read_text("utf-8"), live))
    # Its own lock too, which is of other pins.
    for other in file.parent.glob(f"{stack.base}@*"):
        if other != file:
            other.unlink()
    return file


def text(proposal: Proposal, live: str, file: Path) -> str:
    """Return a candidate's text.

    Args:
        proposal: the change.
        live: the text of its stack's file.
        file: that file, for the error.

    Raises:
        MatrixInvalid: it does not have a line for each pin.
    """
    tables = _tables(live)
    kept = [line for name, lines in tables for line in _changed(name, lines, proposal)]
    own = {_key(line) for name, lines in tables if name == "pins" for line in lines}
    absent = proposal.pins.keys() - own
    if absent:
        what = f"{file}, key 'pins': found no line of its own for {', '.join(sorted(absent))}"
        raise MatrixInvalid(what, do='expected a line such as vllm = "0.24.0" in [pins]')
    return "".join(kept)


def _tables(live: str) -> list[tuple[str, list[str]]]:
    """Return each table's name and lines, the comment right above its head included."""
    tables: list[tuple[str, list[str]]] = [("", [])]
    for line in live.splitlines(keepends=True):
        if head := _HEAD.match(line):
            before = tables[-1][1]
            above: list[str] = []
            while before and before[-1].startswith("#"):
                above.insert(0, before.pop())
            tables.append((head[1], above))
        tables[-1][1].append(line)
    return tables


def _changed(table: str, lines: list[str], proposal: Proposal) -> list[str]:
    """Return a table's lines as the candidate has them; none where it needs the table no longer."""
    if table == "pins":
        return [_with_pin(line, proposal.pins) for line in lines]
    if table == "resolve_package_before":
        later = [line for line in lines if not _is_passed(line, proposal)]
        return later if any("=" in line for line in later) else []
    if table == "overrides":
        return _with_demand(lines, proposal)
    if not table:
        day = f"resolve_before = {proposal.resolve_before}\n"
        return [day if _key(line) == "resolve_before" else line for line in lines]
    return lines


def _with_pin(line: str, pins: dict[str, str]) -> str:
    key = _key(line)
    return re.sub(r'=(\s*)"[^"]*"', rf'=\g<1>"{pins[key]}"', line, count=1) if key in pins else line


def _key(line: str) -> str:
    name, equals, _ = line.partition("=")
    return name.strip().strip('"') if equals and not line.startswith("#") else ""


def _is_passed(line: str, proposal: Proposal) -> bool:
    """Return True for a package's own day that is no longer after the day of all."""
    day = proposal.stack.resolve_package_before.get(_key(line))
    return day is not None and day <= proposal.resolve_before


def _with_demand(lines: list[str], proposal: Proposal) -> list[str]:
    """Return an override with the lead's present requirement; nothing if it contradicts no more."""
    package, asked_by = (_value(lines, key) for key in ("package", "asked_by"))
    demand = proposal.asks.get(package)
    if asked_by != proposal.lead:
        return lines
    if demand is None or SpecifierSet(demand).contains(
        Version(proposal.pins[package]), prereleases=True
    ):
        return []
    if SpecifierSet(demand) == SpecifierSet(_value(lines, "asks")):
        return lines
    values = {"asks": demand, "evidence": _NOT_RUN}
    return [
        f'{key} = "{values[key]}"\n' if (key := line.partition("=")[0].strip()) in values else line
        for line in lines
    ]


def _value(lines: list[str], key: str) -> str:
    held = (line.partition("=")[2] for line in lines if _key(line) == key)
    return next(held, "").strip().strip('"')
