"""How fast documents are read: by dsk, and the plain way, on the same pages in one run."""

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

from dsk.errors import EngineMissing, Interrupted, PagesDegraded
from dsk.ocr.benchmark import engine_log
from dsk.ocr.benchmark.monitor import Watch
from dsk.ocr.executors import runner_process
from dsk.ocr.results import ledger
from dsk.ocr.schema import run_files
from dsk.ocr.schema.events import PageDone, Starting
from dsk.ocr.schema.page_record import WHOLE, Status
from dsk.vllm_plugin.registration import NATIVE_SWITCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsk.ocr.schema.events import Event
    from dsk.ocr.schema.run_plan import RunPlan
    from dsk.runtime.base import Runtime

_STEADY: Final = (0.1, 0.9)
"""The part of a run, by pages, that is neither its beginning nor its end."""
_MILLION: Final = 1_000_000
_UNREAD: Final = frozenset(
    {Status.RENDER_FAILED, Status.TIMED_OUT, Status.REFUSED, Status.ENGINE_FAILED}
)
"""The states of pages that count in no rate."""


def in_a_new_folder(plan: RunPlan) -> RunPlan:
    """A job with its outputs in a folder that is not yet below its output folder."""
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
    """Read a job's documents both ways.

    Args:
        job: its output folder, which is made here, gets the engines' logs, too.
        dollars_an_hour: what the machine costs.

    Returns:
        For JSON: ``plain`` and ``dsk``, and ``ratio``, dsk's pages a second, from a started engine
        to written files, by those of the plain way's ``LLM.generate`` alone.

    Raises:
        PagesDegraded: one of them read no page.
        Interrupted: the user asked to end.
        DskError: one of them ended early.
    """
    plan.out.mkdir()
    try:
        plain = _plain(plan.model_copy(update={"engine": baseline.engine}), runtime)
        ours = _ours(plan, runtime)
    except Interrupted as asked:
        what = "the measurement was interrupted"
        raise Interrupted(what, do="run the same command again to begin anew") from asked
    if dollars_an_hour is not None:
        for one in (plain, ours):
            seconds = _MILLION / one["pages_per_second"]
            one["dollars_per_million_pages"] = dollars_an_hour * seconds / 3600
    found = {
        "folder": plan.out.name,
        "pages": sum(len(document.pages) for document in plan.documents),
        "max_tokens": plan.max_tokens,
        "fixed_tokens": plan.fixed_tokens,
        "engines": plan.placement.engines,
        "plain": plain,
        "dsk": ours,
        "ratio": ours["pages_per_second"] / plain["generate_pages_per_second"],
        "ratio_of_whole": ours["pages_per_second"] / plain["pages_per_second"],
    }
    return _rounded(found)


def _rounded(found: Any) -> Any:
    """All that was measured, to four digits."""
    if isinstance(found, dict):
        return {name: _rounded(value) for name, value in found.items()}
    return float(f"{found:.4g}") if isinstance(found, float) else found


def steady_rate(ends: Sequence[float]) -> float | None:
    """Pages a second in the steady part of a run; None for one that is too short to have one.

    Args:
        ends: when each page ended, in seconds, in order.
    """
    first, last = _steady(ends)
    seconds = ends[last] - ends[first]
    return (last - first) / seconds if seconds > 0 else None


def _steady(ends: Sequence[float]) -> tuple[int, int]:
    first, last = (int(len(ends) * part) for part in _STEADY)
    return first, last


def _plain(plan: RunPlan, runtime: Runtime) -> dict[str, Any]:
    log = plan.out / "plain.log"
    with (
        tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file,
        log.open("w") as sink,
        Watch() as watch,
    ):
        file.write(plan.model_dump_json())
        file.flush()
        with runtime.start(
            "dsk.ocr.benchmark.baseline",
            [Path(file.name)],
            environment={NATIVE_SWITCH: "1"},
            stdout=subprocess.PIPE,
            stderr=sink,
        ) as child:
            assert child.process.stdout is not None
            told = [json.loads(line) for line in child.process.stdout]
            code = child.wait()
    if child.stop_requested:
        what = "the plain way was interrupted"
        raise Interrupted(what)
    if code != 0:
        what = f"the plain way ended with status {code}"
        raise EngineMissing(what, do=f"its log is {log}")
    _, render, generate = told
    seconds = {one["phase"]: one["ended"] - one["began"] for one in told}
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
        "gpu_busy": watch.busy(generate["began"], generate["ended"]),
        "peak": watch.peak(),
        "log": engine_log.start(log),
    }


class _Heard:
    """What a run tells: when its engine was first ready, when each page that is read ended."""

    def __init__(self) -> None:
        self.ready: float | None = None
        self.ends: list[float] = []
        self.states: Counter[str] = Counter()

    def __call__(self, event: Event) -> None:
        now = time.time()
        # An engine that is started again says so again: that time is the run's own.
        if isinstance(event, Starting) and event.what == "reading":
            self.ready = self.ready or now
        if isinstance(event, PageDone):
            self.states[event.status.value] += 1
            if event.status not in _UNREAD:
                self.ends.append(now)


def _ours(plan: RunPlan, runtime: Runtime) -> dict[str, Any]:
    heard = _Heard()
    began = time.time()
    with Watch() as watch:
        runner_process.run(plan, runtime, heard)
    ended = time.time()
    ends = heard.ends
    if not ends or heard.ready is None:
        raise _nothing_read(plan.out / run_files.ENGINE_LOG)
    ready = heard.ready
    records = [record for one in plan.documents for record in ledger.read(one.folder)]
    tokens = sum(record.tokens for record in records)
    first, last = _steady(ends)
    return {
        "states": dict(sorted(heard.states.items())),
        "not_whole": _not_whole(heard.states, fixed_tokens=bool(plan.fixed_tokens)),
        "pages": len(ends),
        "seconds": {
            "start": ready - began,
            "first_page": max(ends[0] - ready, 0.0),
            "read_and_write": ended - ready,
            "after_the_last_page": ended - ends[-1],
        },
        "pages_per_second": len(ends) / (ended - ready),
        "tokens_per_second": tokens / (ended - ready),
        "tokens": tokens,
        "steady_pages_per_second": steady_rate(ends),
        "gpu_busy": watch.busy(ready, ended),
        "gpu_busy_steady": watch.busy(ends[first], ends[last]),
        "peak": watch.peak(),
        "log": engine_log.start(plan.out / run_files.ENGINE_LOG),
        "seconds_a_page": {
            stage: sum(getattr(one.timings, stage) for one in records) / len(records)
            for stage in ("render", "wait", "read")
        },
    }


def _not_whole(states: Counter[str], *, fixed_tokens: bool) -> int:
    """How many pages did not come out as was asked: a fixed length cuts every answer off."""
    asked = WHOLE | {Status.TRUNCATED} if fixed_tokens else WHOLE
    return sum(count for state, count in states.items() if state not in asked)


def _nothing_read(log: Path) -> PagesDegraded:
    return PagesDegraded("no page could be read", do=f"the log is {log}")
