"""A document's text from its pages."""

import re

import pytest

from dsk.ocr.outputs.markdown import block_text, clean, from_answers, raw, tidy
from dsk.ocr.schema.page_record import PageRecord, Sheet, Status

TAG = "<|ref|>text<|/ref|><|det|>[[0, 0, 9, 9]]<|/det|>"
SHEET = Sheet(width=999, height=999, width_pt=500, height_pt=500, dpi=144)


def record(page: int, text: str, status: Status = Status.OK, reason: str = "") -> PageRecord:
    return PageRecord(page=page, status=status, text=text, reason=reason, sheet=SHEET)


def cleaned(*records: PageRecord) -> str:
    return "".join(clean(records))


def test_one_page_is_its_text() -> None:
    assert from_answers(["a page\n"]) == "a page\n"


def test_pages_stand_behind_their_numbers() -> None:
    text = cleaned(record(1, "one\n"), record(2, "two"), record(3, "three"))
    assert text == "one\n\n<!-- page 2 -->\n\ntwo\n\n<!-- page 3 -->\n\nthree\n"


def test_the_first_of_some_pages_says_its_number() -> None:
    assert cleaned(record(7, "seven")) == "\n<!-- page 7 -->\n\nseven\n"


def test_a_text_on_its_tags_line_is_a_paragraph() -> None:
    text = "<|det|>title [1, 2, 3, 4]<|/det|>One\n<|det|>text [5, 6, 7, 8]<|/det|>Two\nlines\n"
    assert cleaned(record(1, text)) == "One\n\nTwo\nlines\n"


def test_tags_are_in_the_raw_text_alone() -> None:
    records = [record(1, f"{TAG}\nwords\n")]
    assert cleaned(*records) == "words\n"
    assert "".join(raw(records)) == f"{TAG}\nwords\n"


def test_a_tag_within_a_line_leaves_the_line() -> None:
    assert from_answers([f"a {TAG}b\nc"]) == "a b\nc\n"


def test_a_located_text_is_the_text() -> None:
    lines = "\n".join(
        f"<|ref|>line {n}<|/ref|><|det|>[[0, {n}, 9, {n + 1}]]<|/det|>" for n in (1, 2)
    )
    assert from_answers([lines]) == "line 1\nline 2\n"


def test_a_missing_page_leaves_a_visible_mark_with_its_number_and_reason() -> None:
    text = cleaned(record(1, "a"), record(2, "", Status.RENDER_FAILED, "a -->bad\n<b>"))
    assert text.endswith(
        "<!-- page 2 -->\n\n\n> **Page 2 is missing:** render-failed, a --\\>bad \\<b\\>\n"
    )


def test_a_cut_off_answer_is_kept_and_visibly_marked() -> None:
    text = cleaned(record(1, "half", Status.TRUNCATED, "cut off"))
    assert text == "half\n\n> **Page 1 is not whole:** truncated, cut off\n"


def test_pages_nothing_is_missing_of_say_how_they_ended_without_being_seen() -> None:
    text = cleaned(
        record(1, "", Status.BLANK),
        record(2, "a", Status.RECOVERED, "without --> grounding"),
        *(record(page, "", Status.SKIPPED) for page in (3, 4, 5)),
        record(6, "b"),
    )
    assert text == (
        "\n<!-- page 1: blank -->\n"
        "\n<!-- page 2 -->\n\na\n\n<!-- page 2: recovered, without - - grounding -->\n"
        "\n<!-- pages 3 to 5: not asked for -->\n"
        "\n<!-- page 6 -->\n\nb\n"
    )


def test_the_raw_text_marks_pages_that_are_not_whole() -> None:
    text = "".join(raw([record(2, f"{TAG}x", Status.LOOPED, "round -->")]))
    assert text == f"\n<!-- page 2 -->\n\n{TAG}x\n\n<!-- page 2: looped, round - - -->\n"


def test_the_raw_text_says_once_which_pages_were_not_asked_for() -> None:
    skipped = [record(page, "", Status.SKIPPED) for page in (1, 2, 4)]
    text = "".join(raw([*skipped[:2], record(3, "x"), *skipped[2:]]))
    assert text == (
        "\n<!-- pages 1 to 2: not asked for -->\n"
        "\n<!-- page 3 -->\n\nx\n"
        "\n<!-- page 4: not asked for -->\n"
    )


def test_pictures_are_links_named_by_page_and_number() -> None:
    picture = "<|ref|>image<|/ref|><|det|>[[0, 0, 9, 9], [9, 9, 20, 20]]<|/det|>\n"
    text = f"before\n\n{picture}<center>Fig. 1</center>\n{picture}after"
    assert cleaned(record(7, text)) == (
        "\n<!-- page 7 -->\n\nbefore\n\n![](images/p0007_01.jpg)\n\n![](images/p0007_02.jpg)\n\n"
        "Fig. 1\n\n![](images/p0007_03.jpg)\n\n![](images/p0007_04.jpg)\n\nafter\n"
    )


@pytest.mark.parametrize("boxes", ["[[5, 5, 5, 9]]", "[]", "eval('1')"])
def test_a_picture_that_cannot_be_cut_out_leaves_no_link(boxes: str) -> None:
    text = from_answers([f"<|ref|>image<|/ref|><|det|>{boxes}<|/det|>\nafter"])
    assert text == "<!-- a picture that was not cut out -->\n\nafter\n"


