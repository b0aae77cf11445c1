"""Pillow's bicubic resize, pixel for pixel, at the cost of what a page has on it.

Pillow resizes each row of pixels on its own, and then each column of what comes out. So a row or a
column of one value keeps it, and where two colours are equal, what becomes of them is. Most of a
document is white margins, white between the lines and black text: it costs what the lines cost in
grey, and a heading or a figure in colour costs its own area.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Mask = NDArray[np.bool_]
    Indices = NDArray[np.intp]
    # Rows and columns.
    Area = tuple[slice, slice]

_BICUBIC: Final = Image.Resampling.BICUBIC
# Pillow (src/libImaging/Resample.c) sums in int32: 8 bits of the pixel, 2 for sign and overshoot.
_FRACTION_BITS: Final = 32 - 8 - 2
# Pixels summed at a time: with their int32 sums they stay in a core's own cache.
_BLOCK: Final = 1 << 17
# Rows without colour that do not part an area in two: each area costs some 0.1 ms more.
_GAP: Final = 16
# Part of a page, green's and blue's added, from which on Pillow's three colours at once cost less.
_BREAK_EVEN: Final = 1.2


@dataclass(frozen=True, kw_only=True, eq=False)
class _Windows:
    """Pillow's weights for a resize of rows or columns.

    Args:
        first: (new,) the first of the old pixels that each new one is a sum of; never falling.
        weights: (new, taps) int32 in units of 2**-22, of that pixel and those after it.
    """

    first: Indices
    weights: NDArray[np.int32]

    @property
    def taps(self) -> int:
        """Old pixels that a new one is a sum of."""
        return int(self.weights.shape[1])

    def part(self, old: slice) -> tuple[slice, slice, _Windows]:
        """Return the new pixels that these old ones go into, all old pixels that those depend on.

        Third come the windows of the former in the latter.
        """
        begin, end = np.searchsorted(self.first, [old.start - self.taps + 1, old.stop])
        first = self.first[begin:end]
        windows = _Windows(first=first - first[0], weights=self.weights[begin:end])
        return slice(begin, end), slice(first[0], first[-1] + self.taps), windows


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """An image that is resized more than once.

    Args:
        image: in mode RGB.
        planes: (H, W) uint8 each: red, green and blue; one for all three where they are equal.
        areas: all that is in colour; None if that is so much that Pillow's own way costs less.
    """

    image: Image.Image
    planes: Sequence[Plane]
    areas: Sequence[Area] | None

    @classmethod
    def of(cls, image: Image.Image) -> Picture:
        """Look at the colours of an image of any mode."""
        image = image if image.mode == "RGB" else image.convert("RGB")
        planes = [np.asarray(band) for band in image.split()]
        areas = list(_coloured_areas(planes))
        if not areas:
            return cls(image=image, planes=planes[:1], areas=[])
        pays = sum(_cost(planes, area) for area in areas) < _BREAK_EVEN * planes[0].size
        return cls(image=image, planes=planes, areas=areas if pays else None)

    def resize(self, width: int, height: int, out: Plane) -> None:
        """Resize as ``Image.resize((width, height), BICUBIC)`` does.

        Args:
            width: of the result, in pixels.
            height: of the result, in pixels.
            out: (..., 3) uint8, the result, whose other axes hold its rows and then its columns.
        """
        if self.areas is None:
            resized = self.image.resize((width, height), _BICUBIC)
            out[:] = np.asarray(resized).reshape(out.shape)
            return
        planes = self._resized(width, height, self.areas)
        for band in range(3):
            out[..., band] = planes[band % len(planes)].reshape(out.shape[:-1])

    def _resized(self, width: int, height: int, areas: Sequence[Area]) -> list[Plane]:
        columns, rows = self.image.size
        across, down = _windows(columns, width), _windows(rows, height)
        # Since 13.0.0 (its pull request 9549) Pillow begins with the columns in this case.
        columns_first = rows - height > max(0, 2 * (columns - width))
        grey = self.planes[0]
        if columns_first:
            grey = _resize_rows(_sum_columns(grey, down), width)
        else:
            grey = _sum_columns(_resize_rows(grey, width), down)
        resized = [grey, *(grey.copy() for _ in self.planes[1:])]
        for area in areas:
            new_rows, old_rows, downward = down.part(area[0])
            new_columns, old_columns, rightward = across.part(area[1])
            parts = [plane[old_rows, old_columns] for plane in self.planes]
            for number in (1, 2):
                place = resized[number][new_rows, new_columns]
                if number == 2 and np.array_equal(parts[1], parts[2]):
                    place[:] = resized[1][new_rows, new_columns]
                elif columns_first:
                    place[:] = _sum_rows(_sum_columns(parts[number], downward), rightward)
                else:
                    place[:] = _sum_columns(_sum_rows(parts[number], rightward), downward)
        return resized


def _coloured_areas(planes: Sequence[Plane]) -> Iterator[Area]:
    """Yield areas that hold all pixels in which green or blue is not red."""
    red, green, blue = planes
    coloured = (green != red) | (blue != red)
    rows = np.flatnonzero(coloured.any(axis=1))
    for run in np.split(rows, np.flatnonzero(np.diff(rows) > _GAP) + 1):
        if run.size:
            lines = slice(int(run[0]), int(run[-1]) + 1)
            columns = np.flatnonzero(coloured[lines].any(axis=0))
            yield lines, slice(int(columns[0]), int(columns[-1]) + 1)


def _cost(planes: Sequence[Plane], area: Area) -> int:
    """Return the pixels to resize of green and blue in an area."""
    _, green, blue = (plane[area] for plane in planes)
    return green.size * (1 if np.array_equal(green, blue) else 2)


def _resize_rows(plane: Plane, width: int) -> Plane:
    """Resize each row by Pillow, but for those of one value."""
    if plane.shape[1] == width:
        return plane
    varied = (plane != plane[:, :1]).any(axis=1)
    resized = np.empty((len(plane), width), np.uint8)
    resized[~varied] = plane[~varied, :1]
    if varied.any():
        image = Image.fromarray(plane[varied])
        resized[varied] = np.asarray(image.resize((width, image.height), _BICUBIC))
    return resized


def _sum_rows(plane: Plane, windows: _Windows) -> Plane:
    return np.ascontiguousarray(_sum_columns(np.ascontiguousarray(plane.T), windows).T)


def _sum_columns(plane: Plane, windows: _Windows) -> Plane:
    """Resize each column, where it is not of one value."""
    width, taps = plane.shape[1], windows.taps
    resized = np.empty((len(windows.first), width), np.uint8)
    step = max(1, _BLOCK // width)
    for top in range(0, len(resized), step):
        block = slice(top, top + step)
        starts = windows.first[block] - windows.first[top]
        source = plane[windows.first[top] : windows.first[block][-1] + taps]
        resized[block] = source[starts]
        changes = source[1:] != source[:-1]
        columns = np.flatnonzero(changes.any(axis=0))
        if columns.size:
            counts = np.concatenate([[0], np.cumsum(changes.any(axis=1))])
            rows = np.flatnonzero(counts[starts + taps - 1] > counts[starts])
            varied = slice(columns[0], columns[-1] + 1)
            resized[block][rows, varied] = _sums(
                source[:, varied], starts[rows], windows.weights[block][rows]
            )
    return resized


def _sums(source: Plane, starts: Indices, weights: NDArray[np.int32]) -> Plane:
    """Sum the rows of a source from each start on, by the weights of each."""
    total = np.full((len(starts), source.shape[1]), 1 << (_FRACTION_BITS - 1), np.int32)
    product = np.empty_like(total)
    for tap in range(weights.shape[1]):
        np.multiply(source[starts + tap], weights[:, tap, None], out=product)
        total += product
    total >>= _FRACTION_BITS
    return np.clip(total, 0, 255, out=total).astype(np.uint8)


@functools.lru_cache(maxsize=8)
def _windows(old: int, new: int) -> _Windows:
    """Return the weights by which Pillow resizes ``old`` pixels to ``new``."""
    # A pixel of 2**22 in Pillow's mode I comes out as its weight, rounded as those of 8-bit pixels
    # are. Pixels that no window has in common share a column.
    support = 2 * max(1.0, old / new)
    reach = int(np.ceil(2 * support)) + 3
    pixels = np.arange(old)
    comb = np.zeros((old, reach), np.int32)
    comb[pixels, pixels % reach] = 1 << _FRACTION_BITS
    combed = np.asarray(Image.fromarray(comb).resize((reach, new), _BICUBIC))
    centres = (np.arange(new) + 0.5) * (old / new)
    begins = np.maximum(0, np.floor(centres - support - 0.5).astype(np.intp))
    weighs = _from(begins, combed, reach) != 0
    # The weight of a pixel at a whole distance from the centre is 0, so a window can seem to begin
    # later than the next one.
    first = np.minimum.accumulate((begins + weighs.argmax(axis=1))[::-1])[::-1]
    ends = begins + reach - weighs[:, ::-1].argmax(axis=1)
    taps = int((ends - first).max())
    first = np.minimum(first, old - taps)
    return _Windows(first=first, weights=_from(first, combed, taps))


def _from(first: Indices, combed: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """Return ``count`` weights from a first pixel on."""
    columns = (first[:, None] + np.arange(count)) % combed.shape[1]
    return np.take_along_axis(combed, columns, axis=1)
