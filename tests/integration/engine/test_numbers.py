"""Our model's numbers against vLLM's own, each from its own environment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pymupdf
import pytest
from PIL import Image

from dsk.eyechart import cache, layout, page
from dsk.matrix import load_matrix

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.engine

TILED, PLAIN = "tiled", "plain"
SIDE = 16
TEXT = "".join(f"{n}: seven pages, none lost; " for n in range(9))


@pytest.fixture(scope="module")
def checkpoint(run_in: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    run_in("cpu-v0", "seeded_checkpoint", folder)
    return folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two tiles, 493 vision tokens, and one of none, 273."""
    folder = tmp_path_factory.mktemp("pages")
    rng = np.random.default_rng(5)
    for name, shape in ((TILED, (1000, 500, 3)), (PLAIN, (480, 620, 3))):
        coarse = rng.integers(0, 256, (shape[0] // 20, shape[1] // 20, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((shape[1], shape[0])).save(folder / f"{name}.png")
    return folder


def test_image_embeddings_agree_with_vllms_own_in_float32(
    run_in: Callable[..., str], checkpoint: Path, pages: Path, tmp_path: Path
) -> None:
    run_in("cpu-v0", "tower_ours", checkpoint, pages, tmp_path / "ours.npz")
    run_in("cpu", "tower_native", checkpoint, pages, tmp_path / "native.npz")
    ours, native = np.load(tmp_path / "ours.npz"), np.load(tmp_path / "native.npz")
    for name, tokens in ((TILED, 493), (PLAIN, 273)):
        assert ours[name].shape == native[name].shape == (tokens, 1280)
        away = np.linalg.norm(ours[name] - native[name]) / np.linalg.norm(native[name])
        assert away < 2e-3, f"{name}: {away:.2e}"


def test_greedy_tokens_agree_in_bfloat16_over_200_steps(
    run_in: Callable[..., str], tmp_path: Path
) -> None:
    """The test model says what it sees, so that each token hangs on its cell of the page.

    A decoder of random weights has no opinion: vLLM's own two best tokens were equal in bfloat16 at
    7 of 200 steps.
    """
    checkpoint = cache.cached(load_matrix().stack("cpu-v0"), SIDE, progress=lambda _: None)
    drawn = pymupdf.open("pdf", page.draw(layout.charts(TEXT, SIDE)[:1], SIDE))[0]
    drawn.get_pixmap(dpi=144).save(tmp_path / f"{TILED}.png")
    drawn.get_pixmap(dpi=90).save(tmp_path / f"{PLAIN}.png")
    run_in("cpu", "greedy", checkpoint, tmp_path, tmp_path / "native.json")
    run_in("cpu-v0", "greedy", checkpoint, tmp_path, tmp_path / "ours.json")
    native, ours = (json.loads((tmp_path / f"{x}.json").read_bytes()) for x in ("native", "ours"))
    for name in (TILED, PLAIN):
        assert len(native[name]) == len(ours[name]) == 200
        same = np.mean(np.array(native[name]) == np.array(ours[name]))
        assert same >= 0.99, f"{name}: {same:.1%}"
