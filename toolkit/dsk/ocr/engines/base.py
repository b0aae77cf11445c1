"""The engine protocol: page requests in, page answers out, whatever reads the pages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsk.models.base import Views
    from dsk.ocr.schema.engine_config import PageFormat
    from dsk.ocr.schema.run_plan import Document

# Fractions of its multiples are spread evenly, however many there are.
_GOLDEN_RATIO: Final = (5**0.5 - 1) / 2


@dataclass(frozen=True, kw_only=True)
class PageAnswer:
    """An engine's answer for one page.

    Args:
        text: special tokens included, without the end of sentence.
        finish_reason: vLLM's own: "stop", or "length" where the answer was cut off; dsk's: "loop"
            where the answer repeats itself and ``text`` holds the repeated part once; "refused"
            where the engine takes no such page, and "error" where the cause is not the page.
        tokens: how many were generated.
        prompt_tokens: of the prompt and the page's vision tokens.
        problem: why there is no answer, where the finish reason is "refused" or "error".
    """

    text: str
    finish_reason: str
    tokens: int
    prompt_tokens: int
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class PageRequest:
    """A request for one page.

    Args:
        prompt: with its image placeholder.
        ngram_size: tokens that may not come twice within ``ngram_window``.
        max_tokens: of the answer.
        fixed_tokens: True if the answer goes on to ``max_tokens`` past its own end.
    """

    prompt: str
    ngram_size: int
    ngram_window: int
    max_tokens: int
    fixed_tokens: bool = False


def with_fixed_length(
    request: PageRequest, mean: int, document: Document, page: int
) -> PageRequest:
    """Return the request with a fixed answer length between half of ``mean`` and three halves.

    The lengths of a document's pages have that mean, nearly, however many pages there are.
    """
    # Pages of one length would begin and end together, as no real ones do.
    share = (int(document.sha256[:8] or "0", 16) / 2**32 + page * _GOLDEN_RATIO) % 1 + 0.5
    return replace(request, max_tokens=max(1, round(mean * share)), fixed_tokens=True)


class Engine(Protocol):
    """Reads pages; the answers that it gives are judged, see `dsk.ocr.engines.judgement`."""

    settings: dict[str, Any]
    """Settings it was started with, for the manifest."""
    page_format: PageFormat
    """``views`` takes `dsk.models.base.Views`, ``png`` the bytes of a PNG file."""
    capacity: int
    """Pages to keep in flight: fewer leave the engine waiting, more wait themselves."""

    @property
    def running(self) -> int:
        """Number of pages in flight."""

    def add(self, number: int, page: Views | bytes, request: PageRequest) -> None:
        """Take a page, under a number that no other page in flight has."""

    def step(self) -> Sequence[tuple[int, PageAnswer]]:
        """Work for a moment; return the pages that have ended with their answers."""

    def drop(self, number: int) -> None:
        """Forget a page in flight."""

    def close(self) -> None:
        """Release what was started."""
