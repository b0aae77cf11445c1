"""The baseline of a benchmark: render all pages first, then give vLLM one list of images.

``python -m dsk.ocr.benchmark.baseline PLAN.json`` in a stack's environment. Each page is rendered,
encoded as PNG and decoded again, as the model's own script does, but by a confined process; then
all of them go to ``LLM.generate``. A line of JSON for each phase goes to standard output. Pages
without an image are left out.
"""

from __future__ import annotations

import io
import json
import os
import select
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from dsk.ocr.engines.base import PageRequest, with_fixed_length
from dsk.ocr.engines.vllm import VllmEngine
from dsk.ocr.ipc import payload
from dsk.ocr.pipeline.page_worker import PageTask
from dsk.ocr.pipeline.worker_pool import CompletedTask, WorkerPool
from dsk.ocr.schema.run_plan import RunPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.schema.run_plan import Document


def main() -> None:
    """Read a plan's pages, and report the duration of each phase."""
    # vLLM prints to standard output: from here on that is standard error.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    plan = RunPlan.model_validate_json(Path(sys.argv[1]).read_bytes())

    def report(phase: str, began: float, **numbers: Any) -> None:
        line = {"phase": phase, "began": began, "ended": time.time(), **numbers}
        out.write(json.dumps(line) + "\n")

    began = time.time()
    engine = VllmEngine(plan.engine, plan.stack)
    report("start", began)
    began = time.time()
    pages = list(render(plan))
    count = sum(len(document.pages) for document in plan.documents)
    report("render", began, pages=len(pages), not_rendered=count - len(pages))
    began = time.time()
    images = [image for *_, image in pages]
    requests = [_request(plan, document, page) for document, page, _ in pages]
    report("generate", began, tokens=engine.generate(images, requests))


def render(plan: RunPlan) -> Iterator[tuple[Document, int, Image.Image]]:
    """Yield the image of every page that has one; log the reason for any other."""
    with WorkerPool[int](1) as pool:
        for document in plan.documents:
            for page in document.pages:
                completed = _rendered(pool, plan, document, page)
                if completed.file is None:
                    reason = completed.result.reason
                    print(
                        f"not rendered: page {page} of {document.name}: {reason}", file=sys.stderr
                    )
                    continue
                png = payload.read_png(completed.file)
                yield document, page, Image.open(io.BytesIO(png), formats=["PNG"])


def _rendered(
    pool: WorkerPool[int], plan: RunPlan, document: Document, page: int
) -> CompletedTask[int]:
    task = PageTask(
        document=document.model_copy(update={"pages": []}),
        page=page,
        dpi=plan.dpi,
        limits=plan.limits,
        profile=plan.engine.profile,
        mode=plan.engine.mode,
        form="png",
    )
    pool.submit(page, task, plan.limits.render_seconds)
    completed: list[CompletedTask[int]] = []
    while not completed:
        seconds = max(0.0, min(pool.deadline - time.monotonic(), 1.0))
        channels, _, _ = select.select(pool.channels, [], [], seconds)
        completed = [*pool.poll(channels), *pool.expire()]
    return completed[0]


def _request(plan: RunPlan, document: Document, page: int) -> PageRequest:
    request = PageRequest(
        prompt=plan.prompt,
        ngram_size=plan.ngram_size,
        ngram_window=plan.ngram_window,
        max_tokens=plan.max_tokens,
    )
    if not plan.fixed_tokens:
        return request
    return with_fixed_length(request, plan.fixed_tokens, document, page)


if __name__ == "__main__":
    main()
