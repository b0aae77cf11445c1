"""``json``: pages and blocks for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.ocr.outputs.base import OutputFile, OutputFormat

if TYPE_CHECKING:
    from dsk.ocr.outputs.base import OutputContext

_FILE: Final = "{stem}.json"


def write(context: OutputContext) -> None:
    """Write the document as JSON."""
    from dsk.ocr.outputs import json_document

    context.write_text(_FILE, json_document.serialize(context))


FORMAT: Final = OutputFormat(
    name="json",
    order=20,
    files=(
        OutputFile(
            name=_FILE,
            content="pages and blocks; boxes on the model's grid, in pixels and in points",
        ),
    ),
    write=write,
)
