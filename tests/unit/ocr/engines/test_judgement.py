"""Answers that come whole: a loop is found in text as it is in token ids."""

from __future__ import annotations

import pytest

from dsk.ocr.engines.base import PageAnswer
from dsk.ocr.engines.judgement import judged, unlooped


def answer(text: str, reason: str = "length") -> PageAnswer:
    return PageAnswer(text=text, finish_reason=reason, tokens=1, prompt_tokens=1)


@pytest.mark.parametrize(
    "round_",
    [
        "The same line comes again and again.\n",
        "<tr><td>1</td><td>total</td></tr>",
        "同じ行が何度も続く。",
        "<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\nwords\n",
    ],
)
def test_an_answer_that_was_cut_off_in_a_loop_is_looped_and_says_its_round_once(
    round_: str,
) -> None:
    found = judged(answer("Before it: " + round_ * 400))
    assert found.finish_reason == "loop"
    assert found.text.startswith("Before it: ")
    assert round_.strip()[:8] in found.text
    assert len(found.text) < len("Before it: ") + 3 * len(round_)


@pytest.mark.parametrize("after", ["", "and then it ends.\n" * 3])
@pytest.mark.parametrize(
    "line", ["| a | b |\n", "The same line again.\n", "同じ行が何度も続く。\n"]
)
def test_an_answer_that_loops_and_ends_by_itself_is_looped(line: str, after: str) -> None:
    found = judged(answer("Before it: " + line * 1500 + after, "stop"))
    assert found.finish_reason == "loop"
    assert found.text.startswith("Before it: ")
    assert len(found.text) < len("Before it: ") + 3 * len(line)


@pytest.mark.parametrize("reason", ["stop", "error", "refused"])
def test_an_answer_without_a_loop_is_left_alone(reason: str) -> None:
    whole = answer("| a | b |\n" * 40, reason)
    assert judged(whole) is whole


def test_a_long_answer_without_a_loop_is_truncated_and_whole() -> None:
    text = " ".join(f"word {number} of a long page" for number in range(3000))
    assert unlooped(text) is None
    assert judged(answer(text)).finish_reason == "length"


def test_no_character_is_lost_in_pieces() -> None:
    from dsk.ocr.engines.judgement import _PIECES

    text = "a b\n<|ref|>x<|/ref|>\t<td>12.5 %</td> 漢字かな🙂 é \x00"
    assert "".join(_PIECES.findall(text)) == text
