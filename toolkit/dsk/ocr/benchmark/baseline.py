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
from dsk.ocr.documents.base import in_a_line, open_document
from dsk.ocr.engines.vllm import Ask, Engine, fixed
from dsk.ocr.schema.job import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.documents.base import Source
    from dsk.ocr.schema.job import Document


def main() -> None:
    """Read a job's pages the plain way, and tell what each phase took."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    job = Job.model_validate_json(Path(sys.argv[1]).read_bytes())

    def tell(phase: str, began: float, **more: Any) -> None:
        told = {"phase": phase, "began": began, "ended": time.time(), **more}
        out.write(json.dumps(told) + "\n")

    began = time.time()
    engine = Engine(job)
    tell("start", began)
    began = time.time()
    pages = list(rendered(job))
    asked = sum(len(document.pages) for document in job.documents)
    tell("render", began, pages=len(pages), not_rendered=asked - len(pages))
    began = time.time()
    images = [image for *_, image in pages]
    asks = [_ask(job, document, page) for document, page, _ in pages]
    tell("generate", began, tokens=engine.all_at_once(images, asks))


def rendered(job: Job) -> Iterator[tuple[Document, int, Image.Image]]:
    """Every page that can be rendered, with its number; what is wrong with others is logged."""
    for document in job.documents:
        try:
            with open_document(document, job.limits) as source:
                yield from _images(source, document, job.dpi)
        except InputUnreadable as error:
            print(f"not rendered: {error}", file=sys.stderr)


def _images(
    source: Source, document: Document, dpi: int
) -> Iterator[tuple[Document, int, Image.Image]]:
    for page in document.pages:
        stream = io.BytesIO()
        try:
            source.image(page, dpi).save(stream, "PNG")
        except Exception as error:
            why = in_a_line(error)
            print(f"not rendered: page {page} of {document.name}: {why}", file=sys.stderr)
            continue
        yield document, page, Image.open(io.BytesIO(stream.getvalue()))


def _ask(job: Job, document: Document, page: int) -> Ask:
    ask = Ask(
        prompt=job.prompt,
        ngram_size=job.ngram_size,
        ngram_window=job.ngram_window,
        max_tokens=job.max_tokens,
    )
    return fixed(ask, job.fixed_tokens, document, page) if job.fixed_tokens else ask


if __name__ == "__main__":
    main()
