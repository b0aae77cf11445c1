"""``md``: the text as clean Markdown, and as the model wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.ocr.outputs.base import OutputFile, OutputFormat

if TYPE_CHECKING:
    from dsk.ocr.outputs.base import OutputContext

_CLEAN: Final = "{stem}.md"
_RAW: Final = "{stem}_det.mmd"


def write(context: OutputContext) -> None:
    """Write both texts."""
    from dsk.ocr.outputs import markdown

    clean = markdown.clean(context.records(), parse=context.blocks, has_figure=context.has_figure)
    context.write_text(_CLEAN, clean)
    context.write_text(_RAW, markdown.raw(context.records()))


FORMAT: Final = OutputFormat(
    name="md",
    order=10,
    files=(
        OutputFile(
            name=_CLEAN,
            content="clean Markdown, tables and pictures in place; a comment with its number "
            "precedes every page but the first",
        ),
        OutputFile(
            name=_RAW, content="the model's own text, with its tags, without control characters"
        ),
    ),
    write=write,
    is_required=True,
)
