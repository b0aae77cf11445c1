"""Write the outputs of a document from its records, a page at a time."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from dsk.control_characters import without
from dsk.errors import InputUnreadable
from dsk.ocr.documents.input_file import InputChanged
from dsk.ocr.outputs import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dsk.ocr.outputs.base import OutputContext
    from dsk.ocr.schema.formats import Compat
    from dsk.ocr.schema.page_record import PageRecord


def _readable(records: Callable[[], Iterator[PageRecord]]) -> Iterator[PageRecord]:
    """Yield records without characters that steer terminals or reorder what a reader sees."""
    # Before anything is parsed: without a character between them two pieces may become a tag.
    for record in records():
        cleaned = {"text": without(record.text), "reason": without(record.reason)}
        yield record.model_copy(update=cleaned)


def write(context: OutputContext, names: frozenset[str], compat: Compat = "") -> None:
    """Write a document's outputs into its folder; equal records give equal bytes.

    Args:
        context: the document and its records.
        names: formats to write, besides the required ones.
        compat: ``official`` writes the files of the model's own scripts instead of all formats.

    Raises:
        UsageProblem: the folder cannot be written to.
        InputChanged: the document's file is no longer the one that was planned.
        InputUnreadable: the document's file cannot be opened again. Formats that do not need it
            are written nevertheless.
    """
    # The official scripts' files are theirs byte for byte, control characters of the model's too.
    if compat:
        from dsk.ocr.outputs.official import scripts

        scripts.write(context)
        return
    context = replace(context, records=partial(_readable, context.records))
    selected = [fmt for fmt in registry.formats() if fmt.is_required or fmt.name in names]
    # Pictures first, since texts link to those that could be cut out. If the document is gone,
    # the texts are written without links before the error is raised.
    unreadable: InputUnreadable | None = None
    for fmt in selected:
        if fmt.cuts_figures:
            try:
                figures = fmt.write(context) or frozenset()
            except InputChanged:
                raise
            except InputUnreadable as error:
                unreadable = error
            else:
                context = replace(context, figures=context.figures | figures)
    others = [fmt for fmt in selected if not fmt.cuts_figures]
    for fmt in others:
        if not fmt.needs_source:
            fmt.write(context)
    if unreadable is not None:
        raise unreadable
    for fmt in others:
        if fmt.needs_source:
            fmt.write(context)
