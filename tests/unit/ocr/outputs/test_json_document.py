"""A document as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.unit.ocr.outputs.conftest import context, records

from dsk import paths
from dsk.ocr.outputs.json_document import JsonDocument, schema, serialize
from dsk.ocr.schema.page_record import PageRecord, Status

if TYPE_CHECKING:
    from dsk.ocr.schema.run_plan import Document

FIGURES = frozenset({"images/p0002_01.jpg", "images/p0002_03.jpg"})


def made(document: Document, found: list[PageRecord]) -> dict[str, Any]:
    text = "".join(serialize(context(document, found, figures=FIGURES)))
    JsonDocument.model_validate_json(text)
    result: dict[str, Any] = json.loads(text)
    return result


def test_a_box_is_given_in_three_measures(document: Document) -> None:
    title = made(document, records())["pages"][0]["blocks"][0]
    assert title == {
        "label": "title",
        "boxes": [
            {
                "grid": [0, 0, 999, 99],
                "pixels": [0, 0, 200, 39],
                "points": [0.0, 0.0, 100.0, 19.82],
                "figure": None,
            }
        ],
        "markdown": "# One\n",
        "problem": "",
    }


def test_what_was_mended_is_said(document: Document) -> None:
    first, second = made(document, records())["pages"]
    assert first["blocks"][2]["boxes"][0]["grid"] == [0, 200, 999, 300]
    assert first["blocks"][2]["problem"] == "a box reached over the page's edge"
    pictures = second["blocks"][0]
    assert pictures["problem"] == "a box had its edges swapped; a picture's box is empty"
    assert [box["figure"] for box in pictures["boxes"]] == [
        "images/p0002_01.jpg",
        None,
        "images/p0002_03.jpg",
    ]


def test_a_page_that_was_not_rendered_has_boxes_on_the_grid_alone(document: Document) -> None:
    text = records()[0].text
    record = PageRecord(page=1, status=Status.OK, text=text)
    (page,) = made(document, [record])["pages"]
    assert page["sheet"] is None
    assert page["blocks"][0]["boxes"][0]["pixels"] is None


def test_a_document_without_records_is_whole_json(document: Document) -> None:
    assert made(document, [])["pages"] == []


def test_any_text_of_a_model_is_valid_json(document: Document) -> None:
    text = '\ud800 \x00 \u2028 " \\ </script> \U0010ffff'
    (page,) = made(document, records(text))["pages"]
    assert page["markdown"] == '?  \u2028 " \\ &lt;/script> \U0010ffff\n'


def test_the_schema_is_committed() -> None:
    assert (paths.CHECKOUT / "schemas" / "document.json").read_text("utf-8") == schema()
