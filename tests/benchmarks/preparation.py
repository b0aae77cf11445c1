"""What preparing an A4 page costs, by dsk and the plain way; prints a JSON object a document.

Usage, in an environment with vLLM's native model: preparation.py MODEL TOKENIZER PAGES DOCUMENT...

Ours: rendered, cut into uint8 views, handed over by a file in memory and mapped by the engine's
process. The plain way: rendered, a PNG and back, then vLLM's own processor of the model. Beside
that, of a page that is rendered already, cutting alone and the processor alone. Seconds are the
process's, on one thread, a page each.
"""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from tests.integration.engine.programs.native_processors import native_processor
from transformers import AutoTokenizer

from dsk import models
from dsk.ocr.documents.opening import open_source
from dsk.ocr.ipc import payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from dsk.models.base import ModelProfile, Views

ROUNDS = 5


def main() -> None:
    name, tokenizer, pages, *files = sys.argv[1:]
    torch.set_num_threads(1)
    profile = models.profile(name)
    processor = native_processor(
        profile.record.architecture, AutoTokenizer.from_pretrained(tokenizer)
    )
    for file in files:
        print(json.dumps(measure(Path(file), int(pages), profile, processor)), flush=True)


def measure(file: Path, pages: int, profile: ModelProfile, processor: Any) -> dict[str, Any]:
    """Return the seconds of each way in each round, and whether all pixels are equal."""
    with open_source(file) as source:
        rendered = [source.image(page, 144) for page in range(1, pages + 1)]

    def plain() -> Iterator[Any]:
        with open_source(file) as source:
            for page in range(1, pages + 1):
                stream = io.BytesIO()
                source.image(page, 144).save(stream, "PNG")
                image = Image.open(stream).convert("RGB")
                yield processor(prompt="<image>\nFree OCR.", images=[image])

    def ours() -> Iterator[Views]:
        with open_source(file) as source:
            for page in range(1, pages + 1):
                image = source.image(page, 144)
                view = profile.prepare(image, profile.default_resolution)
                yield payload.read_views(*payload.pack_views(view))

    def processed() -> Iterator[Any]:
        for image in rendered:
            yield processor(prompt="<image>\nFree OCR.", images=[image])

    def cut() -> Iterator[Views]:
        for image in rendered:
            yield profile.prepare(image, profile.default_resolution)

    side = profile.tile
    exact = all(
        torch.equal(as_processed(mine.view), theirs["pixel_values"][0])
        and torch.equal(as_processed(mine.tiles.reshape(-1, side, side, 3)), theirs["images_crop"])
        for mine, theirs in zip(ours(), plain(), strict=True)
    )
    ways = (ours, plain, cut, processed)
    rounds = [[seconds(way) / pages for way in ways] for _ in range(ROUNDS)]
    return {"pixels_exact": exact, "rounds": rounds}


def as_processed(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """(..., H, W, 3) as the native processor has them, (..., 3, H, W) float32."""
    scaled = torch.from_numpy(pixels.copy()).movedim(-1, -3).float().div(255)
    return scaled.sub(0.5).div(0.5)


def seconds(way: Callable[[], Iterator[object]]) -> float:
    began = time.process_time()
    for _ in way():
        pass
    return time.process_time() - began


if __name__ == "__main__":
    main()
