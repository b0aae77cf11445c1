"""The V1 engine takes pages that were cut before: the same pixels, and the charts read exactly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pymupdf
import pytest
from tests.integration.engine.clients import made

from dsk import models
from dsk.eyechart import layout, page

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.engine

SIDE = 16
TEXT = """\
Prices: $3.50 (50% off!) <|ref|>title<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>
Naïve café, 中文, l1I|.
"""


@pytest.fixture(scope="module")
def every(run_in: Callable[..., str]) -> dict[str, dict[str, dict[str, Any]]]:
    """What was found of each page, by the model and the page's size."""
    printed = run_in("cpu", "v1_pixels", made(SIDE)).splitlines()[-1]
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(printed)
    return found


@pytest.fixture(params=[*models.profiles(), "deepseek-ocr-2 squashed"])
def pixels(
    request: pytest.FixtureRequest, every: dict[str, dict[str, dict[str, Any]]]
) -> dict[str, dict[str, Any]]:
    return every[request.param]


@pytest.fixture(scope="module")
def said(run_in: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("page")
    charts = layout.charts(TEXT, SIDE)[:1]
    drawn = pymupdf.open("pdf", page.draw(charts, SIDE))[0]
    drawn.get_pixmap(dpi=144).save(folder / "page.png")
    run_in("cpu", "v1_views", made(SIDE), folder / "page.png", folder / "out.json")
    answer: dict[str, Any] = json.loads((folder / "out.json").read_bytes())
    return answer | {"printed": layout.spelled(charts[0])}


def test_pages_are_vllms_own_bit_by_bit(pixels: dict[str, dict[str, Any]]) -> None:
    assert len(pixels) >= 8
    for size, found in pixels.items():
        assert found["same view"], size
        assert found["same tiles"], size
        assert found["same in bfloat16"], size


def test_grids_and_token_counts_are_vllms_own(pixels: dict[str, dict[str, Any]]) -> None:
    for size, found in pixels.items():
        for name in ("grids", "tokens"):
            ours, theirs = found[name]
            assert ours == theirs, (size, name)


def test_a_page_goes_to_the_engine_uncopied_in_a_quarter_of_the_bytes(
    pixels: dict[str, dict[str, Any]],
) -> None:
    for size, found in pixels.items():
        ours, theirs = found["bytes"]
        assert ours * 4 == theirs, size
        assert found["no copy"], size


def test_a_full_page_has_the_bytes_of_its_view_and_tiles(
    every: dict[str, dict[str, dict[str, Any]]],
) -> None:
    sides = {"deepseek-ocr": 640, "deepseek-ocr-2": 768, "unlimited-ocr": 640}
    full = {model: every[model]["1191 x 1684"]["bytes"][0] for model in sides}
    assert full == {model: 3 * (1024**2 + 6 * side**2) for model, side in sides.items()}


def test_views_of_two_modes_in_one_batch_are_read_exactly(said: dict[str, Any]) -> None:
    assert said["read"] == {"gundam": said["printed"], "base": said["printed"]}


def test_a_prompt_holds_its_pages_tokens_in_every_mode(said: dict[str, Any]) -> None:
    start, words = 1, len("\nFree OCR.")
    modes = models.default().resolutions
    pages = {name: mode.tokens(mode.grid(1024, 1024)) for name, mode in modes.items()}
    rest = said["tokens"]["tiny"] - pages["tiny"]
    assert 0 < rest <= start + words
    assert said["tokens"] == {name: count + rest for name, count in pages.items()}


def test_a_request_may_name_the_mode_of_its_image(said: dict[str, Any]) -> None:
    assert said["tokens by name"]["tiny"] == said["tokens"]["tiny"]


def test_what_is_no_image_and_a_prompt_without_its_place_are_refused(said: dict[str, Any]) -> None:
    no_image, no_place = said["refused"]
    assert "an image is a str: give PIL images or dsk's Views" in no_image
    assert no_place == "the prompt has 0 places for 1 images: write one <image> each"
