"""Readout: a linear map from SAM's features of a cell to the code of the symbol in it."""

# A ridge regression in closed form, on charts of random symbols that are drawn, rendered and
# encoded like pages. Fitted to six charts, it scored each symbol of 14 other charts at least 0.22
# above the next likely one, of 0.63 possible, at 90 and at 144 dots per inch.

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pymupdf
import torch
from PIL import Image

from dsk.eyechart import page, qwen2, vision
from dsk.eyechart.alphabet import Control
from dsk.vllm_plugin.towers.sam import SamEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from dsk.eyechart.recipe import Recipe

    Progress = Callable[[int, int], None]

# Least number of cells to fit.
CELLS: Final = 1536
_RIDGE: Final = 10.0
# Dots per inch of the charts in turn: at 144 a cell is 64 px, at 90 it is scaled up to that.
_SCALES: Final = (144, 90)


def fit(recipe: Recipe, progress: Progress) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit the readout to SAM's features of random charts.

    Args:
        recipe: of the test model.
        progress: called with the number of charts encoded, and of all.

    Returns:
        Weight (features, codes) and bias (codes,).
    """
    encoder = sam(recipe)
    count = -(-CELLS // recipe.side**2)
    charts = _random_charts(count, recipe)
    features = []
    for number, image in enumerate(_rendered(charts, recipe)):
        features.append(_features(encoder, image))
        progress(number + 1, count)
    seen = np.concatenate(features)
    if recipe.record.vision.qwen2:
        seen = qwen2.normalised(recipe, seen)
    return _ridge(seen, recipe.alphabet.codes[np.concatenate(charts)])


def sam(recipe: Recipe) -> SamEncoder:
    """Return the SAM tower with the weights that the seed draws."""
    encoder = SamEncoder(recipe.record.vision.downsample_channels)
    encoder.eval()
    encoder.load_state_dict(
        {
            name.removeprefix(vision.SAM): torch.from_numpy(tensor)
            for name, tensor in vision.sam(recipe.record.vision, recipe.seed)
        }
    )
    return encoder


def _random_charts(count: int, recipe: Recipe) -> list[NDArray[np.int64]]:
    """Return random charts in which all symbols are equally frequent."""
    # A third is full, a third has ragged rows, and a third is short as well: pages of text are
    # mostly empty, and the readout must have seen such ones.
    side, symbols = recipe.side, recipe.alphabet.symbols
    generator = np.random.default_rng([recipe.seed, side])
    needed = count * side**2
    rounds = -(-needed // len(symbols))
    deal = np.concatenate([generator.permutation(len(symbols)) for _ in range(rounds)])
    cells = deal[:needed].reshape(count, side, side)
    widths = generator.integers(0, side, (count, side, 1), endpoint=True)
    heights = generator.integers(1, side, (count, 1, 1))
    kind = np.arange(count)[:, None, None] * 3 // count
    across, down = np.arange(side), np.arange(side)[:, None]
    empty = (kind > 0) & (across >= widths) | (kind > 1) & (down >= heights)
    cells[empty] = recipe.alphabet.index[Control.BLANK]
    return list(cells.reshape(count, side**2))


def _rendered(charts: list[NDArray[np.int64]], recipe: Recipe) -> Iterator[NDArray[np.uint8]]:
    """Yield the global view of each chart, (S, S, 3)."""
    profile, side = recipe.profile, recipe.side
    resolution = profile.custom_resolution(side * profile.cell)
    drawn = page.draw([chart.tolist() for chart in charts], side, profile=profile)
    with pymupdf.open("pdf", drawn) as document:
        for number, sheet in enumerate(document):
            pixels = sheet.get_pixmap(dpi=_SCALES[number % len(_SCALES)])
            image = Image.frombytes("RGB", (pixels.width, pixels.height), pixels.samples)
            yield profile.prepare(image, resolution).view


def _features(encoder: SamEncoder, image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return SAM's features of each cell, (cells, features), in float32 arithmetic."""
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        grid = encoder(pixels)[0]
    cells: NDArray[np.float64] = grid.flatten(1).T.double().numpy()
    return cells


def _ridge(
    features: NDArray[np.float64], targets: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean, scale = features.mean(0), features.std(0)
    scale[scale == 0] = 1  # a feature that is always zero gets no weight
    standard = (features - mean) / scale
    centre = targets.mean(0)
    gram = standard.T @ standard + _RIDGE * np.eye(len(mean))
    weight = np.linalg.solve(gram, standard.T @ (targets - centre)) / scale[:, None]
    return weight, centre - mean @ weight
