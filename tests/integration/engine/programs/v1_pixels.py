"""Pages as vLLM's own processor prepares them, and as ours does; prints one JSON object.

Usage: v1_pixels.py CHECKPOINT
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoTokenizer
from vllm.transformers_utils.processors.deepseek_ocr import DeepseekOCRProcessor

from dsk import models
from dsk.models.base import Views
from dsk.vllm_plugin.pages import count_tokens
from dsk.vllm_plugin.towers.tower import normalise, tensor
from dsk.vllm_plugin.v1.processing import page_fields

SIZES = ((1191, 1684), (1684, 1191), (1280, 720), (640, 640), (300, 481), (641, 97), (500, 3200))


def main() -> None:
    native = DeepseekOCRProcessor(AutoTokenizer.from_pretrained(sys.argv[1]))
    rng = np.random.default_rng(3)
    found = {}
    for width, height in SIZES:
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        found[f"{width} x {height}"] = compared(native, image)
    print(json.dumps(found))


def compared(native: Any, image: Image.Image) -> dict[str, Any]:
    theirs = native(prompt="<image>", images=[image])
    profile = models.default()
    page = profile.prepare(image, profile.default_resolution)
    ours = page_fields([page], profile.tile)
    view, tiles = normalise(ours["views"][0][None]), normalise(ours["tiles"])
    rows, columns = ours["grids"][0].tolist()
    return {
        "same view": torch.equal(view, theirs["pixel_values"]),
        "same tiles": torch.equal(tiles, theirs["images_crop"]),
        "same in bfloat16": torch.equal(view.bfloat16(), theirs["pixel_values"].bfloat16()),
        "grids": [[max(columns, 1), max(rows, 1)], theirs["images_spatial_crop"][0].tolist()],
        "tokens": [
            count_tokens(profile, page.view, page.tiles),
            theirs["num_image_tokens"][0].item(),
        ],
        "bytes": [size(ours["views"][0], ours["tiles"]), size(*pixels(theirs))],
        "no copy": shares(page),
    }


def pixels(inputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return inputs["pixel_values"], inputs["images_crop"]


def size(*tensors: torch.Tensor) -> int:
    return sum(each.numel() * each.element_size() for each in tensors)


def shares(page: Views) -> bool:
    """Whether what goes to the engine is the page's own memory."""
    writeable = Views(view=page.view.copy(), tiles=page.tiles.copy())
    made = page_fields([writeable], page.tiles.shape[2])
    return bool(
        made["views"][0].data_ptr() == tensor(writeable.view).data_ptr()
        and made["tiles"].data_ptr() == tensor(writeable.tiles).data_ptr()
    )


if __name__ == "__main__":
    main()
