"""The plain way to read documents, to measure against: all pages first, then one list.

``python -m dsk.ocr.benchmark.baseline JOB.json`` in a stack's environment. Every page is
rendered, made a PNG and opened again, as the model's own script does; then all of them go to
``LLM.generate``. The phases are told as lines of JSON on standard output. A page that has no
pixels is left out.
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
    """Read a job's pages the plain way, and tell what each phase took."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    plan = RunPlan.model_validate_json(Path(sys.argv[1]).read_bytes())

    def tell(phase: str, began: float, **more: Any) -> None:
        told = {"phase": phase, "began": began, "ended": time.time(), **more}
        out.write(json.dumps(told) + "\n")

    began = time.time()
    engine = VllmEngine(plan.engine, plan.stack)
    tell("start", began)
    began = time.time()
    pages = list(rendered(plan))
    asked = sum(len(document.pages) for document in plan.documents)
    tell("render", began, pages=len(pages), not_rendered=asked - len(pages))
    began = time.time()
    images = [image for *_, image in pages]
    asks = [_ask(plan, document, page) for document, page, _ in pages]
    tell("generate", began, tokens=engine.generate(images, asks))


def rendered(plan: RunPlan) -> Iterator[tuple[Document, int, Image.Image]]:
    """Every page that can be rendered, with its number; what is wrong with others is logged."""
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
            why = one_line(error)
            print(f"not rendered: page {page} of {document.name}: {why}", file=sys.stderr)
            continue
        yield document, page, Image.open(io.BytesIO(stream.getvalue()))


def _ask(plan: RunPlan, document: Document, page: int) -> PageRequest:
    ask = PageRequest(
        prompt=plan.prompt,
        ngram_size=plan.ngram_size,
        ngram_window=plan.ngram_window,
        max_tokens=plan.max_tokens,
    )
    return with_fixed_length(ask, plan.fixed_tokens, document, page) if plan.fixed_tokens else ask


if __name__ == "__main__":
    main()
