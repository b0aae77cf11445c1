"""The hostile corpus: every file, made here, and how each of its pages has to end.

A page's end is a `Status` of `dsk.ocr.schema.page_record`; a whole file may be "unreadable" or
beyond a limit, "refused".
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.hostile import image_files as image
from tests.hostile import pdf_files as pdf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OK, BLANK, SUSPECT = "ok", "blank", "repaired-suspect"
FAILED, REFUSED, LATE = "render-failed", "refused", "timed-out"
UNREADABLE: Final = "unreadable"

Ends = tuple[str, ...] | str


@dataclass(frozen=True)
class Hostile:
    """A file. ``ends`` is of each page in order, or of the whole file."""

    name: bytes
    make: Callable[[], bytes]
    ends: Ends

    def write(self, folder: Path) -> Path:
        file = folder / os.fsdecode(self.name)
        file.write_bytes(self.make())
        return file


def _pdf(name: str, make: Callable[[], bytes], ends: Ends) -> Hostile:
    return Hostile(f"{name}.pdf".encode(), make, ends)


def _box(box: bytes, more: bytes = b"") -> Callable[[], bytes]:
    return lambda: pdf.page_of(b"0 0 1 rg 0 0 100 100 re f", box=box, more=more)


DAMAGED: Final = [
    _pdf("cut-30", lambda: pdf.cut(0.3), (OK, SUSPECT, SUSPECT, SUSPECT, SUSPECT)),
    _pdf("cut-60", lambda: pdf.cut(0.6), (OK, OK, OK, OK, SUSPECT)),
    _pdf("cut-90", lambda: pdf.cut(0.9), (OK,) * 5),
    _pdf("empty", lambda: b"", UNREADABLE),
    _pdf("a-letter", lambda: b"Dear Sir or Madam, this is not a PDF.", UNREADABLE),
    _pdf("header-only", lambda: b"%PDF-1.7\n", UNREADABLE),
    _pdf("noise", lambda: b"%PDF-1.7\n" + image.picture("PNG"), UNREADABLE),
    _pdf("zero-pages", pdf.zero_pages, UNREADABLE),
    _pdf("junk-in-front", lambda: b"junk\n" * 100 + pdf.written(), (OK,)),
    _pdf("junk-behind", lambda: pdf.written() + bytes(5000), (OK,)),
    _pdf("content-of-rubbish", pdf.broken_content, (OK,)),
    _pdf("too-few-pages", lambda: pdf.counted(5), UNREADABLE),
]

LOCKED: Final = [
    _pdf("user-password", lambda: pdf.locked(user_pw="other", owner_pw="o"), UNREADABLE),
    _pdf("its-password", lambda: pdf.locked(user_pw=pdf.PASSWORD, owner_pw="o"), (OK,)),
    _pdf("owner-password", lambda: pdf.locked(owner_pw="o"), (OK,)),
]
"""Read with `pdf_files.PASSWORD`."""

SIZES: Final = [
    _pdf("rotated-90", lambda: pdf.rotated(90), (OK,)),
    _pdf("rotated-180", lambda: pdf.rotated(180), (OK,)),
    _pdf("rotated-270", lambda: pdf.rotated(270), (OK,)),
    _pdf("5000-pt", lambda: pdf.written(size=(5000, 5000)), (OK,)),
    _pdf("14400-pt", _box(b"[0 0 14400 14400]"), (OK,)),
    _pdf("strip", _box(b"[0 0 10 10000]"), (OK,)),
    _pdf("strip-across", _box(b"[0 0 10000 10]"), (OK,)),
    _pdf("hair", _box(b"[0 0 0.01 1000000]"), (BLANK,)),
    _pdf("millions-of-points", _box(b"[0 0 14400 14400]", b"/UserUnit 1000"), (REFUSED,)),
    _pdf("far-away", _box(b"[1e9 1e9 1000000200 1000000200]"), (REFUSED,)),
    _pdf("endless-box", _box(b"[0 0 1e30 1e30]"), (OK,)),
    _pdf("turned-box", _box(b"[0 0 -200 -200]"), (BLANK,)),
    _pdf("no-box", _box(b"[/a (b) null true]"), (OK,)),
    _pdf("20000-blank-pages", lambda: pdf.blank_pages(20_000), (BLANK,) * 20_000),
    _pdf("a-billion-pages", lambda: pdf.counted(10**9), UNREADABLE),
]

ACTIVE: Final = [
    _pdf("javascript", pdf.javascript, (OK,)),
    _pdf("launches", pdf.launching, (OK,)),
    _pdf("embedded-files", pdf.embedded_files, (OK,)),
]

RINGS: Final = [
    _pdf("form-in-itself", pdf.form_in_itself, (OK,)),
    _pdf("tree-in-itself", pdf.tree_in_itself, (OK, FAILED)),
    _pdf("parents-in-a-ring", pdf.parents_in_a_ring, (FAILED,)),
    _pdf("object-in-itself", pdf.object_in_itself, (OK,)),
    _pdf("length-in-itself", pdf.length_in_itself, (OK,)),
    _pdf("xref-in-itself", pdf.xref_in_itself, (OK,)),
    _pdf("nested", pdf.nested, (SUSPECT,)),
]

BOMBS: Final = [
    _pdf("inflating", pdf.inflating, (OK,)),
    _pdf("picture-bomb", pdf.picture_bomb, (OK,)),
    Hostile(b"png-bomb.png", image.png_bomb, REFUSED),
    Hostile(b"text-bomb.png", image.png_of_text, UNREADABLE),
    Hostile(b"gif-bomb.gif", image.gif_bomb, REFUSED),
]

ENDLESS: Final = [_pdf("laughs", pdf.laughs, (LATE,))]
"""No patience is enough for these: they need a limit of time."""

IMAGES: Final = [
    Hostile(b"a.png", lambda: image.picture("PNG"), (OK,)),
    Hostile(b"b.jpg", lambda: image.picture("JPEG"), (OK,)),
    Hostile(b"c.webp", lambda: image.picture("WEBP"), (OK,)),
    Hostile(b"d.gif", lambda: image.picture("GIF", "P"), (OK,)),
    Hostile(b"cmyk.jpg", lambda: image.picture("JPEG", "CMYK"), (OK,)),
    Hostile(b"turned.jpg", image.turned, (OK,)),
    Hostile(b"deep.png", image.deep, (OK,)),
    Hostile(b"fax.tiff", lambda: image.many_pages(40, 50, 60), (OK, OK, OK)),
    Hostile(b"ring.tif", image.tiff_in_itself, (OK, OK)),
    Hostile(b"a-letter.png", lambda: b"Dear Sir or Madam", UNREADABLE),
    Hostile(b"script.png", lambda: b"<svg onload='alert(1)'/>", UNREADABLE),
    Hostile(b"really-a-pdf.png", pdf.written, (OK,)),
    Hostile(b"cut.png", lambda: image.cut("PNG", 0.6), (FAILED,)),
    Hostile(b"cut.jpg", lambda: image.cut("JPEG", 0.6), (FAILED,)),
    Hostile(b"cut.webp", lambda: image.cut("WEBP", 0.6), UNREADABLE),
    Hostile(b"cut.gif", lambda: image.cut("GIF", 0.9), (FAILED,)),
    Hostile(b"cut.tif", lambda: image.cut("TIFF", 0.9), (FAILED,)),
]

NAMES: Final = [
    Hostile(name, pdf.written, (OK,))
    for name in (
        b"..pdf",
        b"...pdf",
        b".hidden.pdf",
        b"-rf.pdf",
        b"two\nlines.pdf",
        b"\x1b[31mred\x07.pdf",
        b"Report.pdf",
        b"REPORT.PDF",
        b"report.pdf.pdf",
        b"caf\xe9.pdf",
        b"caf\xe8.pdf",
        "naïve 文档.pdf".encode(),
        b"$(touch pwned);`id`.pdf",
        b"<script>alert(1)<.pdf",
        b"..\\..\\windows.pdf",
        b"engine.log.pdf",
        b"run.json.pdf",
        b"l" * 251 + b".pdf",
        b"l" * 250 + b"m.pdf",
    )
]
"""Names that are to be shown and written with care. No file system takes 300 bytes in one name:
folders of 250 make a path of more."""

EVERYTHING: Final = [
    *DAMAGED, *LOCKED, *SIZES, *ACTIVE, *RINGS, *BOMBS, *ENDLESS, *IMAGES, *NAMES
]  # fmt: skip
