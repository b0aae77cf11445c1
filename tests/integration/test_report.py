"""The report in a real browser without a network: what is seen, lights up, and never runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pymupdf
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dsk.ocr.documents.opening import open_source
from dsk.ocr.outputs.base import OutputContext
from dsk.ocr.outputs.writer import write
from dsk.ocr.schema.page_record import PageRecord, Status
from dsk.ocr.schema.run_plan import Document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE = "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'><b>bold</b>"


def until(page: Page, said: str) -> None:
    """Wait until something is so; a browser's own waiting evaluates text, which reports forbid."""
    deadline = time.monotonic() + 30
    while not page.evaluate(said):
        assert time.monotonic() < deadline, said
        page.wait_for_timeout(50)


def tag(label: str, *box: int) -> str:
    return f"<|ref|>{label}<|/ref|><|det|>[{list(box)}]<|/det|>\n"


TEXT = (
    f"{tag('title', 100, 50, 900, 150)}# A heading\n\n"
    f"{tag('image', 100, 200, 500, 500)}\n"
    f"{tag('text', 100, 600, 900, 700)}{HOSTILE}\n\n"
    f"{tag('table', 100, 750, 900, 950)}<table><tr><td>1</td><td>2</td></tr></table>\n"
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of forty pages, one of which the engine failed on and one of which was cut off."""
    folder = tmp_path_factory.mktemp("report")
    drawn = pymupdf.open()
    for _ in range(40):
        page = drawn.new_page(width=300, height=400)
        page.draw_rect((30, 80, 150, 200), color=None, fill=(1, 0, 0))
    drawn.save(folder / "in.pdf")
    with open_source(folder / "in.pdf") as source:
        sheet = source.sheet(1, 144)
    records = [
        PageRecord(page=page, status=Status.OK, text=TEXT, sheet=sheet) for page in range(1, 41)
    ]
    records[2] = records[2].model_copy(update={"status": Status.TRUNCATED, "reason": "cut off"})
    records[3] = PageRecord(page=4, status=Status.ENGINE_FAILED, reason="it died")
    document = Document(
        path=folder / "in.pdf", folder=folder / "out", page_count=40, pages=list(range(1, 41))
    )
    context = OutputContext(
        document=document,
        out=folder,
        records=lambda: iter(records),
        source=lambda: open_source(document.path),
        dpi=144,
    )
    write(context, frozenset({"html", "figures"}))
    return folder / "out" / "report.html"


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


def opened(browser: Browser, report: Path) -> Page:
    context = browser.new_context(offline=True, viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.goto(report.as_uri())
    return page


@pytest.fixture(scope="module")
def browser_page(browser: Browser, report: Path) -> Page:
    return opened(browser, report)


@pytest.fixture
def shown(browser_page: Page) -> Page:
    """The report at its beginning, with all pages in sight."""
    browser_page.mouse.move(0, 0)
    browser_page.get_by_role("button", name="all").click()
    return browser_page


def lit(page: Page, section: str) -> list[str]:
    found = page.locator(f"{section} .lit").evaluate_all("all => all.map(one => one.tagName)")
    return sorted(found)


def test_a_box_lights_up_its_text_and_a_text_its_box(shown: Page) -> None:
    shown.locator('#p1 rect[data-b="2"]').hover()
    assert lit(shown, "#p1") == ["DIV", "rect"]
    assert "lit" in str(shown.locator('#p1 .block[data-b="2"]').get_attribute("class"))
    shown.locator('#p1 .block[data-b="3"]').hover()
    assert lit(shown, "#p1") == ["DIV", "rect"]
    assert "lit" in str(shown.locator('#p1 rect[data-b="3"]').get_attribute("class"))


def test_a_box_lies_over_what_it_is_of(shown: Page) -> None:
    sheet = shown.locator("#p1 img").bounding_box()
    box = shown.locator('#p1 rect[data-b="1"]').bounding_box()
    assert sheet is not None
    assert box is not None
    assert (box["x"] - sheet["x"]) / sheet["width"] == pytest.approx(0.1, abs=0.005)
    assert (box["y"] - sheet["y"]) / sheet["height"] == pytest.approx(0.2, abs=0.005)
    assert box["width"] / sheet["width"] == pytest.approx(0.4, abs=0.005)


def test_pages_are_filtered_by_their_state(shown: Page) -> None:
    shown.get_by_role("button", name="truncated 1").click()
    assert shown.locator("section:visible").evaluate_all("all => all.map(one => one.id)") == ["p3"]
    shown.get_by_role("button", name="engine-failed 1").click()
    heading = shown.locator("section:visible h2")  # laid out when it has come into sight
    expect(heading).to_have_text("Page 4\nengine-failed\nit died", use_inner_text=True)
    shown.get_by_role("button", name="all 40").click()
    assert shown.locator("section:visible").count() == 40


def test_pages_are_found_by_words_on_them(shown: Page) -> None:
    ids = "all => all.map(one => one.id)"
    shown.locator("#find").fill(" a   HEADING ")
    assert shown.locator("section:visible").count() == 39  # the engine failed on the fourth
    shown.get_by_role("button", name="truncated 1").click()
    assert shown.locator("section:visible").evaluate_all(ids) == ["p3"]
    shown.locator("#find").fill("no such words")
    assert shown.locator("section:visible").count() == 0
    shown.locator("#go").fill("5")
    shown.locator("#go").press("Enter")
    assert shown.locator("section:visible").count() == 40
    assert shown.locator("#find").input_value() == ""


def test_a_page_is_gone_to_by_its_number(shown: Page) -> None:
    shown.locator("#go").fill("30")
    shown.locator("#go").press("Enter")
    until(shown, "Math.abs(document.querySelector('#p30').getBoundingClientRect().top) < 200")


def test_pictures_are_decoded_as_they_come_near_and_given_up_after(shown: Page) -> None:
    until(shown, "document.querySelector('#p1 img').naturalWidth > 0")
    assert shown.locator("img[src]").count() < 12
    shown.locator("#go").fill("40")
    shown.locator("#go").press("Enter")
    until(shown, "document.querySelector('#p40 img').naturalWidth > 0")
    until(shown, "!document.querySelector('#p1 img').hasAttribute('src')")


def test_a_picture_is_cut_out_of_its_page(shown: Page) -> None:
    until(shown, "document.querySelector('#p1 canvas').width > 100")
    middle = shown.locator("#p1 canvas").evaluate(
        "one => [...one.getContext('2d').getImageData(one.width / 2, one.height / 2, 1, 1).data]"
    )
    assert middle[0] > 240
    assert max(middle[1:3]) < 20


def test_what_a_page_says_is_text_and_never_runs(shown: Page) -> None:
    block = shown.locator('#p1 .block[data-b="2"]')
    assert "<script>window.ran = 1</script>" in block.inner_text()
    assert block.locator("b").inner_text() == "bold"
    assert shown.evaluate("window.ran") is None


def test_nothing_is_fetched_and_nothing_goes_wrong(browser: Browser, report: Path) -> None:
    context = browser.new_context(offline=True)
    seen: list[str] = []
    context.on("console", lambda message: seen.append(message.text))
    context.on("weberror", lambda error: seen.append(str(error.error)))
    context.on("request", lambda request: seen.append(request.url))
    page = context.new_page()
    page.goto(report.as_uri())
    until(page, "document.querySelector('#p1 img').naturalWidth > 0")
    assert [one for one in seen if not one.startswith("data:image/jpeg")] == [report.as_uri()]


def test_a_script_that_got_in_all_the_same_would_not_run(browser: Browser, report: Path) -> None:
    page = opened(browser, report)
    blocked = page.evaluate(
        """() => new Promise((done) => {
            document.addEventListener("securitypolicyviolation", (event) => done(event.blockedURI));
            const one = document.createElement("script");
            one.textContent = "window.ran = 3";
            document.body.append(one);
        })"""
    )
    assert blocked == "inline"
    assert page.evaluate("window.ran") is None
