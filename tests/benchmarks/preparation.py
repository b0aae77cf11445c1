"""What preparing an A4 page costs, by dsk and the plain way; prints one JSON object.

Usage, in an environment with vLLM's native model: preparation.py DOCUMENT PAGES TOKENIZER

Ours: rendered, cut into uint8 views, handed over by a file in memory and mapped by the engine's
process. The plain way: rendered, a PNG and back, then vLLM's own processor of DeepSeek-OCR. Seconds
are the process's, on one thread, a page each.
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
from transformers import AutoTokenizer
from vllm.transformers_utils.processors.deepseek_ocr import DeepseekOCRProcessor

from dsk import models
from dsk.ocr.documents.opening import open_source
from dsk.ocr.ipc import payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from dsk.models.base import Views

ROUNDS = 5


def main() -> None:
    file, pages, tokenizer = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(1)
    profile = models.default()
    processor = DeepseekOCRProcessor(AutoTokenizer.from_pretrained(tokenizer))

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

    exact = all(
        torch.equal(as_processed(mine.view), theirs["pixel_values"][0])
        and torch.equal(as_processed(mine.tiles.reshape(-1, 640, 640, 3)), theirs["images_crop"])
        for mine, theirs in zip(ours(), plain(), strict=True)
    )
    rounds = [(seconds(ours) / pages, seconds(plain) / pages) for _ in range(ROUNDS)]
    print(json.dumps({"pixels_exact": exact, "rounds": rounds}))


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
