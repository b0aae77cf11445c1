"""The runner: reads a job's documents inside a stack's environment and tells the launcher.

``python -m dsk.ocr.runner JOB.json``: events go to standard output, a line of JSON each; whatever
else is printed, by vLLM or by us, goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from dsk.errors import DskError, PagesDegraded
from dsk.files import write_atomically
from dsk.ocr import outputs
from dsk.ocr.engine import engine_for
from dsk.ocr.job import Failed, Job, PageDone, Starting
from dsk.ocr.ledger import Ledger
from dsk.ocr.manifest import manifest
from dsk.ocr.record import WHOLE, PageRecord, Status
from dsk.ocr.render import Rendered, rendered
from dsk.ocr.sources import open_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL import Image

    from dsk.ocr.engine import Answer
    from dsk.ocr.job import Document, Event

    Tell = Callable[[Event], None]

_STATUS: Final = {"stop": Status.OK, "length": Status.TRUNCATED}


def main() -> int:
    """Run the job named on the command line; the exit code is dsk's own."""
    tell = _teller()
    job = Job.model_validate_json(Path(sys.argv[1]).read_bytes())
    try:
        return run(job, tell)
    except DskError as error:
        tell(Failed(message=str(error)))
        return error.exit_code


def run(job: Job, tell: Tell) -> int:
    """Read every page of every document; each page ends in its document's ledger."""
    tell(Starting(what="loading the model"))
    engine = engine_for(job)
    tell(Starting(what="reading"))
    started: dict[int, float] = {}
    books: dict[Path, _Book] = {}
    degraded = False

    def settle(document: Document, record: PageRecord) -> None:
        nonlocal degraded
        degraded |= record.status not in WHOLE
        if document.folder not in books:
            books[document.folder] = _Book(document)
        book = books[document.folder]
        book.add(record)
        tell(
            PageDone(
                document=document.name,
                page=record.page,
                status=record.status,
                tokens=record.tokens,
            )
        )
        if book.complete:
            books.pop(document.folder).finish(job, engine.settings)

    def readable() -> Iterator[Rendered]:
        for page in rendered(job.documents, job.dpi, job.limits):
            if page.status is not None:
                ended = PageRecord(
                    page=page.page, status=page.status, reason=page.reason, sheet=page.sheet
                )
                settle(page.document, ended)
                continue
            started[id(page)] = time.monotonic()
            yield page

    for page, answer in engine.read(readable(), _image):
        seconds = time.monotonic() - started.pop(id(page))
        settle(page.document, _record(page, answer, seconds))
    return PagesDegraded.exit_code if degraded else 0


class _Book:
    """The outputs of one document while its pages come in."""

    def __init__(self, document: Document) -> None:
        self._document = document
        document.folder.mkdir(parents=True, exist_ok=True)
        self._ledger = Ledger(document.folder / "pages.jsonl")
        self._records: list[PageRecord] = []

    @property
    def complete(self) -> bool:
        """Whether every page has its state."""
        return len(self._records) == len(self._document.pages)

    def add(self, record: PageRecord) -> None:
        """Take a page into the ledger."""
        self._ledger.append(record)
        self._records.append(record)

    def finish(self, job: Job, settings: dict[str, object]) -> None:
        """Write the document's outputs and its manifest."""
        self._ledger.close()
        made = manifest(job, self._document, settings)
        records = sorted(self._records, key=lambda record: record.page)
        outputs.write(
            self._document,
            lambda: iter(records),
            formats=job.formats,
            source=lambda: open_document(self._document, job.limits),
            dpi=job.dpi,
            limits=job.limits,
            compat=job.compat,
        )
        write_atomically(
            self._document.folder / "manifest.json",
            json.dumps(made, indent=2, ensure_ascii=False) + "\n",
        )


def _record(page: Rendered, answer: Answer, seconds: float) -> PageRecord:
    status = _STATUS.get(answer.finish_reason, Status.ENGINE_FAILED)
    reasons = {
        Status.OK: "",
        Status.TRUNCATED: f"the answer was cut off after {answer.tokens} tokens",
    }
    return PageRecord(
        page=page.page,
        status=status,
        reason=reasons.get(
            status, answer.problem or f"the engine ended it with '{answer.finish_reason}'"
        ),
        finish_reason=answer.finish_reason,
        tokens=answer.tokens,
        prompt_tokens=answer.prompt_tokens,
        sheet=page.sheet,
        seconds=round(seconds, 3),
        text=answer.text,
    )


def _image(page: Rendered) -> Image.Image:
    assert page.image is not None
    return page.image


def _teller() -> Tell:
    """Keep standard output for events alone, from the first import of a talkative library on."""
    stream: IO[str] = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def tell(event: Event) -> None:
        stream.write(event.model_dump_json() + "\n")

    return tell


if __name__ == "__main__":
    sys.exit(main())
