"""A page on its way through the pipeline, and what its answers make of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dsk.ocr.engines.base import PageRequest, with_fixed_length
from dsk.ocr.pipeline import retry_policy, split_page
from dsk.ocr.pipeline.page_worker import PagePart  # noqa: TC001  a dataclass field
from dsk.ocr.schema.page_record import Attempt, PageRecord, Status, Timings

if TYPE_CHECKING:
    from dsk.ocr.engines.worker import PageRead
    from dsk.ocr.ipc.payload import Payload
    from dsk.ocr.results.document_run import DocumentRun
    from dsk.ocr.schema.page_record import How, Sheet
    from dsk.ocr.schema.run_plan import RunPlan

_STATUS: Final = {"stop": Status.OK, "length": Status.TRUNCATED, "loop": Status.LOOPED}
_WORST_FIRST: Final = (Status.ENGINE_FAILED, Status.LOOPED, Status.TRUNCATED, Status.OK)


@dataclass(kw_only=True, eq=False)
class PageState:
    """One page, from the plan to its state.

    ``engine_deaths`` counts the engines that ended while they had it, ``worker_crashes`` the
    processes that were to open its document. ``outstanding`` are the requests of the retry step
    that it is on: what comes of others comes too late.
    """

    document_run: DocumentRun
    number: int
    step: How = "asked"
    attempts: list[Attempt] = field(default_factory=list)
    best: tuple[Attempt, PageRead] | None = None
    answers: dict[PagePart, PageRead] = field(default_factory=dict)
    outstanding: list[EngineRequest] = field(default_factory=list)
    engine_deaths: int = 0
    worker_crashes: int = 0
    sheet: Sheet | None = None
    payload: Payload | None = None
    """As first asked."""
    split_row: int = 0
    render_seconds: float = 0.0
    wait_seconds: float = 0.0
    read_seconds: float = 0.0

    def requests(self, plan: RunPlan) -> list[EngineRequest]:
        """What is to be rendered and read for the rung that it is on."""
        settings = retry_policy.settings_for(plan, self.step)
        assert settings is not None
        self.answers = {}
        parts: tuple[PagePart, ...] = ("upper", "lower") if settings.split else ("whole",)
        ask = PageRequest(
            prompt=settings.prompt,
            ngram_size=settings.ngram_size,
            ngram_window=settings.ngram_window,
            max_tokens=plan.max_tokens,
        )
        if plan.fixed_tokens:
            ask = with_fixed_length(ask, plan.fixed_tokens, self.document_run.document, self.number)
        self.outstanding = [
            EngineRequest(page=self, part=part, ask=ask, mode=settings.mode) for part in parts
        ]
        return self.outstanding[:]

    def add_answer(self, part: PagePart, read: PageRead) -> bool:
        """Take an answer in.

        Returns:
            Whether the rung that it is on is done with it.
        """
        self.answers[part] = read
        if len(self.answers) < (2 if self.step == "halves" else 1):
            return False
        whole = self._merged_answer()
        attempt = Attempt(
            how=self.step,
            status=_STATUS.get(whole.finish_reason, Status.ENGINE_FAILED),
            finish_reason=whole.finish_reason,
            tokens=whole.tokens,
        )
        self.attempts.append(attempt)
        kept = self.best
        if kept is None or retry_policy.is_better((attempt, whole.text), (kept[0], kept[1].text)):
            self.best = (attempt, whole)
        return True

    def advance(self, plan: RunPlan) -> bool:
        """Climb the ladder, if there is another rung."""
        tried = [attempt.how for attempt in self.attempts]
        following = retry_policy.next_step(plan, tried, self.attempts[-1].status)
        if following is None:
            return False
        self.step = following
        return True

    def best_record(self) -> PageRecord:
        """The page's record from the best of its answers."""
        assert self.best is not None
        attempt, read = self.best
        status = attempt.status
        if status is Status.OK and attempt.how != "asked":
            status = Status.RECOVERED
        return self._record(status, _reason(attempt, read), attempt, read)

    def record_from_text_layer(self, text: str) -> PageRecord:
        """The page's record from the text that the file itself carries."""
        reason = f"{self.best_record().reason}; the text is the file's own"
        read = self.best[1].model_copy(update={"text": text}) if self.best else None
        return self._record(Status.RECOVERED, reason, None, read)

    def record_without_answer(self, status: Status, reason: str) -> PageRecord:
        """The page's record where no answer came: what an earlier attempt brought is kept."""
        attempt, read = self.best or (None, None)
        return self._record(status, reason, attempt, read)

    def _record(
        self, status: Status, reason: str, attempt: Attempt | None, read: PageRead | None
    ) -> PageRecord:
        how: How = "asked" if attempt else "text-layer"
        if attempt or not read:
            how = attempt.how if attempt else "asked"
        return PageRecord(
            page=self.number,
            status=status,
            reason=reason,
            how=how,
            attempts=tuple(self.attempts),
            finish_reason=read.finish_reason if read else "",
            tokens=read.tokens if read else 0,
            prompt_tokens=read.prompt_tokens if read else 0,
            sheet=self.sheet,
            grid=self.payload.grid if self.payload else None,
            timings=Timings(
                render=round(self.render_seconds, 4),
                wait=round(self.wait_seconds, 4),
                read=round(self.read_seconds, 4),
            ),
            text=read.text if read else "",
        )

    def _merged_answer(self) -> PageRead:
        if "whole" in self.answers:
            return self.answers["whole"]
        upper, lower = self.answers["upper"], self.answers["lower"]
        assert self.sheet is not None
        worst = min(
            (upper, lower),
            key=lambda one: _WORST_FIRST.index(
                _STATUS.get(one.finish_reason, Status.ENGINE_FAILED)
            ),
        )
        text = split_page.join_texts(
            upper.text, lower.text, split_row=self.split_row, height=self.sheet.height
        )
        return worst.model_copy(
            update={
                "text": text,
                "tokens": upper.tokens + lower.tokens,
                "prompt_tokens": upper.prompt_tokens + lower.prompt_tokens,
            }
        )


@dataclass(kw_only=True, eq=False)
class EngineRequest:
    """A page, or half of one, that is rendered and then read once."""

    page: PageState
    part: PagePart
    ask: PageRequest
    mode: str
    payload: Payload | None = None
    file: int = -1
    since: float = 0.0
    """When it came to where it is, in `time.monotonic` seconds."""

    @property
    def is_current(self) -> bool:
        """Whether the page still waits for it."""
        return self in self.page.outstanding


def _reason(attempt: Attempt, read: PageRead) -> str:
    match attempt.status:
        case Status.OK:
            return ""
        case Status.TRUNCATED:
            return f"the answer was cut off after {read.tokens} tokens"
        case Status.LOOPED:
            return f"the answer repeated itself and was stopped after {read.tokens} tokens"
        case _:
            return read.problem or f"the engine ended it with '{read.finish_reason}'"
