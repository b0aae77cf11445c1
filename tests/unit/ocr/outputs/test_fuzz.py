"""Answers at random: no exception, nothing active, linear time; a million in benchmarks."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from tests.unit.ocr.outputs.answers import answers, check_outputs

from dsk.ocr.outputs import markdown, webtext
from dsk.ocr.outputs.blocks import blocks
from dsk.ocr.schema.page_record import PageRecord, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

HOSTILE = [
    *("<|ref|>", "<|/ref|>", "<|ref|>a<|/ref|><|det|>", "<|ref|>a<|/ref|><|det|>[[", "[[1,2,3,4],"),
    *("<|ref|>image<|/ref|><|det|>[[1,2,3,4]]<|/det|>", "<|det|>[[1, 2, 3, ", "[", "[ ", " ", "\n"),
    *(
        " \n",
        "\n \t",
        "<b>",
        "<b>a",
        "<b></b>",
        "<",
        "<<",
        "<center>",
        "<cen<center>ter>",
        "](",
        "]",
    ),
    *(
        "](a",
        "] ( ",
        "]:",
        "]: a",
        "![",
        "!",
        "\\(",
        "\\\\",
        "<table>",
        "<table><tr>",
        "<td>",
        "<td",
    ),
    *("<td >x", "</td>", "<table></table>", "<td colspan=", "```\n", "\n\n```\n", "```", "~~~\n\n"),
    *("|", "\\|", "# ", "#", "&lt;b&gt;", "&", "<!--", "-->", "a", "\x00", "\ud800", "\r\n", "1"),
]


def test_thousands_of_answers_at_random_do_nothing() -> None:
    for number, answer in enumerate(islice(answers(seed=7), 3_000)):
        check_outputs(answer, rendered=number % 2 == 0)


@pytest.mark.parametrize("piece", HOSTILE)
def test_an_answer_twice_as_long_takes_twice_the_steps(piece: str) -> None:
    inside = (piece * 400, f"<|ref|>text<|/ref|><|det|>{piece * 400}<|/det|>")
    for text in inside:
        steps = [_steps(text * times) for times in (1, 2, 4)]
        assert steps[2] - steps[1] <= 2.1 * (steps[1] - steps[0]) + 200


@pytest.mark.parametrize("piece", HOSTILE)
def test_what_is_not_counted_in_steps_ends_on_long_answers(piece: str) -> None:
    # 300,000 characters take a fraction of a second; what went back over them would take minutes.
    text = (piece * (300_000 // len(piece)))[:300_000]
    with _given_up_after(seconds=20):
        _made(text)


def _made(text: str) -> None:
    record = PageRecord.model_construct(page=1, status=Status.OK, text=text, sheet=None)
    found = blocks(record, max_boxes=5_000)
    markdown.page(found, lambda name: True)
    for block in found:
        webtext.html(block.text)


def _steps(text: str) -> int:
    """Lines of Python that run."""
    count = 0

    def counted(frame: FrameType, event: str, argument: object) -> object:
        nonlocal count
        count += event == "line"
        return counted

    before = sys.gettrace()
    sys.settrace(counted)  # type: ignore[arg-type]
    try:
        _made(text)
    finally:
        sys.settrace(before)
    return count


@contextmanager
def _given_up_after(*, seconds: float) -> Iterator[None]:
    """Ends what takes so much time of the processor: waiting for others does not count."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise AssertionError

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
