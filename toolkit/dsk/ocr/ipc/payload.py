"""A page on its way to the engine: as the tiles that its towers see, or as a PNG for a server."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal

import numpy as np

from dsk.models.deepseek_ocr.tiles import Views
from dsk.ocr.ipc import channel

if TYPE_CHECKING:
    from PIL import Image


class Payload(channel.Message):
    """What is in the file in memory that goes along.

    Args:
        form: ``views`` are the bytes of a `dsk.models.deepseek_ocr.tiles.Views`: view, tiles.
        view: side of the view in pixels.
        tiles: (rows, columns, side in pixels).
    """

    form: Literal["views", "png"]
    view: int = 0
    tiles: tuple[int, int, int] = (0, 0, 0)

    @property
    def grid(self) -> tuple[int, int] | None:
        """(columns, rows) of tiles; (1, 1) is none, and None is not known."""
        if self.form == "png":
            return None
        rows, columns, _ = self.tiles
        return (columns, rows) if rows else (1, 1)


def of_views(views: Views) -> tuple[Payload, int]:
    """A page's views, and the file in memory that they are in."""
    rows, columns, side = views.tiles.shape[:3]
    parts = [np.ascontiguousarray(part).data for part in (views.view, views.tiles) if part.size]
    payload = Payload(form="views", view=views.view.shape[0], tiles=(rows, columns, side))
    return payload, channel.in_memory(parts)


def of_image(image: Image.Image) -> tuple[Payload, int]:
    """A page as a PNG, pixel for pixel, and the file in memory that it is in."""
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return Payload(form="png"), channel.in_memory([stream.getbuffer()])


def views_in(payload: Payload, file: int) -> Views:
    """The views in a file in memory, without a copy. The descriptor is closed."""
    pixels = np.frombuffer(channel.mapped(file), np.uint8)
    rows, columns, side = payload.tiles
    view = (payload.view, payload.view, 3)
    tiles = (rows, columns, side, side, 3)
    size = int(np.prod(view))
    return Views(view=pixels[:size].reshape(view), tiles=pixels[size:].reshape(tiles))


def png_in(file: int) -> bytes:
    """The PNG in a file in memory. The descriptor is closed."""
    with channel.mapped(file) as content:
        return content[:]
