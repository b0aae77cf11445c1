"""``layout``: the document's own pages with the blocks' boxes drawn over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.ocr.outputs.base import OutputFile, OutputFormat

if TYPE_CHECKING:
    from dsk.ocr.outputs.base import OutputContext

_FILE: Final = "{stem}_layouts.pdf"


def write(context: OutputContext) -> None:
    """Write the layout PDF."""
    from dsk.ocr.outputs import layout_pdf

    layout_pdf.write(context, context.path(_FILE))


FORMAT: Final = OutputFormat(
    name="layout",
    order=30,
    files=(
        OutputFile(
            name=_FILE,
            content="the document's own pages at their size, with the boxes drawn over them as "
            "vectors",
        ),
    ),
    write=write,
    is_default=True,
    needs_source=True,
)
