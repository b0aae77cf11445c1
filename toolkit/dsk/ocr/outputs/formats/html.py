"""``html``: a report that shows each page beside its text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.ocr.outputs.base import OutputFile, OutputFormat

if TYPE_CHECKING:
    from dsk.ocr.outputs.base import OutputContext

_FILE: Final = "report.html"


def write(context: OutputContext) -> None:
    """Write the report."""
    from dsk.ocr.outputs import html_report

    with context.source() as source:
        context.write_text(_FILE, html_report.render(context, source))


FORMAT: Final = OutputFormat(
    name="html",
    order=40,
    files=(
        OutputFile(
            name=_FILE,
            content="each page beside its text; boxes and text highlight each other; one file, "
            "offline",
        ),
    ),
    write=write,
    is_default=True,
    needs_source=True,
)
