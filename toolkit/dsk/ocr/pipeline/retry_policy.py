"""Retry policy for pages that were cut off, looped or came out empty: the next step, its settings.

Greedy decoding gives the same answer to the same request, so each step changes the request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dsk import models
from dsk.ocr.schema.page_record import Status

if TYPE_CHECKING:
    from collections.abc import Collection

    from dsk.ocr.schema.page_record import Attempt, How
    from dsk.ocr.schema.run_plan import RunPlan

# A page that the engine failed on, or that took too long, would only do so again.
_RETRIED: Final = frozenset({Status.TRUNCATED, Status.LOOPED, Status.EMPTY})

_BEST_FIRST: Final = (Status.OK, Status.TRUNCATED, Status.LOOPED, Status.EMPTY)


@dataclass(frozen=True, kw_only=True)
class AttemptSettings:
    """Settings of one attempt to read a page.

    Args:
        prompt: the whole prompt, image placeholder included.
        ngram_size: tokens of a repeat that the n-gram guard bans.
        ngram_window: tokens that it looks back over.
        mode: the resolution's name; see `dsk.models.base.ModelProfile.resolutions`.
        split: whether the page is read in two halves.
    """

    prompt: str
    ngram_size: int
    ngram_window: int
    mode: str
    split: bool = False


def settings_for(plan: RunPlan, step: How) -> AttemptSettings | None:
    """Return the settings of a step; None if this run cannot take it or it would change nothing."""
    planned = AttemptSettings(
        prompt=plan.prompt,
        ngram_size=plan.ngram_size,
        ngram_window=plan.ngram_window,
        mode=plan.engine.mode,
    )
    profile = models.profile(plan.engine.profile)
    guard = profile.record.guards.retry
    match step:
        case "asked":
            return planned
        case "guard":
            return replace(planned, ngram_size=guard.size, ngram_window=guard.window)
        case "resolution":
            # A server that is sent the whole page as a PNG chooses the resolution itself.
            other = profile.retry_resolution(plan.engine.mode).name
            return None if plan.engine.page_format == "png" else replace(planned, mode=other)
        case "ungrounded":
            plain = profile.ungrounded(plan.prompt)
            return None if plain == plan.prompt else replace(planned, prompt=plain)
        case "halves":
            return replace(planned, split=True)
        case "text-layer":
            return None


def next_step(plan: RunPlan, tried: Collection[How], last: Status) -> How | None:
    """Return the step after an attempt that ended with status ``last``; None if none is left."""
    if last not in _RETRIED or len(tried) >= plan.attempts:
        return None
    steps = models.profile(plan.engine.profile).record.retry_steps
    # The guard forbids repetition, and what is empty repeats nothing: its answer would be the same.
    useless = {"guard"} if last is Status.EMPTY else set()
    untried = (step for step in steps if step not in {*tried, *useless})
    return next((step for step in untried if settings_for(plan, step)), None)


def has_text_layer_step(plan: RunPlan, last: Status) -> bool:
    """Return True if the file's own text is looked for where no attempt came out whole."""
    return last in _RETRIED and plan.text_layer != "never"


def is_better(one: tuple[Attempt, str], other: tuple[Attempt, str]) -> bool:
    """Return True if an attempt and its text are worth more than another with its own."""
    return _worth(*one) > _worth(*other)


def _worth(attempt: Attempt, text: str) -> tuple[int, int]:
    known = attempt.status in _BEST_FIRST
    rank = _BEST_FIRST.index(attempt.status) if known else len(_BEST_FIRST)
    return -rank, len(text)
