"""The index of a run: a row a document, links below the folder, and nothing of a name that acts."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tests.unit.ocr.pipeline.plans import plan

from dsk.ocr.run.index_page import IndexPage
from dsk.ocr.schema.events import PageDone
from dsk.ocr.schema.page_record import Status
from dsk.ocr.schema.run_plan import Document, Rejected

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = 'javascript:alert(1)"><script>alert(1)</script>%2e%2e#?.pdf'
OURS = {
    *("html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "label", "input"),
    *("nav", "button", "b", "main", "table", "thead", "tbody", "tr", "th", "td", "a", "span"),
    *("p", "ul", "li", "script"),
}


class Reader(HTMLParser):
    """Collects the tags of a page, its links, and the attributes of its rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.states: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        values = dict(attrs)
        if tag == "a":
            self.links.append(values["href"] or "")
        if tag == "tr" and "data-states" in values:
            self.states.append(values["data-states"] or "")


def made(out: Path, *names: str, rejected: tuple[Rejected, ...] = ()) -> tuple[IndexPage, str]:
    """Of documents of three pages: the first is whole, the second lacks one, the third is open."""
    documents = [
        Document(path=out / name, folder=out / name, page_count=3, pages=[1, 2, 3])
        for name in names
    ]
    page = IndexPage(plan(out=out, documents=documents, rejected=list(rejected)))
    listener = page.count_for(lambda event: None)
    ended = {0: [Status.OK] * 3, 1: [Status.OK, Status.LOOPED, Status.OK], 2: [Status.OK]}
    for number, name in enumerate(names):
        for at, status in enumerate(ended[number], start=1):
            listener(PageDone(document="same name", folder=name, page=at, status=status))
    return page, page.html(out)


def test_each_document_has_a_row_with_its_states(tmp_path: Path) -> None:
    _, text = made(tmp_path, "a", "b", "2024/c")
    assert Reader(text).states == ["ok", "ok looped", "ok left"]
    assert '<span class="lacking">1 looped</span>' in text
    assert '<span class="left">2 left</span>' in text
    assert re.findall(r'data-state="(\w*)" aria-pressed="\w+">\w+ <b>(\d)</b>', text) == [
        ("", "3"),
        ("ok", "3"),
        ("looped", "1"),
        ("left", "1"),
    ]


def test_a_row_links_to_the_report_else_to_the_text_else_to_the_folder(tmp_path: Path) -> None:
    for name in ("a/report.html", "a/a.md", "b/b.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    _, text = made(tmp_path, "a", "b", "2024/c")
    assert Reader(text).links == ["./a/report.html", "./b/b.md", "./2024/c"]


def test_a_hostile_name_is_text_and_leads_to_its_own_folder(tmp_path: Path) -> None:
    rejected = Rejected(path=tmp_path / HOSTILE, status="unreadable", reason="<img src=x> \x1b[2J")
    _, text = made(tmp_path, HOSTILE, "b", rejected=(rejected,))
    reader = Reader(text)
    assert reader.names <= OURS
    assert not [name for name in reader.attributes if name.startswith("on") or name == "style"]
    link = reader.links[0]
    assert link.startswith("./")
    assert unquote(link) == f"./{HOSTILE}"
    assert not set(link) & set("\"'<>#?")
    assert "\x1b" not in text


def test_the_policy_lets_in_its_own_style_and_script_alone(tmp_path: Path) -> None:
    _, text = made(tmp_path, "a", "b")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    for name in ("style", "script"):
        (content,) = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


def test_one_document_needs_no_index(tmp_path: Path) -> None:
    made(tmp_path, "a")[0].write(tmp_path)
    assert not (tmp_path / "index.html").exists()
    made(tmp_path, "a", "b")[0].write(tmp_path)
    assert (tmp_path / "index.html").read_text("utf-8").startswith("<!doctype html>")