def test_commands_of_formulas_that_few_renderers_know_are_replaced() -> None:
    assert from_answers([r"\( a \coloneqq b \eqqcolon c \)"]) == "\\( a := b =: c \\)\n"


def test_there_is_one_empty_line_at_most_however_often_it_is_tidied() -> None:
    once = tidy("\n\n a\n\n\n \n\n\nb \n\n")
    assert once == tidy(once) == "a\n\nb\n"


def test_a_simple_table_is_markdown() -> None:
    table = "<table><tr><th>a|b</th><td>c</td></tr><tr><td>1</td><td>2 <b>x</b></td></tr></table>"
    assert from_answers([f"x\n{table}\ny"]) == (
        "x\n\n| a\\|b | c |\n| --- | --- |\n| 1 | 2 <b>x</b> |\n\ny\n"
    )


def test_a_table_with_spans_is_bare_html() -> None:
    table = (
        '<table border="1" onclick="x()"><tr><td colspan="2" style="x">a\n\nb</td></tr>'
        "<tr><td>1</td><td>a<script>b</td></tr></table>"
    )
    assert from_answers([table]) == (
        '<table>\n<tr><td colspan="2">a b</td></tr>\n'
        "<tr><td>1</td><td>a&lt;script>b</td></tr>\n</table>\n"
    )


def test_a_table_that_was_cut_off_is_closed_and_keeps_all_text() -> None:
    text = from_answers(["<table>head<tr><td>1</td>between<td>2"])
    row = "<tr><td>1</td><td>between</td><td>2</td></tr>"
    assert text == f"<table>\n<tr><td>head</td></tr>\n{row}\n</table>\n"


@pytest.mark.parametrize(
    ("written", "made"),
    [
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("<IMG src=x onerror=y>", "&lt;IMG src=x onerror=y>"),
        ("<!-- page 3 -->", "&lt;!-- page 3 -->"),
        ("<b onclick=x>a</b>", "&lt;b onclick=x>a&lt;/b>"),
        ("<td>loose", "&lt;td>loose"),
        ("![p](http://x/y.png)", "!\\[p](http://x/y.png)"),
        ("[a](javascript:x)", "[a]\\(javascript:x)"),
        ("[a]( java&#115;cript:x)", "[a]\\( java&#115;cript:x)"),
        ("[a]\n[a]: data:text/html,x", "[a]\n[a]\\: data:text/html,x"),
        ("#include <vector>", "#include &lt;vector>"),
        ("\\( a <b \\) <b", "\\( a < b \\) &lt;b"),
        ("x<sup>2</sup>, H<sub>2</sub>O", "x<sup>2</sup>, H<sub>2</sub>O"),
        ("[a](https://example.org/x)", "[a](https://example.org/x)"),
        ("f[x](y) < 3", "f[x](y) < 3"),
    ],
)
def test_what_could_act_is_made_text_and_the_rest_is_left(written: str, made: str) -> None:
    assert block_text(written) == made


def test_code_is_left_as_it_is() -> None:
    code = "```cpp\n#include <vector>\n```"
    assert from_answers([f"a <vector>\n\n{code}\n\n<b"]) == f"a &lt;vector>\n\n{code}\n\n&lt;b\n"


def test_code_that_was_cut_off_is_closed() -> None:
    assert from_answers(["```\n<a"]) == "```\n<a\n```\n"


@pytest.mark.parametrize(
    "text",
    [
        "- ```\n  x\n  ```\n\n<script>",
        "   ```\n\n```\n<script>\n```",
        "~~~\n\n```\n~~~\n<script>",
        "text\n```\n<script>\n```",
        "```\n````\n<script>\n```",
        "<br>\n```\n<script>\n```",
    ],
)
def test_fences_that_readers_may_take_otherwise_hide_nothing(text: str) -> None:
    assert "<script>" not in from_answers([text])


def test_a_fence_behind_a_tag_within_a_line_is_no_fence() -> None:
    assert "<script>" not in from_answers([f"a {TAG}```\n<script>\n```"])


@pytest.mark.parametrize(
    "text",
    [
        "<<center>script>alert(1)</script>",
        "<cen<center>ter>!<center>[x](http://e/x.png)",
        f"<{TAG}script>",
        f"!{TAG}[x](http://e/x.png)",
        f"[a]{TAG}(javascript:x)",
        f"[a](\n{TAG}\njavascript:x)",
        f"[a](java{TAG}script:x)",
    ],
)
def test_nothing_becomes_active_by_what_is_taken_away(text: str) -> None:
    made = from_answers([text])
    assert not re.search(r"<script|!\[|<cen|\]\(\s*java", made)


def test_a_cell_whose_pipe_cannot_be_escaped_is_html() -> None:
    assert "<td>a\\|b</td>" in from_answers(["<table><tr><td>a\\|b</td></tr></table>"])


def test_text_is_utf_8_whatever_was_written() -> None:
    assert from_answers(["a\ud800\x00\x1bb\r\nc\rd"]) == "a?b\nc\nd\n"
