"""A document as JSON: its pages' states and blocks, with their boxes in three units."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dsk.control_characters import escaped_in_json
from dsk.frozen import Frozen
from dsk.ocr.outputs.markdown import block_text, page, tidy
from dsk.ocr.schema.page_record import PageRecord, Sheet, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.outputs.base import OutputContext
    from dsk.ocr.outputs.blocks import LayoutBlock

Edges = tuple[int, int, int, int]


class JsonBox(Frozen):
    """A box on the page as it is shown: left, top, right, lower edge, from the top left corner."""

    grid: Edges = Field(description="On the model's grid, 0 to 999, both ends included.")
    pixels: Edges | None = Field(description="On the page rendered at its dpi; null without one.")
    points: tuple[float, float, float, float] | None = Field(
        description="On the page itself, 72 to the inch; null where its size is not known."
    )
    figure: str | None = Field(description="The file of the picture, from the document's folder.")


class JsonBlock(Frozen):
    """A block of a page."""

    label: str = Field(description='What the model calls it; "" for a text without a tag.')
    boxes: list[JsonBox]
    markdown: str = Field(description="Its text, harmless in a browser.")
    problem: str = Field(description='What was wrong with its boxes; "" where nothing was.')


class JsonPage(Frozen):
    """A page of the document."""

    page: int = Field(ge=1, description="In the document as it is on disk.")
    status: Status
    reason: str
    sheet: Sheet | None = Field(description="Its sizes; null where it could not be rendered.")
    tokens: int
    markdown: str = Field(description="Its text, as it stands in the document's Markdown.")
    blocks: list[JsonBlock]


class JsonDocument(Frozen):
    """The JSON of a document, ``{stem}.json``."""

    format: Literal["dsk-document-1"]
    name: str = Field(description="Of the file that was read.")
    sha256: str = Field(description="Of the file that was read, in hexadecimal.")
    page_count: int = Field(description="Pages that the file has, read or not.")
    pages: list[JsonPage]


def schema() -> str:
    """Return the JSON Schema of ``{stem}.json``, which ``schemas/document.json`` holds."""
    result = JsonDocument.model_json_schema(mode="serialization")
    result["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(result, indent=2, sort_keys=True) + "\n"


def serialize(context: OutputContext) -> Iterator[str]:
    """Yield a document's JSON, a page at a time, each on a line of its own."""
    document = context.document
    head = JsonDocument(
        format="dsk-document-1",
        name=document.name,
        sha256=document.sha256,
        page_count=document.page_count,
        pages=[],
    )
    # Pages are added by hand, so that only one of them is in memory at a time.
    yield escaped_in_json(head.model_dump_json()).removesuffix("]}")
    comma = ""
    for record in context.records():
        yield f"{comma}\n{escaped_in_json(_page(record, context).model_dump_json())}"
        comma = ","
    yield "\n]}\n"


def _page(record: PageRecord, context: OutputContext) -> JsonPage:
    blocks = context.blocks(record)
    return JsonPage(
        page=record.page,
        status=record.status,
        reason=record.reason,
        sheet=record.sheet,
        tokens=record.tokens,
        markdown=page(blocks, context.has_figure),
        blocks=[_block(block, record.sheet, context) for block in blocks],
    )


def _block(block: LayoutBlock, sheet: Sheet | None, context: OutputContext) -> JsonBlock:
    names = block.figures or ("",) * len(block.boxes)
    boxes = [
        JsonBox(
            grid=(box.left, box.top, box.right, box.bottom),
            pixels=box.pixels(sheet) if sheet else None,
            points=box.points(sheet) if sheet else None,
            figure=name if name and context.has_figure(name) else None,
        )
        for box, name in zip(block.boxes, names, strict=True)
    ]
    return JsonBlock(
        label=block.label,
        boxes=boxes,
        markdown=tidy(block_text(block.text)),
        problem=block.problem,
    )
