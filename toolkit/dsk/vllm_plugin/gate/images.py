"""Images of requests: ``data:`` URLs alone, of named formats and a limited size."""

from __future__ import annotations

import base64
import binascii
import io
import re
import warnings
from dataclasses import dataclass
from typing import Final

from PIL import Image

from dsk.vllm_plugin.gate.image_structure import essential
from dsk.vllm_plugin.gate.refusal import Refusal

# Pillow's names. TIFF is left out because its decoder has had the most faults, and here it runs in
# the server's own process; GIF because Pillow goes over its blocks, of a byte each, in Python.
FORMATS: Final = ("PNG", "JPEG", "WEBP")
LARGEST_SIDE: Final = 32_768  # pixels
_DATA_URL: Final = re.compile(r"data:[a-z0-9.+/-]{0,64};base64,", re.ASCII | re.IGNORECASE)
UNREADABLE: Final = "an image cannot be read: send a whole PNG, JPEG or WEBP file"


@dataclass(frozen=True, kw_only=True)
class CheckedImage:
    """An image that the server may decode.

    Args:
        url: a ``data:`` URL in one form, whatever form the client's had, of the picture alone.
        pixels: its width times its height.
    """

    url: str
    pixels: int


def checked_image(url: str, max_pixels: int) -> CheckedImage:
    """Check an image in a ``data:`` URL by its header; it is not decoded.

    Raises:
        Refusal: it is no such URL, of another format, too large, or not readable.
    """
    picture = essential(data_of(url))
    if picture is None:
        raise Refusal(400, UNREADABLE)
    kind, pixels = inspect(picture, max_pixels)
    encoded = base64.b64encode(picture).decode()
    return CheckedImage(url=f"data:image/{kind.lower()};base64,{encoded}", pixels=pixels)


def is_web_url(url: str) -> bool:
    """Return True if an image is to be fetched, not taken from the request."""
    return not _DATA_URL.match(url.lstrip())


def data_url(data: bytes) -> str:
    """Return the ``data:`` URL of a file of any kind."""
    return f"data:;base64,{base64.b64encode(data).decode()}"


def data_of(url: str) -> bytes:
    """Return the bytes in a ``data:`` URL.

    Raises:
        Refusal: it is no such URL.
    """
    head = _DATA_URL.match(url.lstrip())
    if not head:
        message = "an image must be in the request itself, as data:image/png;base64,..."
        raise Refusal(400, message)
    try:
        # The program base64 breaks lines.
        return base64.b64decode("".join(url.lstrip()[head.end() :].split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(400, "an image is not in Base64") from None


def inspect(data: bytes, max_pixels: int) -> tuple[str, int]:
    """Return an image's format, and its pixels.

    Raises:
        Refusal: the server does not decode it.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            kind, (width, height) = image.format or "", image.size
            animated = getattr(image, "is_animated", False)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(max_pixels) from None
    # A damaged file raises whatever its plugin stumbles over; Pillow's text has addresses in it.
    except Exception:
        raise Refusal(400, UNREADABLE) from None
    if width * height > max_pixels or max(width, height) > LARGEST_SIDE:
        raise _too_large(max_pixels)
    if animated:
        raise Refusal(400, "an image has several frames: send one still image")
    return kind, width * height


def limit_pillow(max_pixels: int) -> None:
    """Limit the Pillow of this process to `FORMATS` and to images of ``max_pixels``."""
    Image.init()
    for name, (plugin, _) in list(Image.OPEN.items()):
        if name not in FORMATS:
            # Not removed: vLLM 0.32.0 names the formats that it opens, and Pillow looks each up.
            Image.register_open(name, plugin, _never)
    # Pillow warns above this number and refuses above twice as many.
    Image.MAX_IMAGE_PIXELS = max_pixels // 2
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)


def _never(_prefix: bytes) -> bool:
    return False


def _too_large(max_pixels: int) -> Refusal:
    message = f"an image has more than {max_pixels} pixels, or a side of over {LARGEST_SIDE}"
    return Refusal(400, message)
