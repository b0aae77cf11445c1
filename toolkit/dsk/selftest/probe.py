"""Proof of a stack on this machine: installs its lock, reads an eye chart, records the result."""

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

from dsk import __version__, models, processes
from dsk.errors import Interrupted, PagesDegraded, UsageProblem
from dsk.eyechart import cache, layout, page
from dsk.eyechart.recipe import Recipe, chart_side
from dsk.files import write_bytes_atomically
from dsk.host.machine import machine_of
from dsk.locks import lock_file
from dsk.matrix.evidence import EXACT, Evidence, ReadAmount
from dsk.ocr.results import ledger
from dsk.ocr.schema import run_files
from dsk.runtime import environments, install

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dsk.eyechart.recipe import Size
    from dsk.host.facts import Facts
    from dsk.matrix import Stack
    from dsk.models.base import ModelProfile
    from dsk.ocr.schema.page_record import PageRecord
    from dsk.runtime.install import Progress

Where = Literal["venv", "container", "in-place"]

# The printed text: words, figures, tags, multi-byte letters, on a page that is cut into tiles.
TEXT: Final = """\
This page proves a stack: each of its cells is one vision token.

0123456789 $3.50 (50% off!)
<|ref|>title<|/ref|><|det|>[[62, 40, 420, 90]]<|/det|>
# naïve café, 中文
"""

_WHAT: Final = (
    "dsk run pdf on an eye chart; the text that was read compared with the text that is printed"
)
_CHART: Final = "chart"
_LOG_LINES: Final = 120  # enough for a traceback of each of the engine's processes


@dataclass(kw_only=True)
class ProbeResult:
    """The result of one `dsk run`: the comparison, figures of its pages, its manifest."""

    result: Literal["exact", "different", "failed"]
    reason: str = ""
    pages: list[dict[str, Any]] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)


def probe(
    stack: Stack,
    where: Where,
    facts: Facts,
    *,
    profile: ModelProfile | None = None,
    size: Size = "tiny",
    installing: Progress,
    report: Callable[[str], None],
) -> Evidence:
    """Run a stack on this machine, as a user would, and return the evidence.

    Args:
        stack: a locked stack.
        where: its environment, which is created if missing; its image; or the environment of this
            Python, of which only the stack's pins are compared.
        facts: of this machine.
        profile: the model whose test model is read with; None is the default one.
        size: of that test model.
        installing: called with the progress of creating an environment.
        report: called with each step, and each line that `dsk run` prints.

    Raises:
        EngineMissing: the environment or the test model cannot be created.
        VerificationFailed: an installed file differs from the lock.
        UsageProblem: `dsk run` rejected its arguments; nothing was run.
        Interrupted: the user stopped it.
    """
    seconds: dict[str, float] = {}
    installed: dict[str, str] = {}
    if where == "venv":
        with _timed("environment", seconds):
            environment = environments.create(stack, progress=installing)
            installed = install.installed_versions(environment.path)
    profile = profile or models.default()
    recipe = Recipe(profile=profile, size=size, side=chart_side(profile))
    model = cache.folder_of(recipe)
    if not cache.is_complete(model):
        report("making the test model")
        with _timed("test model", seconds):
            kind = "in-place" if where == "in-place" else "venv"
            cache.cached(stack, recipe, runtime=kind, progress=report)
    with tempfile.TemporaryDirectory(prefix="dsk-probe-") as name, _timed("reading", seconds):
        result = _read(stack, where, recipe, Path(name), report)
    _check_versions(stack, where, installed, result)
    engine = result.manifest.get("engine", {})
    return Evidence(
        stack=stack.id,
        lock_sha256=stack.lock_sha256(),
        date=dt.datetime.now(dt.UTC).date(),
        dsk=__version__,
        where=where,
        from_lock=where != "in-place",
        machine=machine_of(facts, _card(stack, facts, engine.get("device"))),
        versions=result.manifest.get("versions", {}),
        settings=engine.get("settings", {}),
        model=f"eye chart, {recipe.size}, {recipe.profile.id}",
        profile="" if profile is models.default() else profile.id,
        size=size,
        what=_WHAT,
        result=result.result,
        reason=result.reason,
        read=ReadAmount(
            pages=len(result.pages), tokens=sum(page["tokens"] or 0 for page in result.pages)
        ),
        pages=tuple(result.pages),
        seconds=seconds,
    )


