"""DeepSeek-OCR-2's numbers, as its own code and its paper have them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageOps
from tests.unit.models.literal_rule import GREY, noise

from dsk import models

PROFILE = models.profile("deepseek-ocr-2")
GUNDAM = PROFILE.resolutions["gundam"]


@pytest.mark.parametrize(
    ("name", "size", "tokens"),
    [
        ("gundam", (768, 768), 257),
        ("gundam", (769, 768), 257 + 4 * 144),
        ("gundam", (1190, 1684), 1121),
        ("gundam", (1684, 1190), 1121),
        ("gundam", (1224, 1584), 1121),
        ("gundam", (1920, 1080), 545),
        ("gundam", (1536, 1536), 833),
        ("gundam", (200, 10000), 1121),
        ("base", (1190, 1684), 257),
        ("squashed", (1190, 1684), 257),
    ],
)
def test_an_image_takes_257_tokens_and_144_a_tile(
    name: str, size: tuple[int, int], tokens: int
) -> None:
    resolution = PROFILE.resolutions[name]
    assert resolution.tokens(resolution.grid(*size)) == tokens


def test_no_image_takes_more_than_1121_tokens() -> None:
    assert PROFILE.max_page_tokens == 1121
    assert PROFILE.worst_page == (768, 4608)


def test_rows_have_no_end_and_the_projector_takes_what_the_queries_became() -> None:
    vision = PROFILE.record.vision
    assert not vision.row_ends
    assert (vision.clip, vision.features) == (None, 896)
    assert vision.qwen2
    assert vision.qwen2.hidden_size == vision.downsample_channels[-1]
    assert vision.qwen2.hidden_size // vision.qwen2.attention_heads == 64
    # The two tables of queries, query_1024 and query_768.
    assert {(side // PROFILE.cell) ** 2 for side in (GUNDAM.view, GUNDAM.tile)} == {256, 144}


def test_without_tiles_a_page_keeps_its_shape_or_is_squashed_to_a_tile_first() -> None:
    image = noise((1190, 700))
    square = (1024, 1024)
    base = PROFILE.prepare(image, PROFILE.resolutions["base"])
    assert np.array_equal(base.view, np.asarray(ImageOps.pad(image, square, color=GREY)))
    squashed = PROFILE.prepare(image, PROFILE.resolutions["squashed"])
    expected = ImageOps.pad(image.resize((768, 768)), square, color=GREY)
    assert np.array_equal(squashed.view, np.asarray(expected))


def test_its_guards_are_the_published_ones() -> None:
    guards = PROFILE.record.guards
    assert (guards.default.size, guards.default.window) == (20, 50)
    assert guards.official
    assert (guards.official.pdf.size, guards.official.pdf.window) == (20, 50)
    assert (guards.official.image.size, guards.official.image.window) == (20, 90)


def test_the_weights_are_the_parameters_of_all_tensors() -> None:
    record = PROFILE.record
    assert record.weights_bytes == 2 * 3_389_119_360
    pinned = record.files["model-00001-of-000001.safetensors"].size
    assert pinned is not None
    # A header of JSON, with its length in 8 bytes before it.
    assert 8 < pinned - record.weights_bytes < 1 << 20
    assert record.memory.weights_gib == pytest.approx(
        record.weights_bytes / 2**30 + 0.016, abs=0.01
    )
