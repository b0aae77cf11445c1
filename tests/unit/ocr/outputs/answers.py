"""Answers that no model should give, made at random, and the checks on their outputs."""

from __future__ import annotations

import random
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final

from markdown_it import MarkdownIt

from dsk.ocr.outputs import markdown, webtext
from dsk.ocr.outputs.blocks import blocks
from dsk.ocr.outputs.boxes import LAST
from dsk.ocr.outputs.official import page_drawing, page_text
from dsk.ocr.schema.page_record import PageRecord, Sheet, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

SHEET: Final = Sheet(width=1190, height=1684, width_pt=595, height_pt=842, dpi=144)
PIECES: Final = (
    *("<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "[[1, 2, 3, 4]]", "[[", "]]", "[", "]", ","),
    *(
        "-1",
        "99999999999",
        "1e9",
        "1e999",
        "+",
        "{",
        "}",
        "image",
        "title",
        "text",
        "<table>",
        "</table>",
        "<tr>",
        "<td>",
    ),
    *('<td colspan="2">', "</td>", "</tr>", "<th rowspan=9>", "<b>", "</b>", "<br>", "<center>"),
    *("</center>", "<script>", "</script>", "<", ">", "<!--", "-->", "&lt;", "&", "!", "![", "]("),
    *("]:", "(", ")", "javascript:", "http://e/x", "`", "```", "~~~", "\n", "\n\n", " ", "   "),
    *("\t", "\\", "\\(", "\\)", "\\[", "\\]", "\\coloneqq", "|", "---", "#", "# ", "*", "_", "- "),
    *("> ", "1. ", "a", "word", "中", "é", "\x00", "\r", "\u2028", "\ud800", "\U0001f600", "<svg"),
    *("<img src=x onerror=y>", "<a href='javascript:x'>", "style=x", "$", "=", '"', "'", "%00"),
    page_text.END,
)
REAL: Final = (
    (
        "<|ref|>title<|/ref|><|det|>[[62, 40, 420, 90]]<|/det|>\n# On tables\n\n"
        "<|ref|>table<|/ref|><|det|>[[60, 100, 900, 400]]<|/det|>\n<table><tr><td>1</td>"
        '<td colspan="2">2 <b>x</b></td></tr><tr><td>3</td><td>4</td><td>5</td></tr></table>\n\n'
        "<|ref|>image<|/ref|><|det|>[[60, 420, 900, 700], [1, 2, 3, 4]]<|/det|>\n"
        "<center>Figure 1</center>\n"
    ),
    (
        "<|ref|>text<|/ref|><|det|>[[10, 10, 900, 90]]<|/det|>\nIt is \\( a <b \\), "
        "see [here](https://example.org/a) and ![x](y).\n\n```c\n#include <x>\n```\n\n"
        "<|ref|>equation<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n\\[ x \\coloneqq y \\tag{1} \\]\n"
    ),
    "# Free\n\n- one\n  - two\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n> said <i>so</i>\n",
    "<|ref|>line one<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n<|ref|>line 2<|/ref|><|det|>[[9",
)
_TAGS: Final = frozenset(
    [
        *("b", "em", "i", "s", "strong", "sub", "sup", "u", "br", "table", "thead", "tbody", "tr"),
        *("th", "td", "p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote"),
        *("pre", "code", "hr", "a", "img"),
    ]
)
# What browsers take for one: blanks before it and line ends within it do not count.
_SCHEME: Final = re.compile(r"[\x00-\x20]*([a-z][a-z0-9+.\t\r\n-]*):", re.IGNORECASE)
_ATTRIBUTES: Final = frozenset(
    ["colspan", "rowspan", "start", "class", "title", "href", "src", "alt", "style"]
)


def answers(seed: int) -> Iterator[str]:
    """Random pieces, and real answers that were damaged, without end."""
    dice = random.Random(seed)
    while True:
        if dice.random() < 0.5:
            yield "".join(dice.choices(PIECES, k=dice.randrange(1, 40)))
        else:
            yield _damaged(dice, dice.choice(REAL))


def _damaged(dice: random.Random, text: str) -> str:
    for _ in range(dice.randrange(1, 6)):
        start, end = sorted(dice.randrange(len(text) + 1) for _ in range(2))
        match dice.randrange(4):
            case 0:
                text = text[:start] + text[end:]
            case 1:
                text = text[:start] + dice.choice(PIECES) + text[start:]
            case 2:
                text = text[:end] + text[start:]
            case _:
                text = text[:start] + chr(dice.randrange(0x250)) + text[start + 1 :]
    return text


def check_outputs(answer: str, *, rendered: bool) -> None:
    """Make each kind of text of an answer; ``rendered`` has a Markdown reader read it, too."""
    record = PageRecord.model_construct(page=1, status=Status.OK, text=answer, sheet=SHEET)
    found = blocks(record, max_boxes=50)
    for block in found:
        for box in block.boxes:
            assert 0 <= box.left <= box.right <= LAST
            assert 0 <= box.top <= box.bottom <= LAST
        webtext.html(block.text)
    assert sum(len(block.boxes) for block in found) <= 50
    text = markdown.page(found, lambda name: True)
    page_text.page(answer, 0)
    page_drawing.boxes(answer, (SHEET.width, SHEET.height), most=50)
    if rendered:
        _Reader().feed(_markdown.render(text))


_markdown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
# By itself it leaves out links that run; here it has to show them.
_markdown.validateLink = lambda url: True  # type: ignore[method-assign]


class _Reader(HTMLParser):
    """Refuses what does more than set out text."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _TAGS, tag
        for name, value in attrs:
            assert name in _ATTRIBUTES, name
            if name == "src":
                assert (value or "").startswith("images/p0001_"), value
            if name == "href":
                scheme = _SCHEME.match(value or "")
                assert not scheme or scheme[1].lower() in {"http", "https", "mailto"}, value
            if name == "style":
                assert (value or "").startswith("text-align:"), value

    def handle_comment(self, data: str) -> None:
        assert data == " a picture that was not cut out ", data

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)
