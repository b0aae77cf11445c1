"""PDF files that were damaged, or written to do damage; each with how its pages end."""

from __future__ import annotations

import io
import zlib
from typing import Any

import pymupdf

PASSWORD = "öffne dich"


def written(pages: int = 1, size: tuple[float, float] = (200, 200), **settings: Any) -> bytes:
    """An honest PDF with text on each page."""
    document = pymupdf.open()
    for number in range(pages):
        page = document.new_page(width=size[0], height=size[1])
        page.insert_text((20, 60), f"Page {number + 1}", fontsize=24)
        page.draw_rect((20, 80, min(size[0], 180) - 10, 120), fill=(0, 0, 1))
    return saved(document, **settings)


def saved(document: pymupdf.Document, **settings: Any) -> bytes:
    stream = io.BytesIO()
    document.save(stream, **settings)
    return stream.getvalue()


def objects(*bodies: bytes | tuple[bytes, bytes], trailer: bytes = b"") -> bytes:
    """A PDF of numbered objects, the first one its root; a pair is a dictionary and a stream."""
    out = bytearray(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(bodies, start=1):
        places.append(len(out))
        if isinstance(body, tuple):
            dictionary, stream = body
            head = dictionary.removesuffix(b">>") + b" /Length %d>>" % len(stream)
            written_out = head + b"\nstream\n" + stream + b"\nendstream"
        else:
            written_out = body
        out += b"%d 0 obj\n%s\nendobj\n" % (number, written_out)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<</Size %d /Root 1 0 R %s>>\n" % (len(places) + 1, trailer)
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % start)


def page_of(
    content: bytes, *, box: bytes = b"[0 0 200 200]", more: bytes = b"", objects_more: Any = ()
) -> bytes:
    """A PDF of one page: its content stream is object 4, further objects begin with 5."""
    return objects(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox %s/Contents 4 0 R %s>>" % (box, more),
        (b"<<>>", content),
        *objects_more,
    )


SQUARE = b"0 0 1 rg 50 50 100 100 re f"


def cut(part: float) -> bytes:
    whole = written(5, deflate=False)
    return whole[: int(len(whole) * part)]


def zero_pages() -> bytes:
    return objects(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>")


def locked(**passwords: Any) -> bytes:
    return written(encryption=pymupdf.PDF_ENCRYPT_AES_256, **passwords)


def rotated(degrees: int) -> bytes:
    document = pymupdf.open("pdf", written(size=(100, 200)))
    document[0].set_rotation(degrees)
    return saved(document)


def blank_pages(count: int) -> bytes:
    kids = b" ".join(b"%d 0 R" % (number + 3) for number in range(count))
    return objects(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%s]/Count %d/MediaBox[0 0 20 20]>>" % (kids, count),
        *[b"<</Type/Page/Parent 2 0 R>>"] * count,
    )


def javascript() -> bytes:
    return objects(
        b"<</Type/Catalog/Pages 2 0 R/OpenAction 5 0 R/Names<</JavaScript<</Names[(a)5 0 R]>>>>>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/AA<</O 5 0 R>>>>",
        (b"<<>>", SQUARE),
        b"<</S/JavaScript/JS(app.launchURL\\('file:///etc/passwd'\\); while \\(true\\) {})>>",
    )


def launching() -> bytes:
    """It asks to start a program, and to fetch its content from another file."""
    return objects(
        b"<</Type/Catalog/Pages 2 0 R/OpenAction<</S/Launch/F(/bin/sh)/P(-c 'touch pwned')>>>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents[4 0 R 5 0 R]>>",
        (b"<<>>", SQUARE),
        b"<</F(/etc/passwd)/Length 0>>\nstream\n\nendstream",
    )


def embedded_files() -> bytes:
    document = pymupdf.open("pdf", written())
    document.embfile_add("../../escaped.txt", b"out", filename="../../escaped.txt")
    document[0].add_file_annot((10, 10), b"MZ", "../run.exe")
    return saved(document)


def form_in_itself() -> bytes:
    form = b"<</Type/XObject/Subtype/Form/BBox[0 0 200 200]/Resources<</XObject<</F 5 0 R>>>>>>"
    return page_of(
        SQUARE + b" /F Do",
        more=b"/Resources<</XObject<</F 5 0 R>>>>",
        objects_more=[(form, SQUARE + b" /F Do")],
    )


def laughs(levels: int = 10, times: int = 12) -> bytes:
    """Forms that each draw the next one a dozen times: 10^10 squares, in a few kilobytes."""
    forms = []
    for level in range(levels):
        last = level == levels - 1
        uses = b"" if last else b"/XObject<</F %d 0 R>>" % (6 + level)
        head = b"<</Type/XObject/Subtype/Form/BBox[0 0 200 200]/Resources<<%s>>>>" % uses
        forms.append((head, SQUARE if last else b"/F Do " * times))
    return page_of(b"/F Do", more=b"/Resources<</XObject<</F 5 0 R>>>>", objects_more=forms)


def tree_in_itself() -> bytes:
    return objects(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R 2 0 R]/Count 2>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R>>",
        (b"<<>>", SQUARE),
    )


def parents_in_a_ring() -> bytes:
    """What a page inherits is looked for among its parents, for ever."""
    return objects(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1/Parent 4 0 R>>",
        b"<</Type/Page/Parent 2 0 R>>",
        b"<</Type/Pages/Kids[2 0 R]/Count 1/Parent 2 0 R>>",
    )


def counted(pages: int) -> bytes:
    """It says that it has so many pages, and has one."""
    return objects(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count %d>>" % pages,
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R>>",
        (b"<<>>", SQUARE),
    )


def object_in_itself() -> bytes:
    return objects(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox 5 0 R/Contents 6 0 R/Resources 7 0 R>>",
        (b"<<>>", SQUARE),
        b"5 0 R",
        b"[6 0 R 4 0 R]",
        b"7 0 R",
    )


def length_in_itself() -> bytes:
    return objects(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R>>",
        b"<</Length 4 0 R>>\nstream\n%s\nendstream" % SQUARE,
    )


def nested(depth: int = 100_000) -> bytes:
    return page_of(SQUARE, more=b"/X " + b"[" * depth + b"]" * depth)


def xref_in_itself() -> bytes:
    made = page_of(SQUARE)
    start = made.rindex(b"xref\n0")
    return made.replace(b"/Root 1 0 R ", b"/Root 1 0 R /Prev %d " % start)


def inflating(megabytes: int = 100) -> bytes:
    """A content stream of blanks, a thousand times smaller packed."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b" " * 1_000_000) for _ in range(megabytes))
    packed += packer.flush()
    return objects(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents[5 0 R 4 0 R]>>",
        (b"<</Filter/FlateDecode>>", packed),
        (b"<<>>", SQUARE),
    )


def picture_bomb(side: int = 40_000) -> bytes:
    """A picture of 1.6 billion pixels."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1_000_000)) for _ in range(side * side // 8_000_000))
    packed += packer.flush()
    head = (
        b"<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray"
        b"/BitsPerComponent 1/Filter/FlateDecode>>" % (side, side)
    )
    return page_of(
        b"q 200 0 0 200 0 0 cm /I Do Q " + SQUARE,
        more=b"/Resources<</XObject<</I 5 0 R>>>>",
        objects_more=[(head, packed)],
    )


def broken_content() -> bytes:
    return page_of(SQUARE + b" Q Q Q ) >> 1 0 0 -1e999 /No Do BT /F 1e30 Tf (x) Tj ] ET \xff\x00")
