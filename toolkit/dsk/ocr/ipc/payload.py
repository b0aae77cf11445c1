"""Pixels of a page on their way to an engine: views and tiles for ours, a PNG for a server."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal

import numpy as np

from dsk.models.base import Views
from dsk.ocr.ipc import channel

if TYPE_CHECKING:
    from PIL import Image


class Payload(channel.Message):
    """Description of the file in memory that is sent along.

    Args:
        form: ``views`` are the bytes of a `dsk.models.base.Views`: view, then tiles.
        view: side of the view in pixels.
        tiles: (rows, columns, side in pixels).
    """

    form: Literal["views", "png"]
    view: int = 0
    tiles: tuple[int, int, int] = (0, 0, 0)

    @property
    def grid(self) -> tuple[int, int] | None:
        """(columns, rows) of tiles; (1, 1) for none; None for a PNG, which the server cuts."""
        if self.form == "png":
            return None
        rows, columns, _ = self.tiles
        return (columns, rows) if rows else (1, 1)


def pack_views(views: Views) -> tuple[Payload, int]:
    """Write a page's views to a file in memory; return its description and descriptor."""
    rows, columns, side = views.tiles.shape[:3]
    # A memoryview of no bytes cannot be cast: an empty array of tiles is left out.
    parts = [np.ascontiguousarray(part).data for part in (views.view, views.tiles) if part.size]
    payload = Payload(form="views", view=views.view.shape[0], tiles=(rows, columns, side))
    return payload, channel.create_memory_file(parts)


def pack_png(image: Image.Image) -> tuple[Payload, int]:
    """Write a page as a lossless PNG to a file in memory; return its description and descriptor."""
    stream = io.BytesIO()
    # Level 1: PNG's higher levels take several times as long for a little less.
    image.save(stream, "PNG", compress_level=1)
    return Payload(form="png"), channel.create_memory_file([stream.getbuffer()])


def read_views(payload: Payload, file: int) -> Views:
    """Return the views in a file in memory, without a copy; its descriptor is closed."""
    # The arrays keep the mapping alive, and the kernel's memory with it.
    pixels = np.frombuffer(channel.map_memory_file(file), np.uint8)
    rows, columns, side = payload.tiles
    view = (payload.view, payload.view, 3)
    tiles = (rows, columns, side, side, 3)
    size = int(np.prod(view))
    return Views(view=pixels[:size].reshape(view), tiles=pixels[size:].reshape(tiles))


def read_png(file: int) -> bytes:
    """Return the PNG in a file in memory; its descriptor is closed."""
    with channel.map_memory_file(file) as content:
        return content[:]
