"""Write the outputs of a document from its records, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from dsk.control_characters import without
from dsk.errors import DskError, InputUnreadable
from dsk.ocr.documents.base import one_line
from dsk.ocr.documents.input_file import InputChanged
from dsk.ocr.outputs import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dsk.ocr.outputs.base import OutputContext, OutputFormat
    from dsk.ocr.schema.formats import Compat
    from dsk.ocr.schema.page_record import PageRecord


def _readable(records: Callable[[], Iterator[PageRecord]]) -> Iterator[PageRecord]:
    """Yield records without characters that steer terminals or reorder what a reader sees."""
    # Before anything is parsed: without a character between them two pieces may become a tag.
    for record in records():
        cleaned = {"text": without(record.text), "reason": without(record.reason)}
        yield record.model_copy(update=cleaned)


@dataclass(frozen=True, kw_only=True)
class Written:
    """Result of writing a document's outputs.

    Args:
        figures: names of the pictures that were cut out, below the document's folder.
        failures: the reason for each format that could not be written.
    """

    figures: frozenset[str] = frozenset()
    failures: dict[str, str] = field(default_factory=dict)


def write(context: OutputContext, names: frozenset[str], compat: Compat = "") -> Written:
    """Write a document's outputs into its folder; equal records give equal bytes.

    A format that fails costs no other one.

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
        return Written()
    context = replace(context, records=partial(_readable, context.records))
    selected = [fmt for fmt in registry.formats() if fmt.is_required or fmt.name in names]
    # Pictures first, since texts link to those that could be cut out. If the document is gone,
    # the texts are written without links before the error is raised.
    unreadable: InputUnreadable | None = None
    failures: dict[str, str] = {}
    for fmt in selected:
        if fmt.cuts_figures:
            try:
                figures = _write(fmt, context, failures)
            except InputChanged:
                raise
            except InputUnreadable as error:
                unreadable = error
            else:
                context = replace(context, figures=context.figures | figures)
    others = [fmt for fmt in selected if not fmt.cuts_figures]
    for fmt in others:
        if not fmt.needs_source:
            _write(fmt, context, failures)
    if unreadable is not None:
        raise unreadable
    for fmt in others:
        if fmt.needs_source:
            _write(fmt, context, failures)
    return Written(figures=context.figures, failures=failures)


def _write(fmt: OutputFormat, context: OutputContext, failures: dict[str, str]) -> frozenset[str]:
    """Write one format, and return the pictures that it cut; add the reason if it fails."""
    try:
        return fmt.write(context) or frozenset()
    except DskError:
        raise  # it concerns every format: the folder, or the document's file
    except MemoryError:
        failures[fmt.name] = "it takes too much memory"
    except Exception as error:
        failures[fmt.name] = one_line(error)
    return frozenset()
