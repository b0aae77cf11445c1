"""The text format of a lock: each package with its one wheel, its hash, and who requires it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk.errors import MatrixInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Strict on purpose: nothing but what `dump` writes is installed.
_BLOCK: Final = re.compile(
    r"(?P<name>[a-z0-9-]+)==(?P<version>\S+) \\\n"
    r"    --hash=sha256:(?P<sha256>[0-9a-f]{64})\n"
    r"    # file (?P<file>\S+\.whl)\n"
    r"    # via (?P<via>.+)\n"
)


@dataclass(frozen=True, kw_only=True)
class LockedPackage:
    """One package of a closure.

    Args:
        name: normalised.
        version: exact.
        file: the wheel's file name.
        sha256: of the wheel, 64 hex digits.
        via: the packages that require it, or the other reasons for it.
    """

    name: str
    version: str
    file: str
    sha256: str
    via: tuple[str, ...]


def dump(stack: str, closure: Iterable[LockedPackage], arch: str = "x86_64") -> str:
    """Return the lock's text, which pip and uv accept with ``--require-hashes --no-deps``.

    Args:
        stack: the stack's id.
        closure: its packages.
        arch: the architecture of their wheels.
    """
    words = "x86-64" if arch == "x86_64" else arch
    head = (
        f"# Made by `dsk matrix lock {stack}`, not to be edited.\n"
        f"# The whole closure of the stack for Linux {words} and its Python, one wheel a package.\n"
        "# It installs with --require-hashes --no-deps.\n"
    )
    blocks = (
        f"{package.name}=={package.version} \\\n"
        f"    --hash=sha256:{package.sha256}\n"
        f"    # file {package.file}\n"
        f"    # via {', '.join(package.via)}\n"
        for package in sorted(closure, key=lambda package: package.name)
    )
    return head + "".join(blocks)


def parse(file: Path) -> list[LockedPackage]:
    """Parse the packages of a lock.

    Raises:
        MatrixInvalid: the file is missing, or a line is not as `dump` writes it.
    """
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        what = f"{file}: {error.strerror}"
        raise MatrixInvalid(what, do=f"dsk matrix lock {file.stem}") from error
    closure, at = [], _after_header(text)
    while at < len(text):
        block = _BLOCK.match(text, at)
        if block is None:
            line = text.count("\n", 0, at) + 1
            what = f"{file}, line {line}: found {text[at:].splitlines()[0]!r}"
            raise MatrixInvalid(what, do=f"write it anew: dsk matrix lock {file.stem}")
        fields = block.groupdict()
        closure.append(LockedPackage(**fields | {"via": tuple(fields["via"].split(", "))}))
        at = block.end()
    return closure


def _after_header(text: str) -> int:
    header = re.match(r"(#.*\n)*", text)
    return header.end() if header else 0
