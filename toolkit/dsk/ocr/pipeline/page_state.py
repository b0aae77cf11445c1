"""State of one page: its attempts, outstanding requests and final record."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dsk.ocr.engines.base import PageRequest, with_fixed_length
from dsk.ocr.outputs.blocks import has_content
from dsk.ocr.pipeline import retry_policy, split_page
from dsk.ocr.schema.page_record import Attempt, PagePart, PageRecord, Status, Timings

if TYPE_CHECKING:
    from dsk.ocr.engines.connection import EngineConnection
    from dsk.ocr.engines.worker import PageRead
    from dsk.ocr.ipc.payload import Payload
    from dsk.ocr.pipeline.page_worker import TaskResult
    from dsk.ocr.results.document_run import DocumentRun
    from dsk.ocr.schema.page_record import How, Sheet
    from dsk.ocr.schema.run_plan import RunPlan

_STATUS: Final = {"stop": Status.OK, "length": Status.TRUNCATED, "loop": Status.LOOPED}
_WORST_FIRST: Final = (Status.ENGINE_FAILED, Status.LOOPED, Status.TRUNCATED, Status.OK)


@dataclass(kw_only=True, eq=False)
class PageState:
    """One page, from the plan to its final record.

    Args:
        document_run: the run of the page's document.
        number: 1-based.
        step: the current step; see `dsk.ocr.pipeline.retry_policy.RETRY_STEPS`.
        attempts: the attempts that have ended.
        best: the best of them, with its answer.
        answers: answers of the current step.
        outstanding: requests of the current step. Answers to any others come too late and are
            dropped: the page has moved on, or has ended.
        engine_deaths: engines that died while they had the page.
        losses: machines that were lost while they had it.
        worker_crashes: workers that died while they rendered it.
        card: the card of its last answer, by its position in the placement.
        sheet: the page's size, once it is rendered.
        payload: the pixels of the first attempt, described.
        split_row: the row, in pixels, that its halves are split at.
        is_measured: its answers have a fixed length, and their text does not matter.
        render_seconds: time in workers, over all attempts.
        wait_seconds: time between a worker and an engine.
        read_seconds: time in engines.
    """

    document_run: DocumentRun
    number: int
    step: How = "asked"
    attempts: list[Attempt] = field(default_factory=list)
    best: tuple[Attempt, PageRead] | None = None
    answers: dict[PagePart, PageRead] = field(default_factory=dict)
    outstanding: list[EngineRequest] = field(default_factory=list)
    engine_deaths: int = 0
    losses: int = 0
    worker_crashes: int = 0
    card: int | None = None
    sheet: Sheet | None = None
    payload: Payload | None = None
    split_row: int = 0
    is_measured: bool = False
    render_seconds: float = 0.0
    wait_seconds: float = 0.0
    read_seconds: float = 0.0

    def requests(self, plan: RunPlan) -> list[EngineRequest]:
        """Create the requests of the current step; those of before become obsolete."""
        settings = retry_policy.settings_for(plan, self.step)
        assert settings is not None
        self.answers = {}
        parts: tuple[PagePart, ...] = ("upper", "lower") if settings.split else ("whole",)
        page_request = PageRequest(
            prompt=settings.prompt,
            ngram_size=settings.ngram_size,
            ngram_window=settings.ngram_window,
            max_tokens=plan.max_tokens,
        )
        if plan.fixed_tokens:
            self.is_measured = True
            page_request = with_fixed_length(
                page_request, plan.fixed_tokens, self.document_run.document, self.number
            )
        self.outstanding = [
            EngineRequest(page=self, part=part, page_request=page_request, mode=settings.mode)
            for part in parts
        ]
        return self.outstanding[:]

    def note_rendering(self, result: TaskResult) -> None:
        """Note what the rendering of a request tells of the page."""
        self.render_seconds += result.seconds
        self.sheet = result.sheet or self.sheet
        self.split_row = result.split_row or self.split_row
        self.payload = self.payload or result.payload

    def add_answer(self, part: PagePart, answer: PageRead) -> bool:
        """Add an answer; return True if it completes the current step."""
        self.answers[part] = answer
        if len(self.answers) < (2 if self.step == "halves" else 1):
            return False
        whole = self._merged_answer()
        status = _STATUS.get(whole.finish_reason, Status.ENGINE_FAILED)
        # A page of one colour never comes here: there is something on this one.
        if status is Status.OK and not (self.is_measured or has_content(whole.text)):
            status = Status.EMPTY
        attempt = Attempt(
            how=self.step,
            status=status,
            finish_reason=whole.finish_reason,
            tokens=whole.tokens,
        )
        self.attempts.append(attempt)
        best = self.best
        if best is None or retry_policy.is_better((attempt, whole.text), (best[0], best[1].text)):
            self.best = (attempt, whole)
        return True

    def advance(self, plan: RunPlan) -> bool:
        """Move on to the next retry step; return False if none is left."""
        tried = [attempt.how for attempt in self.attempts]
        following = retry_policy.next_step(plan, tried, self.attempts[-1].status)
        if following is None:
            return False
        self.step = following
        return True

    def best_record(self) -> PageRecord:
        """Return the record made of the best answer."""
        assert self.best is not None
        attempt, answer = self.best
        status = attempt.status
        if status is Status.OK and attempt.how != "asked":
            status = Status.RECOVERED
        return self._record(status, _reason(attempt, answer), attempt.how, answer)

    def record_with_text_layer(self, text: str) -> PageRecord:
        """Return the record made of the better of a page's text layer and its best answer."""
        if self.best is None:
            return self.record_from_text_layer(text)
        record = self.best_record()
        # A scan's text layer is often a few words of a stamp: a longer answer is kept, loop or not.
        is_longer = len(text) >= len(record.text) or record.status is Status.EMPTY
        return self.record_from_text_layer(text) if has_content(text) and is_longer else record

    def record_from_text_layer(self, text: str) -> PageRecord:
        """Return the record made of the text that the file itself carries."""
        if self.best is None:  # the model was not asked
            if not has_content(text):
                reason = "the file carries no text of this page"
                return self._record(Status.EMPTY, reason, "text-layer", None)
            record = self._record(Status.OK, "the text is the file's own", "text-layer", None)
            return record.model_copy(update={"text": text})
        reason = f"{self.best_record().reason}; the text is the file's own"
        answer = self.best[1].model_copy(update={"text": text})
        return self._record(Status.RECOVERED, reason, "text-layer", answer)

    def record_without_answer(self, status: Status, reason: str) -> PageRecord:
        """Return the record of a page that failed, with the best answer of earlier attempts."""
        if self.best is None:
            return self._record(status, reason, "asked", None)
        attempt, answer = self.best
        return self._record(status, reason, attempt.how, answer)

    def _record(self, status: Status, reason: str, how: How, answer: PageRead | None) -> PageRecord:
        return PageRecord(
            page=self.number,
            status=status,
            reason=reason,
            how=how,
            attempts=tuple(self.attempts),
            finish_reason=answer.finish_reason if answer else "",
            tokens=answer.tokens if answer else 0,
            prompt_tokens=answer.prompt_tokens if answer else 0,
            sheet=self.sheet,
            grid=self.payload.grid if self.payload else None,
            timings=Timings(
                render=round(self.render_seconds, 4),
                wait=round(self.wait_seconds, 4),
                read=round(self.read_seconds, 4),
            ),
            text=answer.text if answer else "",
        )

    def _merged_answer(self) -> PageRead:
        """Return the answer of the whole page, joined where it was read in halves."""
        if "whole" in self.answers:
            return self.answers["whole"]
        upper, lower = self.answers["upper"], self.answers["lower"]
        assert self.sheet is not None
        # A page is no better than the worse of its halves: that one gives the finish reason.
        worse = min(
            (upper, lower),
            key=lambda half: _WORST_FIRST.index(
                _STATUS.get(half.finish_reason, Status.ENGINE_FAILED)
            ),
        )
        text = split_page.join_texts(
            upper.text, lower.text, split_row=self.split_row, height=self.sheet.height
        )
        return worse.model_copy(
            update={
                "text": text,
                "tokens": upper.tokens + lower.tokens,
                "prompt_tokens": upper.prompt_tokens + lower.prompt_tokens,
            }
        )


