"""The report: one file that fetches nothing, and in which nothing of a page's text acts."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from PIL import Image
from tests.unit.ocr.outputs.conftest import context, opened, records, tag

from dsk.ocr.outputs import html_report
from dsk.ocr.outputs.webtext import html
from dsk.ocr.schema.page_record import PageRecord, Sheet, Status

if TYPE_CHECKING:
    from dsk.ocr.schema.run_plan import Document

OURS = {
    *("html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "label", "input"),
    *("nav", "button", "b", "main", "section", "a", "span", "div", "img", "svg", "rect", "canvas"),
    *("p", "pre", "table", "tr", "td", "th", "script", "br", "i", "sub", "sup"),
}
HOSTILE = "\n".join(
    [
        "</title></style></script><script>alert(1)</script><img src=http://e/x onerror=alert(1)>",
        "<b onmouseover=alert(1)>x</b> <b>y</b> <b><i>z</i></b> & \" ' <!-- --> <![CDATA[",
        "# <a href='javascript:alert(1)'>head</a>",
        "<table onclick=alert(1)><tr><td colspan=2 style='x'><script>1</script></td></tr></table>",
        "```\n</pre><script>\n```",
        tag('"><script>alert(1)</script>', (1, 2, 3, 4)),
        tag("image", (0, 0, 500, 500)),
    ]
)


class Reader(HTMLParser):
    """Collects the tags of a page and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}
        if tag not in {"meta", "img", "input", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def made(document: Document, found: list[PageRecord]) -> str:
    with opened(document) as source:
        return "".join(html_report.render(context(document, found), source))


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def test_whatever_a_page_says_only_our_tags_are_there(document: Document) -> None:
    hostile = records(HOSTILE)[0].model_copy(update={"reason": "<script>alert(1)</script>"})
    named = document.model_copy(update={"path": document.path.with_name("<script>.pdf")})
    named.path.symlink_to(document.path)
    reader = read(made(named, [hostile]))
    assert reader.names <= OURS
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name == "style"]
    links = {value for name, value in reader.attributes if name in {"href", "src"}}
    assert links == {"#p1"}
    assert not [value for name, value in reader.attributes if name != "content" and "http" in value]


def test_the_policy_lets_in_its_own_style_and_script_alone(document: Document) -> None:
    text = made(document, records())
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    for name in ("style", "script"):
        (content,) = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_each_page_is_a_section_with_its_state_and_those_not_asked_for_share_one(
    document: Document,
) -> None:
    skipped = [PageRecord(page=page, status=Status.SKIPPED) for page in (3, 4)]
    failed = PageRecord(page=5, status=Status.REFUSED, reason="too large")
    text = made(document, [*records(), *skipped, failed])
    assert re.findall(r'<section (?:id="(p\d)"|class="skipped") data-state="([a-z]*)"', text) == [
        ("p1", "ok"),
        ("p2", "ok"),
        ("", "skipped"),
        ("p5", "refused"),
    ]
    assert "Pages 3 to 4: not asked for" in text
    assert re.findall(r'data-state="(\w*)" aria-pressed="\w+">[\w ]+<b>(\d)</b>', text) == [
        ("", "5"),
        ("ok", "2"),
        ("refused", "1"),
        ("skipped", "2"),
    ]
    assert text.count("no picture of this page") == 1


def test_a_box_and_its_text_carry_the_same_number(document: Document) -> None:
    text = made(document, records()[:1])
    boxes = re.findall(r'<rect class="k\d" data-b="(\d)" x="(\d+)" y="(\d+)"', text)
    assert boxes == [("0", "0", "0"), ("1", "0", "500"), ("2", "0", "200")]
    assert re.findall(r'<div class="block k\d" data-b="(\d)"', text) == ["0", "1", "2"]


def test_a_picture_of_a_large_page_has_no_more_dots_than_a_browser_needs(
    document: Document,
) -> None:
    sheet = Sheet(width=20_000, height=200, width_pt=10_000, height_pt=100, dpi=144)
    record = PageRecord(page=1, status=Status.OK, text="a", sheet=sheet)

    class Large:
        asked = 0

        def image(self, page: int, dpi: int) -> Image.Image:
            self.asked = dpi
            return Image.new("RGB", (10_000 * dpi // 72, 100 * dpi // 72))

    source = Large()
    parts = html_report.render(context(document, [record]), source)  # type: ignore[arg-type]
    width = re.search(r'<img width="(\d+)"', "".join(parts))
    assert width is not None
    assert int(width[1]) <= 1540
    assert source.asked == 11


def test_text_is_set_out() -> None:
    assert html("# A & B\n\none\n two\n<center>x<sup>2</sup></center><br>") == (
        '<p class="h1">A &amp; B</p><p>one\n two\nx<sup>2</sup><br></p>'
    )
    assert html("a\n\n```\n<b>\n\n# c\n```\n") == "<p>a</p><pre>```\n&lt;b&gt;\n\n# c\n```</pre>"
    assert html("<table><tr><th>1</th><td rowspan=2>2|</td></tr></table>") == (
        '<div class="wide"><table><tr><th>1</th><td rowspan="2">2|</td></tr></table></div>'
    )
