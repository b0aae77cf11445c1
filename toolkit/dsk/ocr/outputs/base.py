"""An output format, and everything about a document that a format may use.

A format is one module of `dsk.ocr.outputs.formats` that defines ``FORMAT``. The command line loads
all of them for the help of ``--to``: whatever is slow to import belongs inside ``write``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from dsk.errors import UsageProblem
from dsk.filenames import printable
from dsk.files import open_folder, sync_folder, writing_atomically
from dsk.ocr.schema.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Collection, Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from dsk.ocr.documents.base import PageSource
    from dsk.ocr.outputs.blocks import LayoutBlock
    from dsk.ocr.schema.limits import Limits
    from dsk.ocr.schema.page_record import PageRecord
    from dsk.ocr.schema.run_plan import Document


@dataclass(frozen=True, kw_only=True)
class OutputContext:
    """A document, its records, and the settings of the run.

    Args:
        document: the document that was read.
        out: the run's output folder, above the document's; no folder between may be a link.
        records: yields its final records in the order of their pages, from the start on each call.
        source: opens the document again.
        dpi: dots per inch that the pages were read at.
        limits: limits of the run.
        figures: names of the picture files that were cut out, below the document's folder.
    """

    document: Document
    out: Path
    records: Callable[[], Iterator[PageRecord]]
    source: Callable[[], PageSource]
    dpi: int
    limits: Limits = DEFAULT_LIMITS
    figures: frozenset[str] = frozenset()

    def blocks(self, record: PageRecord) -> list[LayoutBlock]:
        """Return the blocks of a page's answer, with no more boxes than the limits allow."""
        from dsk.ocr.outputs.blocks import blocks

        return blocks(record, max_boxes=self.limits.max_boxes)

    def has_figure(self, name: str) -> bool:
        """Return True if the picture file of this name was cut out."""
        return name in self.figures

    def path(self, name: str) -> Path:
        """Return the path of an output file; ``{stem}`` in its name is the document's."""
        return self.document.folder / name.format(stem=self.document.stem)

    def writing(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Return a stream to an output file, which is replaced when the block succeeds.

        Raises:
            UsageProblem: the folder cannot be written to, or is a link.
        """
        return writing_atomically(self.path(name), beneath=self.out)

    def remove_stale(self, folder: str, ours: re.Pattern[str], written: Collection[str]) -> None:
        """Remove files that an earlier run wrote, and let the disk have the names of the others.

        Args:
            folder: below the document's; "" is the document's.
            ours: names of the form that the format writes: other files are the user's.
            written: names to keep.

        Raises:
            UsageProblem: the folder cannot be written to, or is a link.
        """
        path = self.document.folder / folder
        try:
            descriptor = open_folder(path, self.out)
        except FileNotFoundError:
            return
        except OSError as error:
            what = f"{printable(path)} cannot be written: {error.strerror}"
            raise UsageProblem(what, do="remove it") from error
        try:
            for name in os.listdir(descriptor):  # noqa: PTH208 - by its descriptor, whatever its path
                if ours.fullmatch(name) and name not in written:
                    os.unlink(name, dir_fd=descriptor)
            sync_folder(descriptor)
        finally:
            os.close(descriptor)

    def write_text(self, name: str, parts: Iterable[str]) -> None:
        """Write a text file, a part at a time; a file of that name is replaced at the end.

        Raises:
            UsageProblem: the folder cannot be written to.
        """
        with self.writing(name) as stream:
            for part in parts:
                # A model's text may hold lone surrogates, which UTF-8 has no bytes for.
                stream.write(part.encode("utf-8", "replace"))


@dataclass(frozen=True, kw_only=True)
class OutputFile:
    """A file that a format writes, for the documentation.

    Args:
        name: below the document's folder; ``{stem}`` is the document's name.
        content: a phrase that describes it.
    """

    name: str
    content: str


@dataclass(frozen=True, kw_only=True)
class OutputFormat:
    """A format that ``--to`` can name.

    Args:
        name: on the command line.
        files: what it writes.
        write: writes the files; returns the names of pictures that other formats may link to, if
            it cuts any.
        order: position among the formats that are written together, and in the help.
        is_required: it is written even if ``--to`` does not name it.
        is_default: it is written without ``--to``.
        needs_source: it opens the document again, so that it fails if the file is gone.
        cuts_figures: it is written first, and other formats link to its pictures.
    """

    name: str
    files: tuple[OutputFile, ...]
    write: Callable[[OutputContext], frozenset[str] | None]
    order: int = 100
    is_required: bool = False
    is_default: bool = False
    needs_source: bool = False
    cuts_figures: bool = False