@dataclass(kw_only=True, eq=False)
class EngineRequest:
    """One engine request for a page, or for half of it: rendered first, then read once.

    Args:
        page: the page that it is for.
        part: the half, or the whole page.
        page_request: the prompt and the limits on its answer.
        mode: the model's resolution.
        payload: the description of the rendered pixels.
        file: descriptor of these pixels in memory; -1 until they are rendered, and invalid once
            they are sent.
        since: when it came to its present stage, in `time.monotonic` seconds.
    """

    page: PageState
    part: PagePart
    page_request: PageRequest
    mode: str
    payload: Payload | None = None
    file: int = -1
    since: float = 0.0

    def send_to(self, engine: EngineConnection, number: int) -> None:
        """Send it to an engine, rendered or not; its file is closed.

        Args:
            engine: the engine.
            number: the number that the answer will have.

        Raises:
            EngineDied: the engine's process has ended.
        """
        if self.payload is not None:
            engine.send(number, self.payload, self.page_request, self.file)
            return
        page = self.page
        engine.send_unrendered(
            number,
            page.document_run.unpaged,
            page.number,
            self.part,
            self.mode,
            self.page_request,
        )

    def close(self) -> None:
        """Close its file, if it is rendered."""
        if self.file >= 0:
            os.close(self.file)

    @property
    def is_current(self) -> bool:
        """True while the page waits for the answer."""
        return self in self.page.outstanding


def _reason(attempt: Attempt, answer: PageRead) -> str:
    match attempt.status:
        case Status.OK:
            return ""
        case Status.TRUNCATED:
            return f"the answer was cut off after {answer.tokens} tokens"
        case Status.EMPTY:
            return "the answer has no text, and the page is not blank"
        case Status.LOOPED:
            return f"the answer repeated itself and was stopped after {answer.tokens} tokens"
        case _:
            return answer.problem or f"the engine ended it with '{answer.finish_reason}'"
