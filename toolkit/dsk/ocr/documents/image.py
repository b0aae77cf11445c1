"""An image file as pages of pixels, by Pillow: one page, or as many as a TIFF file has."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from PIL import Image, ImageOps

from dsk.errors import InputUnreadable
from dsk.filenames import printable
from dsk.ocr.documents.base import InputRefused, PageRefused, PageUnrenderable, one_line
from dsk.ocr.schema.page_record import Sheet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from dsk.ocr.schema.limits import Limits

_FORMATS: Final = ("PNG", "JPEG", "WEBP", "TIFF", "GIF")
"""Pillow's names; JPEG is also what cameras put a second picture into, which it calls MPO."""
_POINTS: Final = 72
_ORIENTATION: Final = 0x0112
_ON_THEIR_SIDE: Final = range(5, 9)
"""EXIF orientations that swap width and height."""
_HONEST_DPI: Final = range(50, 2401)
"""What files say beyond it is a default of the program that wrote them, or nonsense."""


class ImageSource:
    """An opened image file.

    Raises:
        InputUnreadable: it is damaged beyond opening.
        InputRefused: its first picture has too many pixels.
    """

    repaired = False

    def __init__(self, path: Path, limits: Limits) -> None:
        self._limits = limits
        try:
            with _quietly(limits):
                self._image = Image.open(path, formats=_FORMATS)
                # Other formats' frames are a film or a second exposure, not pages.
                many = self._image.format == "TIFF"
                self.page_count = _frames(self._image) if many else 1
        except Image.DecompressionBombError as error:
            what = f"{printable(path)} has more than {limits.max_image_pixels} pixels"
            raise InputRefused(what, limit="max_image_pixels") from error
        except Exception as error:
            what = f"{printable(path)} is too damaged to open"
            raise InputUnreadable(what, do="open it in a viewer and save it again") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._image.close()

    def sheet(self, page: int, dpi: int) -> Sheet:
        """See `dsk.ocr.documents.base.PageSource`."""
        with _quietly(self._limits):
            self._turn_to(page)
            width, height = self._size_shown()
        factor = self._factor(width, height)
        own = self._own_dpi() or dpi
        return Sheet(
            width=-(-width // factor),
            height=-(-height // factor),
            width_pt=width * _POINTS / own,
            height_pt=height * _POINTS / own,
            dpi=own / factor,
        )

    def image(self, page: int, dpi: int) -> Image.Image:  # noqa: ARG002 - it has its own pixels
        """See `dsk.ocr.documents.base.PageSource`."""
        with _quietly(self._limits):
            self._turn_to(page)
            factor = self._factor(*self._image.size)
            try:
                shown = ImageOps.exif_transpose(_rgb(self._image))
                return shown.reduce(factor) if factor > 1 else shown
            except Exception as error:
                raise PageUnrenderable(one_line(error)) from error

    def text(self, page: int) -> str:  # noqa: ARG002 - a page like another
        """An image carries none."""
        return ""

    def _turn_to(self, page: int) -> None:
        try:
            if self._image.tell() != page - 1:
                self._image.seek(page - 1)
        except Image.DecompressionBombError as error:
            raise self._too_large() from error
        except Exception as error:
            raise PageUnrenderable(one_line(error)) from error
        width, height = self._image.size
        if width * height > self._limits.max_image_pixels:
            raise self._too_large()

    def _too_large(self) -> PageRefused:
        what = f"the image has more than {self._limits.max_image_pixels} pixels"
        return PageRefused(what, limit="max_image_pixels")

    def _size_shown(self) -> tuple[int, int]:
        """Width and height with the rotation applied, without reading the pixels."""
        width, height = self._image.size
        if self._image.format == "TIFF":
            return width, height  # Pillow has applied it
        return (height, width) if self._orientation() in _ON_THEIR_SIDE else (width, height)

    def _orientation(self) -> int:
        try:
            return int(self._image.getexif().get(_ORIENTATION, 1))
        except Exception:  # damaged metadata says nothing, and the pixels may be whole
            return 1

    def _own_dpi(self) -> float | None:
        """What the file says of its resolution, where that can be."""
        try:
            across, down = (float(one) for one in self._image.info["dpi"])
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return None
        honest = across == down and _HONEST_DPI.start <= across < _HONEST_DPI.stop
        return across if honest else None

    def _factor(self, width: int, height: int) -> int:
        """By what whole number the sides are divided to keep within the pixels of a page."""
        factor = 1
        while -(-width // factor) * -(-height // factor) > self._limits.max_pixels:
            factor += 1
        return factor


def _frames(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1))


def _rgb(image: Image.Image) -> Image.Image:
    """The pixels of an image of any mode, on white where it is transparent."""
    if image.mode.startswith(("I", "F")):
        return _deep(image)
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        over = image.convert("RGBA")
        white = Image.new("RGBA", over.size, "white")
        flat = Image.alpha_composite(white, over).convert("RGB")
    else:
        flat = image.convert("RGB")
    flat.info = {}
    flat.getexif().update(image.getexif())
    return flat


def _deep(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits, which Pillow's own conversion would cut off at 255."""
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min(initial=0) < 0 or values.max(initial=0) > 0xFFFF:
        values = np.nan_to_num(values.astype(np.float64))
        low, high = float(values.min()), float(values.max())
        grey: NDArray[Any] = (values - low) * (255 / (high - low) if high > low else 0)
    else:
        grey = values >> 8 if image.mode.startswith("I;16") or values.max() > 0xFF else values
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


@contextmanager
def _quietly(limits: Limits) -> Iterator[None]:
    """Pillow with our own limit against bombs, which it looks at where we cannot."""
    # It warns from the number on, and refuses from twice the number on.
    Image.MAX_IMAGE_PIXELS = limits.max_image_pixels // 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
