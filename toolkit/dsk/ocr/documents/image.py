"""An image file as a source of page images: one page, or as many as a TIFF file has."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from PIL import AvifImagePlugin, Image, ImageOps

from dsk.errors import InputUnreadable
from dsk.filenames import printable
from dsk.ocr.documents.base import InputRefused, PageRefused, PageUnrenderable, one_line
from dsk.ocr.documents.input_file import InputFile
from dsk.ocr.schema.page_record import Sheet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from dsk.ocr.schema.limits import Limits

# Pillow's names. JPEG includes MPO, in which cameras store a second picture.
_FORMATS: Final = (*("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000", "AVIF", "PPM"),)
# The sandbox has no threads for a decoder to start.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
# Grey of 12 bits, or of fewer, in samples of 16: what is brighter uses the whole range.
_DARK: Final = 1 << 12
_POINTS_PER_INCH: Final = 72
_ORIENTATION_TAG: Final = 0x0112
# EXIF orientations that swap width and height.
_SWAPPED: Final = range(5, 9)
# Other values are defaults of the program that wrote the file, or nonsense.
_PLAUSIBLE_DPI: Final = range(50, 2401)


class ImageSource:
    """An open image file.

    Raises:
        InputUnreadable: it is too damaged to open.
        InputRefused: its first page has too many pixels.
    """

    repaired = False

    def __init__(self, path: Path, limits: Limits) -> None:
        self._limits = limits
        try:
            self.file = InputFile(path)
        except OSError as error:
            what = f"{printable(path)} cannot be read ({error.strerror})"
            raise InputUnreadable(what, do="check its permissions") from error
        self._stream = os.fdopen(self.file.descriptor, "rb", closefd=False)
        try:
            with _pillow_limits(limits):
                self._image = Image.open(self._stream, formats=_FORMATS)
                # Frames of other formats are an animation or a second exposure, not pages.
                has_pages = self._image.format == "TIFF"
                self.page_count = _frames(self._image) if has_pages else 1
        except Image.DecompressionBombError as error:
            self.file.__exit__()
            what = f"{printable(path)} has more than {limits.max_image_pixels} pixels"
            raise InputRefused(what, limit="max_image_pixels") from error
        except Exception as error:
            self.file.__exit__()
            what = f"{printable(path)} is too damaged to open"
            raise InputUnreadable(what, do="open it in a viewer and save it again") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._image.close()
        self.file.__exit__()

    @property
    def comment(self) -> bytes | str | None:
        """See `dsk.ocr.documents.base.PageSource`."""
        comment = self._image.info.get("comment")
        return comment if isinstance(comment, bytes | str) else None

    def sheet(self, page: int, dpi: int) -> Sheet:
        """See `dsk.ocr.documents.base.PageSource`."""
        with _pillow_limits(self._limits):
            self._seek(page)
            width, height = self._shown_size()
        factor = self._factor(width, height)
        own_dpi = self._own_dpi() or dpi
        return Sheet(
            width=-(-width // factor),
            height=-(-height // factor),
            width_pt=width * _POINTS_PER_INCH / own_dpi,
            height_pt=height * _POINTS_PER_INCH / own_dpi,
            dpi=own_dpi / factor,
        )

    def image(self, page: int, dpi: int) -> Image.Image:  # noqa: ARG002 - an image is not rendered
        """See `dsk.ocr.documents.base.PageSource`."""
        with _pillow_limits(self._limits):
            self._seek(page)
            factor = self._factor(*self._image.size)
            try:
                shown = ImageOps.exif_transpose(_rgb(self._image))
                shown = shown.reduce(factor) if factor > 1 else shown
            except Exception as error:
                raise PageUnrenderable(one_line(error)) from error
        self.file.require_unchanged()
        return shown

    def text(self, page: int) -> str:  # noqa: ARG002 - no page has any
        """Return "": an image has no text layer."""
        return ""

    def _seek(self, page: int) -> None:
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

    def _shown_size(self) -> tuple[int, int]:
        """Return width and height with the rotation applied, without decoding the pixels."""
        width, height = self._image.size
        if self._image.format == "TIFF":
            return width, height  # Pillow applies a TIFF's orientation itself
        return (height, width) if self._orientation() in _SWAPPED else (width, height)

    def _orientation(self) -> int:
        try:
            return int(self._image.getexif().get(_ORIENTATION_TAG, 1))
        except Exception:  # damaged metadata; the pixels may be intact
            return 1

    def _own_dpi(self) -> float | None:
        """Return the resolution that the file states, if it is plausible."""
        try:
            horizontal, vertical = (float(value) for value in self._image.info["dpi"])
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return None
        in_range = _PLAUSIBLE_DPI.start <= horizontal < _PLAUSIBLE_DPI.stop
        return horizontal if horizontal == vertical and in_range else None

    def _factor(self, width: int, height: int) -> int:
        """Return the whole number to divide the sides by, so that the page is within the limit."""
        factor = 1
        while -(-width // factor) * -(-height // factor) > self._limits.max_pixels:
            factor += 1
        return factor


def _frames(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1))


def _rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB, on a white background where it is transparent."""
    if image.mode.startswith(("I", "F")):
        return _from_deep_grey(image)
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        foreground = image.convert("RGBA")
        white = Image.new("RGBA", foreground.size, "white")
        flat = Image.alpha_composite(white, foreground).convert("RGB")
        if flat.getcolors(1) is not None:
            # White on nothing: it was made to be seen on something dark.
            black = Image.new("RGBA", foreground.size, "black")
            dark = Image.alpha_composite(black, foreground).convert("RGB")
            flat = flat if dark.getcolors(1) is not None else dark
    else:
        flat = image.convert("RGB")
    # The rotation, which is applied afterwards, is all that is needed of the metadata.
    flat.info = {}
    flat.getexif().update(image.getexif())
    return flat


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Convert grey of more than 8 bits to RGB."""
    # Pillow's own conversion clips at 255 instead of scaling.
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min(initial=0) < 0 or values.max(initial=0) > 0xFFFF:
        values = np.nan_to_num(values.astype(np.float64))
        low, high = float(values.min()), float(values.max())
        grey: NDArray[Any] = (values - low) * (255 / (high - low) if high > low else 0)
    elif image.mode.startswith("I;16") and 0 < values.max(initial=0) < _DARK:
        grey = values.astype(np.uint32) * 255 // int(values.max())
    else:
        grey = values >> 8 if image.mode.startswith("I;16") or values.max() > 0xFF else values
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


@contextmanager
def _pillow_limits(limits: Limits) -> Iterator[None]:
    """Set Pillow's limit against decompression bombs to ours, and silence its warnings."""
    # Pillow checks where our code cannot: it warns above this number, and refuses above twice it.
    Image.MAX_IMAGE_PIXELS = limits.max_image_pixels // 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
