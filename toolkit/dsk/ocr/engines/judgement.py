"""Judge answers that arrive whole, as `dsk.ocr.engines.loop_detector` judges growing ones.

A server sends text, not token ids. So its words, tags and marks stand for tokens: in the model's
vocabulary a word is one or two tokens, a tag or a Chinese character one.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dsk.ocr.engines.loop_detector import LoopDetector

if TYPE_CHECKING:
    from dsk.ocr.engines.base import PageAnswer

_PIECES: Final = re.compile(r"<\|/?\w+\|>|</?\w+>|[^\W\u2e80-\U0003ffff]+|\s|.", re.DOTALL)


def judged(answer: PageAnswer) -> PageAnswer:
    """Return the answer, as looped and cut after one round if it loops.

    One that ended by itself is no exception: no page holds as much repetition as the detector asks
    for, and an engine of ours would have stopped it before its end.
    """
    if answer.finish_reason not in ("length", "stop"):
        return answer
    once = unlooped(answer.text)
    return answer if once is None else replace(answer, text=once, finish_reason="loop")


def unlooped(text: str) -> str | None:
    """Return the text up to the end of its loop's first round; None if it does not loop."""
    pieces = _PIECES.findall(text)
    numbers: dict[str, int] = {}
    detector = LoopDetector()
    detector.feed(numbers.setdefault(piece, len(numbers)) for piece in pieces)
    if detector.loop is None:
        return None
    return "".join(pieces[: detector.loop.start + detector.loop.period])
