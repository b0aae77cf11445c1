"""The baseline of a benchmark: render all pages first, then give vLLM one list of images.

``python -m dsk.ocr.benchmark.baseline PLAN.json`` in a stack's environment. Each page is rendered,
encoded as PNG and decoded again, as the model's own script does; then all of them go to
``LLM.generate``. A line of JSON for each phase goes to standard output. Pages that cannot be
rendered are left out.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from dsk.errors import InputUnreadable
from dsk.ocr.documents.base import one_line
from dsk.ocr.documents.opening import open_document
from dsk.ocr.engines.base import PageRequest, with_fixed_length
from dsk.ocr.engines.vllm import VllmEngine
from dsk.ocr.schema.run_plan import RunPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.documents.base import PageSource
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
    """Yield the image of every page that can be rendered; log the reason for any other."""
    for document in plan.documents:
        try:
            with open_document(document, plan.limits) as source:
                yield from _images(source, document, plan.dpi)
        except InputUnreadable as error:
            print(f"not rendered: {error}", file=sys.stderr)


def _images(
    source: PageSource, document: Document, dpi: int
) -> Iterator[tuple[Document, int, Image.Image]]:
    for page in document.pages:
        stream = io.BytesIO()
        try:
            source.image(page, dpi).save(stream, "PNG")
        except Exception as error:
            reason = one_line(error)
            print(f"not rendered: page {page} of {document.name}: {reason}", file=sys.stderr)
            continue
        yield document, page, Image.open(io.BytesIO(stream.getvalue()))


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
