"""Documents of a run, from the first page to the written outputs: opened, recorded, closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.ocr.pipeline.page_state import PageState
from dsk.ocr.results.document_run import DocumentRun
from dsk.ocr.results.manifest import settings_hash
from dsk.ocr.schema.page_record import WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.engines.worker import EngineReady
    from dsk.ocr.pipeline.output_queue import OutputQueue
    from dsk.ocr.schema.events import Listener
    from dsk.ocr.schema.page_record import PageRecord
    from dsk.ocr.schema.run_plan import RunPlan


class OpenDocuments:
    """Documents whose ledgers are open. A document is opened when its first page is due.

    Args:
        plan: the plan of the run.
        emit: called with each page that has its final record.
        outputs: takes the documents whose pages are all read.
    """

    def __init__(self, plan: RunPlan, emit: Listener, outputs: OutputQueue) -> None:
        self._plan = plan
        self._emit = emit
        self._outputs = outputs
        self._settings = settings_hash(plan)
        self._open: set[DocumentRun] = set()
        self.degraded = False
        """True once a page has ended that is not whole."""

    def pages(self) -> Iterator[PageState | None]:
        """Yield every page to read, in order; None for a document without any.

        A None lets the caller stop in time: of a thousand documents whose outputs alone are
        missing, no more may be opened than the output queue takes.

        Raises:
            UsageProblem: a document's folder is not writable, or another run has locked it.
        """
        for document in self._plan.documents:
            document_run = DocumentRun(self._plan, document, self._settings)
            self._open.add(document_run)
            for number, entry in document_run.taken_over.items():
                self.degraded |= entry.status not in WHOLE
                self._emit(document_run.page_done(number, taken_over=True))
            if document_run.is_complete:
                self._finish(document_run)
                yield None
            for number in document_run.remaining:
                yield PageState(document_run=document_run, number=number)

    def record(self, page: PageState, record: PageRecord, engine: EngineReady | None) -> PageRecord:
        """Append a page's final record to the ledger; queue the document if it was the last page.

        Args:
            page: the page.
            record: its final record.
            engine: an engine that is ready, if there is one.

        Returns:
            The record that counts: an earlier run's, where that has more of the page.

        Raises:
            UsageProblem: the ledger cannot be written to.
        """
        document_run = page.document_run
        self.degraded |= record.status not in WHOLE
        record = document_run.add(record, engine if record.attempts else None)
        self._emit(document_run.page_done(record.page, taken_over=False))
        if document_run.is_complete:
            self._finish(document_run)
        return record

    def close(self, document_run: DocumentRun) -> None:
        """Close a document whose outputs are written."""
        document_run.close()
        self._open.discard(document_run)

    def close_all(self) -> None:
        """Close every document, written or not."""
        for document_run in self._open:
            document_run.close()

    def _finish(self, document_run: DocumentRun) -> None:
        if document_run.outputs_are_current:
            self.close(document_run)
        else:
            self._outputs.add(document_run)