@contextlib.contextmanager
def _timed(step: str, seconds: dict[str, float]) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[step] = round(time.monotonic() - start, 1)


def _read(
    stack: Stack, where: Where, recipe: Recipe, folder: Path, report: Callable[[str], None]
) -> ProbeResult:
    """Print a page, read it with `dsk run` as a user would, and compare the text."""
    charts = layout.charts(TEXT, recipe.side, profile=recipe.profile)
    file = folder / f"{_CHART}.pdf"
    write_bytes_atomically(file, page.draw(charts, recipe.side, profile=recipe.profile))
    # A process of its own, as a user starts it: its exit code and its files are part of the proof.
    command: list[str | Path] = [sys.executable, "-P", "-m", "dsk", "run", "pdf", file]
    command += ["-o", folder / "out", "--model", cache.folder_of(recipe)]
    command += ["--stack", stack.id, "--runtime", where]
    code = processes.follow(command, lambda line: report(line) if line else None)
    # Neither says anything about the stack: no evidence is written.
    if code in (UsageProblem.exit_code, Interrupted.exit_code):
        kind = UsageProblem if code == UsageProblem.exit_code else Interrupted
        what = f"stack '{stack.id}' was not run: dsk run ended with exit code {code}"
        raise kind(what, do="the lines above show why")
    outputs = folder / "out" / _CHART
    if code not in (0, PagesDegraded.exit_code) or not (outputs / "manifest.json").is_file():
        _show_log(folder / "out" / run_files.ENGINE_LOG, report)
        return ProbeResult(result="failed", reason=f"dsk run ended with exit code {code}")
    records = list(ledger.read(outputs))
    read = "".join(record.text for record in records)
    exact = read == "".join(layout.spelled(chart, profile=recipe.profile) for chart in charts)
    return ProbeResult(
        result=EXACT if exact else "different",
        reason="" if exact else "the text read differs from the printed text",
        pages=[_figures(record) for record in records],
        manifest=json.loads((outputs / "manifest.json").read_text("utf-8")),
    )


def _figures(record: PageRecord) -> dict[str, Any]:
    sheet = record.sheet.model_dump(include={"width", "height"}) if record.sheet else {}
    figures = record.model_dump(include={"prompt_tokens", "tokens", "finish_reason"})
    return sheet | figures | {"seconds": record.timings.read}


def _show_log(log: Path, report: Callable[[str], None]) -> None:
    """Report the end of the engine's log."""
    # Its folder is temporary: a failure would otherwise leave nothing to explain it.
    if log.is_file():
        for line in log.read_text("utf-8", errors="replace").splitlines()[-_LOG_LINES:]:
            report(line)


def _check_versions(
    stack: Stack, where: Where, installed: dict[str, str], result: ProbeResult
) -> None:
    """Compare the installed versions, and those the engine reported, with the lock or the pins."""
    reported: dict[str, str] = result.manifest.get("versions", {})
    if where == "in-place":
        expected = stack.pins
        # Any build of a pinned version will do, such as torch's +cu130.
        reported = {name: version.partition("+")[0] for name, version in reported.items()}
    else:
        locked = lock_file.parse(stack.lock_file)
        expected = {package.name: package.version for package in locked}
    other = [
        f"{name} {actual}"
        for name, version in expected.items()
        for actual in {installed.get(name, version), reported.get(name, version)}
        if actual != version
    ]
    if other:
        result.result = "failed"
        result.reason = f"other versions than locked: {', '.join(sorted(other))}"


def _card(stack: Stack, facts: Facts, device: str | None) -> str | None:
    """Return the card that the engine reported, or else the first one; None on a CPU."""
    if stack.gpu is None:
        return None
    cards = facts.nvidia.cards if facts.nvidia else ()
    return device or (cards[0].name if cards else None)
