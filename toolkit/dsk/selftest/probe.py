"""Proving a stack on this machine: its lock installed, an eye chart read, and what came of it."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from dsk import __version__, processes
from dsk.errors import Interrupted, PagesDegraded, UsageProblem
from dsk.eyechart import cache, layout, page
from dsk.files import write_bytes_atomically
from dsk.host.machine import machine_of
from dsk.locks import lock_file
from dsk.matrix.evidence import EXACT, Evidence
from dsk.ocr.results import ledger
from dsk.ocr.schema import run_files
from dsk.runtime import environments, install

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dsk.host.facts import Facts
    from dsk.matrix import Stack
    from dsk.ocr.schema.page_record import PageRecord
    from dsk.runtime.install import Progress

Where = Literal["venv", "container", "in-place"]

SIDE: Final = 16
TEXT: Final = """\
This page proves a stack: each of its cells is one vision token.

0123456789 $3.50 (50% off!)
<|ref|>title<|/ref|><|det|>[[62, 40, 420, 90]]<|/det|>
# naïve café, 中文
"""
"""What is printed: words, figures, tags, letters of several bytes, on a page cut into tiles."""

_WHAT: Final = (
    "dsk run pdf on an eye chart; the text that was read compared with the text that is printed"
)
_CHART: Final = "chart"
_SHOWN: Final = 120  # lines: a traceback of each of the engine's processes


@dataclass(kw_only=True)
class Outcome:
    """A run of `dsk run`: how it ended, its ledger and its manifest."""

    result: Literal["exact", "different", "failed"]
    reason: str = ""
    pages: list[dict[str, Any]] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)


def probe(
    stack: Stack,
    where: Where,
    facts: Facts,
    *,
    installing: Progress,
    heard: Callable[[str], None],
) -> Evidence:
    """Run a stack on this machine, as a user would, and tell how it came out.

    Args:
        stack: its lock must be there.
        where: in its environment, which is made if it is not there, in its image, or in the
            environment that this very Python is of; there only its pins are held against the stack.
        facts: of this machine.
        installing: told how far an environment is.
        heard: told of each step, and of each line that `dsk run` prints.

    Raises:
        EngineMissing: the environment or the test model cannot be made here.
        VerificationFailed: what was installed is not what the lock says.
        UsageProblem: `dsk run` does not take what it was asked; nothing was run.
        Interrupted: the user stopped it.
    """
    seconds: dict[str, float] = {}
    installed: dict[str, str] = {}
    if where == "venv":
        with _timed("environment", seconds):
            made = environments.create(stack, progress=installing)
            installed = install.installed_versions(made.path)
    model = cache.place(SIDE)
    if not cache.is_whole(model):
        heard("making the test model")
        with _timed("test model", seconds):
            kind = "in-place" if where == "in-place" else "venv"
            cache.cached(stack, SIDE, runtime=kind, progress=heard)
    with tempfile.TemporaryDirectory(prefix="dsk-probe-") as name, _timed("reading", seconds):
        outcome = _read(stack, where, model, Path(name), heard)
    _see_versions(stack, where, installed, outcome)
    engine = outcome.manifest.get("engine", {})
    return Evidence(
        stack=stack.id,
        lock_sha256=stack.lock_sha256(),
        date=dt.datetime.now(dt.UTC).date(),
        dsk=__version__,
        where=where,
        machine=machine_of(facts, _card(stack, facts, engine.get("device"))),
        versions=outcome.manifest.get("versions", {}),
        settings=engine.get("settings", {}),
        model="eye chart, tiny",
        what=_WHAT,
        result=outcome.result,
        reason=outcome.reason,
        pages=tuple(outcome.pages),
        seconds=seconds,
    )


@contextlib.contextmanager
def _timed(step: str, seconds: dict[str, float]) -> Iterator[None]:
    begun = time.monotonic()
    yield
    seconds[step] = round(time.monotonic() - begun, 1)


def _read(
    stack: Stack, where: Where, model: Path, folder: Path, heard: Callable[[str], None]
) -> Outcome:
    """Print a page, have it read by the command as a user types it, and compare."""
    charts = layout.charts(TEXT, SIDE)
    file = folder / f"{_CHART}.pdf"
    write_bytes_atomically(file, page.draw(charts, SIDE))
    command: list[str | Path] = [sys.executable, "-m", "dsk", "run", "pdf", file]
    command += ["-o", folder / "out", "--model", model, "--stack", stack.id, "--runtime", where]
    code = processes.follow(command, lambda line: heard(line) if line else None)
    if code in (UsageProblem.exit_code, Interrupted.exit_code):
        kind = UsageProblem if code == UsageProblem.exit_code else Interrupted
        what = f"nothing was run of stack '{stack.id}': dsk run ended with {code}"
        raise kind(what, do="the lines above say why")
    outputs = folder / "out" / _CHART
    if code not in (0, PagesDegraded.exit_code) or not (outputs / "manifest.json").is_file():
        _show_log(folder / "out" / run_files.ENGINE_LOG, heard)
        return Outcome(result="failed", reason=f"dsk run ended with {code}")
    records = list(ledger.read(outputs))
    read = "".join(record.text for record in records)
    exact = read == "".join(layout.spelled(chart) for chart in charts)
    return Outcome(
        result=EXACT if exact else "different",
        reason="" if exact else "another text was read than is printed",
        pages=[_figures(record) for record in records],
        manifest=json.loads((outputs / "manifest.json").read_text("utf-8")),
    )


def _figures(record: PageRecord) -> dict[str, Any]:
    sheet = record.sheet.model_dump(include={"width", "height"}) if record.sheet else {}
    figures = record.model_dump(include={"prompt_tokens", "tokens", "finish_reason"})
    return sheet | figures | {"seconds": record.timings.read}


def _show_log(log: Path, heard: Callable[[str], None]) -> None:
    """Tell the end of the engine's log, which goes with the folder it lies in."""
    if log.is_file():
        for line in log.read_text("utf-8", errors="replace").splitlines()[-_SHOWN:]:
            heard(line)


def _see_versions(stack: Stack, where: Where, installed: dict[str, str], outcome: Outcome) -> None:
    """Hold what is installed, and what the engine said of itself, against the lock.

    Where no lock chose, the pins must have run, in whatever build of them (torch's ``+cu130``).
    """
    said: dict[str, str] = outcome.manifest.get("versions", {})
    if where == "in-place":
        wanted = stack.pins
        said = {name: version.partition("+")[0] for name, version in said.items()}
    else:
        wanted = {one.name: one.version for one in lock_file.parse(stack.lock_file)}
    other = [
        f"{name} {found}"
        for name, version in wanted.items()
        for found in {installed.get(name, version), said.get(name, version)}
        if found != version
    ]
    if other:
        outcome.result = "failed"
        outcome.reason = f"other versions than locked: {', '.join(sorted(other))}"


def _card(stack: Stack, facts: Facts, device: str | None) -> str | None:
    """The card that was computed on: the engine's word, or the first one where it has none."""
    if stack.gpu is None:
        return None
    cards = facts.nvidia.cards if facts.nvidia else ()
    return device or (cards[0].name if cards else None)
