"""How fast documents are read: by dsk, and the plain way, on the same pages in one run."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dsk.errors import EngineMissing
from dsk.ocr import launch, ledger
from dsk.ocr.job import PageDone, Starting
from dsk.ocr.watching import Watch
from dsk.vllm_plugin import NATIVE_SWITCH

if TYPE_CHECKING:
    from dsk.ocr.job import Event, Job
    from dsk.runtime.launch import Runtime

_STEADY: Final = (0.1, 0.9)
"""The part of a run, by pages, that is neither its beginning nor its end."""
_MILLION: Final = 1_000_000


def measure(job: Job, runtime: Runtime, out: Path, *, dollars_an_hour: float | None) -> Any:
    """Read a job's documents both ways.

    Args:
        out: where the documents' outputs and the engines' logs go.
        dollars_an_hour: what the machine costs.

    Returns:
        For JSON: ``plain`` and ``dsk``, and ``ratio``, dsk's pages a second, from a started engine
        to written files, by those of the plain way's ``LLM.generate`` alone.

    Raises:
        DskError: one of them ended early.
    """
    plain = _plain(job, runtime, out)
    ours = _ours(job, runtime, out)
    found = {
        "pages": sum(len(document.pages) for document in job.documents),
        "max_tokens": job.max_tokens,
        "fixed_tokens": job.fixed_tokens,
        "plain": plain,
        "dsk": ours,
        "ratio": round(ours["pages_per_second"] / plain["generate_pages_per_second"], 3),
        "ratio_of_whole": round(ours["pages_per_second"] / plain["pages_per_second"], 3),
    }
    if dollars_an_hour is not None:
        for one in (plain, ours):
            seconds = _MILLION / one["pages_per_second"]
            one["dollars_per_million_pages"] = round(dollars_an_hour * seconds / 3600, 2)
    return found


def _plain(job: Job, runtime: Runtime, out: Path) -> dict[str, Any]:
    with (
        tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file,
        (out / "plain.log").open("w") as log,
        Watch() as watch,
    ):
        file.write(job.model_dump_json())
        file.flush()
        with runtime.start(
            "dsk.ocr.plain_way",
            [Path(file.name)],
            environment={NATIVE_SWITCH: "1"},
            stdout=subprocess.PIPE,
            stderr=log,
        ) as child:
            assert child.process.stdout is not None
            told = [json.loads(line) for line in child.process.stdout]
            code = child.wait()
    if code != 0:
        what = f"the plain way ended with status {code}"
        raise EngineMissing(what, do=f"its log is {out / 'plain.log'}")
    _, render, generate = told
    seconds = {one["phase"]: round(one["ended"] - one["began"], 3) for one in told}
    pages = render["pages"]
    return {
        "seconds": seconds,
        "pages_per_second": round(pages / (seconds["render"] + seconds["generate"]), 3),
        "generate_pages_per_second": round(pages / seconds["generate"], 3),
        "generate_tokens_per_second": round(generate["tokens"] / seconds["generate"], 1),
        "tokens": generate["tokens"],
        "gpu_busy": watch.busy(generate["began"], generate["ended"]),
        "peak": watch.peak(),
    }


def _ours(job: Job, runtime: Runtime, out: Path) -> dict[str, Any]:
    began = time.time()
    ready = began
    ends: list[float] = []

    def heard(event: Event) -> None:
        nonlocal ready
        if isinstance(event, Starting):
            ready = time.time()
        if isinstance(event, PageDone):
            ends.append(time.time())

    with Watch() as watch:
        launch.run(job, runtime, out, heard)
    ended = time.time()
    records = [record for one in job.documents for record in ledger.read(one.folder)]
    tokens = sum(record.tokens for record in records)
    first, last = (ends[int(len(ends) * part)] for part in _STEADY)
    return {
        "seconds": {
            "start": round(ready - began, 3),
            "first_page": round(ends[0] - ready, 3),
            "read_and_write": round(ended - ready, 3),
            "after_the_last_page": round(ended - ends[-1], 3),
        },
        "pages_per_second": round(len(ends) / (ended - ready), 3),
        "tokens_per_second": round(tokens / (ended - ready), 1),
        "tokens": tokens,
        "steady_pages_per_second": round(0.8 * len(ends) / (last - first), 3),
        "gpu_busy": watch.busy(ready, ended),
        "gpu_busy_steady": watch.busy(first, last),
        "peak": watch.peak(),
        "seconds_a_page": {
            stage: round(sum(getattr(one.timings, stage) for one in records) / len(records), 4)
            for stage in ("render", "wait", "read")
        },
    }
