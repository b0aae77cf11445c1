"""Measure the speed of dsk and of a baseline on the same pages."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dsk import console
from dsk.errors import EngineMissing, Interrupted, PagesDegraded
from dsk.files import open_log
from dsk.ocr.benchmark import engine_log
from dsk.ocr.benchmark.monitor import Monitor
from dsk.ocr.engines import loading
from dsk.ocr.executors import runner_process
from dsk.ocr.results import ledger
from dsk.ocr.schema import run_files
from dsk.ocr.schema.events import CardsUsed, EngineEnded, PageDone, Starting, Warned
from dsk.ocr.schema.page_record import WHOLE, Status
from dsk.processes import output
from dsk.vllm_plugin.registration import NATIVE_SWITCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsk.ocr.schema.events import Event
    from dsk.ocr.schema.run_plan import RunPlan
    from dsk.processes import Child
    from dsk.runtime.base import Runtime

# Shares of the pages between which a run is neither starting nor ending.
_STEADY: Final = (0.1, 0.9)
_MILLION: Final = 1_000_000
# States of pages that no rate includes.
_NOT_READ: Final = frozenset(
    {Status.RENDER_FAILED, Status.TIMED_OUT, Status.REFUSED, Status.ENGINE_FAILED}
)


def in_new_folder(plan: RunPlan) -> RunPlan:
    """Return a plan that writes to the first free ``bench-N`` below the output folder."""
    numbered = (plan.out / f"bench-{number}" for number in itertools.count(1))
    out = next(folder for folder in numbered if not os.path.lexists(folder))
    documents = [
        document.model_copy(update={"folder": out / document.folder.relative_to(plan.out)})
        for document in plan.documents
    ]
    return plan.model_copy(update={"out": out, "documents": documents})


def measure(
    plan: RunPlan, baseline: RunPlan, runtime: Runtime, *, dollars_an_hour: float | None
) -> Any:
    """Read a plan's documents with the baseline and with dsk.

    Args:
        plan: the run; its output folder, which is created here, gets the engines' logs, too.
        baseline: the same run with the baseline's engine.
        runtime: starts both.
        dollars_an_hour: the price of the machine.

    Returns:
        For JSON: ``plain`` (the baseline) and ``dsk``, and their ``ratio``: pages a second of dsk,
        from a started engine to written files, over those of the baseline's ``LLM.generate`` alone.

    Raises:
        PagesDegraded: one of them read no page.
        Interrupted: the user interrupted the command.
        DskError: one of them ended early.
    """
    plan.out.mkdir()
    try:
        changes = {"engine": baseline.engine, "placement": baseline.placement}
        plain = _measure_baseline(plan.model_copy(update=changes), runtime)
        ours = measure_dsk(plan, runtime)
    except Interrupted as error:
        what = "the measurement was interrupted"
        raise Interrupted(what, do="run the same command again") from error
    if dollars_an_hour is not None:
        for result in (plain, ours):
            add_price(result, dollars_an_hour)
    comparison = {
        **described(plan),
        "plain": plain,
        "dsk": ours,
        "ratio": ours["pages_per_second"] / plain["generate_pages_per_second"],
        "ratio_of_whole": ours["pages_per_second"] / plain["pages_per_second"],
    }
    return rounded(comparison)


def described(plan: RunPlan) -> dict[str, Any]:
    """Return the folder, model, pages and engines of a measurement."""
    return {
        "folder": plan.out.name,
        "model": plan.identity.model_dump(exclude_defaults=True),
        "pages": sum(len(document.pages) for document in plan.documents),
        "max_tokens": plan.max_tokens,
        "fixed_tokens": plan.fixed_tokens,
        "engines": plan.placement.engines,
    }


def add_price(result: dict[str, Any], dollars_an_hour: float) -> None:
    """Add the cost of a million pages to a result."""
    seconds = _MILLION / result["pages_per_second"]
    result["dollars_per_million_pages"] = dollars_an_hour * seconds / 3600


def rounded(value: Any) -> Any:
    """Round all measured numbers to four significant digits."""
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def steady_rate(ends: Sequence[float]) -> float | None:
    """Return pages a second in the steady part of a run; None if the run is too short.

    Args:
        ends: times at which the pages ended, in seconds, ascending.
    """
    first, last = _steady(ends)
    seconds = ends[last] - ends[first]
    return (last - first) / seconds if seconds > 0 else None


def _steady(ends: Sequence[float]) -> tuple[int, int]:
    first, last = (int(len(ends) * share) for share in _STEADY)
    return first, last


def _measure_baseline(plan: RunPlan, runtime: Runtime) -> dict[str, Any]:
    log = plan.out / "plain.log"
    with (
        tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file,
        open_log(log) as sink,
        Monitor(_numbers(plan)) as monitor,
    ):
        file.write(plan.model_dump_json())
        file.flush()
        with runtime.start(
            "dsk.ocr.benchmark.baseline",
            [Path(file.name)],
            environment={NATIVE_SWITCH: "1", **plan.placement.cards[0].environment},
            stdout=subprocess.PIPE,
            stderr=sink,
        ) as child:
            phases = _phases(child, plan.limits.load_seconds, log)
            code = child.wait()
    if child.stop_requested:
        what = "the baseline was interrupted"
        raise Interrupted(what)
    if code != 0:
        what = f"the baseline ended with {child.described_end()}"
        raise EngineMissing(what, do=f"its log is {log}")
    _, render, generate = phases
    seconds = {phase["phase"]: phase["ended"] - phase["began"] for phase in phases}
    pages = render["pages"]
    if not pages:
        raise _nothing_read(log)
    return {
        "pages": pages,
        "not_rendered": render["not_rendered"],
        "seconds": seconds,
        "pages_per_second": pages / (seconds["render"] + seconds["generate"]),
        "generate_pages_per_second": pages / seconds["generate"],
        "generate_tokens_per_second": generate["tokens"] / seconds["generate"],
        "tokens": generate["tokens"],
        "gpu_busy": monitor.busy(generate["began"], generate["ended"]),
        "peak": monitor.peak(),
        "log": engine_log.parse(log),
    }


def _phases(child: Child, limit: int, log: Path) -> list[Any]:
    """Return the baseline's phases as they end, the first of which is its engine's start.

    Raises:
        EngineMissing: the engine did not load in time.
    """
    phases: list[Any] = []
    began = time.monotonic()
    report_at = loading.REPORT_SECONDS
    for line in output.lines(child.process):
        if line is not None:
            phases.append(json.loads(line))
        if phases:
            continue
        seconds = round(time.monotonic() - began)
        if seconds > limit and not child.stop_requested:
            what = f"the baseline's engine {loading.timeout_report(limit)}"
            raise EngineMissing(what, do=f"its log is {log}")
        if seconds >= report_at:
            console.warn(loading.progress_report("the baseline's engine", seconds, limit, ""))
            report_at += loading.REPORT_SECONDS
    return phases


class _EventLog:
    """A listener that notes when the engine was first ready, and when each page ended.

    It prints warnings.
    """

    def __init__(self) -> None:
        self.ready: float | None = None
        self.ends: list[float] = []
        self.states: Counter[str] = Counter()
        self.used: CardsUsed | None = None

    def __call__(self, event: Event) -> None:
        # Wall-clock time, as the samples of the monitor have.
        now = time.time()
        # A restarted engine sends the event again: the time of a restart belongs to the run.
        if isinstance(event, Starting) and event.what == "reading":
            self.ready = self.ready or now
        if isinstance(event, Warned | EngineEnded):
            console.warn(event.message)
        if isinstance(event, CardsUsed):
            self.used = event
        if isinstance(event, PageDone):
            self.states[event.status.value] += 1
            if event.status not in _NOT_READ:
                self.ends.append(now)


def measure_dsk(plan: RunPlan, runtime: Runtime) -> dict[str, Any]:
    """Read a plan's documents as `dsk run` does, and return the measurements for JSON.

    Raises:
        PagesDegraded: no page was read.
        Interrupted: the user interrupted the command.
        DskError: it ended early.
    """
    events = _EventLog()
    began = time.time()
    with Monitor(_numbers(plan)) as monitor:
        runner_process.run(plan, runtime, events)
    ended = time.time()
    ends = events.ends
    if not ends or events.ready is None:
        raise _nothing_read(plan.out / run_files.ENGINE_LOG)
    ready = events.ready
    records = [record for document in plan.documents for record in ledger.read(document.folder)]
    tokens = sum(record.tokens for record in records)
    first, last = _steady(ends)
    return {
        "states": dict(sorted(events.states.items())),
        "not_whole": _not_whole(events.states, fixed_tokens=bool(plan.fixed_tokens)),
        "pages": len(ends),
        "seconds": {
            "start": ready - began,
            # A blank page may end before the engine is ready.
            "first_page": max(ends[0] - ready, 0.0),
            "read_and_write": ended - ready,
            "after_the_last_page": ended - ends[-1],
        },
        "pages_per_second": len(ends) / (ended - ready),
        "tokens_per_second": tokens / (ended - ready),
        "tokens": tokens,
        "steady_pages_per_second": steady_rate(ends),
        "gpu_busy": monitor.busy(ready, ended),
        "gpu_busy_steady": monitor.busy(ends[first], ends[last]),
        "peak": monitor.peak(),
        "gpus": _by_card(plan, events.used, monitor, (ready, ended), (ends[first], ends[last])),
        "waited_for": events.used.waited if events.used else {},
        "log": engine_log.parse(plan.out / run_files.ENGINE_LOG),
        "seconds_a_page": {
            stage: sum(getattr(record.timings, stage) for record in records) / len(records)
            for stage in ("render", "wait", "read")
        },
    }


def _numbers(plan: RunPlan) -> list[int] | None:
    """Return the numbers of the GPUs that a plan names, each once; None where it names none."""
    numbers = [card.number for card in plan.placement.cards if card.number is not None]
    return list(dict.fromkeys(numbers)) or None


def _by_card(
    plan: RunPlan,
    used: CardsUsed | None,
    monitor: Monitor,
    whole: tuple[float, float],
    steady: tuple[float, float],
) -> list[dict[str, Any]]:
    """Return what each card of a plan has read, and how busy it was; none where none is named.

    ``idle`` is the share of the reading in which the card had no page, ``gpu_busy`` what NVML
    reports of the whole GPU.
    """
    numbers = _numbers(plan)
    if numbers is None:
        return []
    busy, busy_steady = monitor.busy_by_card(*whole), monitor.busy_by_card(*steady)
    peaks = monitor.peaks_by_card()
    cards = []
    for position, card in enumerate(plan.placement.described()):
        number = plan.placement.cards[position].number
        assert number is not None
        at = numbers.index(number)
        use = used.cards[position] if used else None
        cards.append(
            card
            | {
                "pages": use.pages if use else None,
                "pages_per_second": use.pages / used.seconds if use and used else None,
                "tokens": use.tokens if use else None,
                "idle": use.idle if use else None,
                "gpu_busy": busy[at] if at < len(busy) else None,
                "gpu_busy_steady": busy_steady[at] if at < len(busy_steady) else None,
                "peak_bytes": peaks[at] if at < len(peaks) else None,
            }
        )
    return cards


def _not_whole(states: Counter[str], *, fixed_tokens: bool) -> int:
    """Count the pages that did not come out whole."""
    # A fixed length cuts every answer off.
    expected = WHOLE | {Status.TRUNCATED} if fixed_tokens else WHOLE
    return sum(count for state, count in states.items() if state not in expected)


def _nothing_read(log: Path) -> PagesDegraded:
    return PagesDegraded("no page could be read", do=f"the log is {log}")
