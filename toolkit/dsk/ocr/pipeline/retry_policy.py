"""What is tried when a page did not come out whole: a ladder, climbed a rung at a time.

Greedy decoding gives the same answer to the same question, so each rung asks another one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dsk.models.deepseek_ocr.prompts import ungrounded
from dsk.ocr.schema.page_record import Status

if TYPE_CHECKING:
    from collections.abc import Collection

    from dsk.ocr.schema.page_record import Attempt, How
    from dsk.ocr.schema.run_plan import RunPlan

RETRY_STEPS: Final[tuple[How, ...]] = ("asked", "guard", "resolution", "ungrounded", "halves")
"""The readings by the engine, in the order in which they are tried."""

_TRIED_AGAIN: Final = frozenset({Status.TRUNCATED, Status.LOOPED})

_STRONGER_SIZE: Final = 10
_STRONGER_WINDOW: Final = 200
"""The stronger guard: 10 tokens do not come twice within 200. A loop of up to 190 tokens is broken
where the usual guard (20 within 50) breaks one of 30."""

_BEST_FIRST: Final = (Status.OK, Status.TRUNCATED, Status.LOOPED)


@dataclass(frozen=True, kw_only=True)
class AttemptSettings:
    """What the engine is asked for a page.

    Args:
        mode: the resolution's name; see `dsk.models.deepseek_ocr.resolutions.MODES`.
        split: whether the page is read in two parts.
    """

    prompt: str
    ngram_size: int
    ngram_window: int
    mode: str
    split: bool = False


def settings_for(plan: RunPlan, how: How) -> AttemptSettings | None:
    """What is asked on a rung; None where a run cannot ask it, or it would be the same again."""
    asked = AttemptSettings(
        prompt=plan.prompt,
        ngram_size=plan.ngram_size,
        ngram_window=plan.ngram_window,
        mode=plan.engine.mode,
    )
    match how:
        case "asked":
            return asked
        case "guard":
            return replace(asked, ngram_size=_STRONGER_SIZE, ngram_window=_STRONGER_WINDOW)
        case "resolution":
            # Who gets a whole picture cuts it as it likes.
            other = "base" if plan.engine.mode == "gundam" else "gundam"
            return None if plan.engine.page_format == "png" else replace(asked, mode=other)
        case "ungrounded":
            plain = ungrounded(plan.prompt)
            return None if plain == plan.prompt else replace(asked, prompt=plain)
        case "halves":
            return replace(asked, split=True)
        case "text-layer":
            return None


def next_step(plan: RunPlan, tried: Collection[How], last: Status) -> How | None:
    """The rung to climb after one that ended with a status; None where that is the end."""
    if last not in _TRIED_AGAIN or len(tried) >= plan.attempts:
        return None
    return next((how for how in RETRY_STEPS if how not in tried and settings_for(plan, how)), None)


def is_better(one: tuple[Attempt, str], other: tuple[Attempt, str]) -> bool:
    """Whether a reading and its text are to be kept rather than an earlier one and its."""
    return _worth(*one) > _worth(*other)


def _worth(attempt: Attempt, text: str) -> tuple[int, int]:
    states = _BEST_FIRST
    rank = states.index(attempt.status) if attempt.status in states else len(states)
    return -rank, len(text)
