"""Pages as vLLM's own processors prepare them, and as dsk does; prints one JSON object.

Its keys are the models' ids, then the pages' sizes.

Usage: v1_pixels.py CHECKPOINT
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import torch
from PIL import Image
from tests.integration.engine.programs.native_processors import native_processor
from transformers import AutoTokenizer

from dsk import models
from dsk.models.base import ModelProfile, Resolution, Views
from dsk.vllm_plugin.pages import count_tokens
from dsk.vllm_plugin.towers.tower import normalise, tensor
from dsk.vllm_plugin.v1.processing import page_fields

# A4 and Letter, upright and on the side; slides; a tile's side and a pixel more; strips; shapes
# between two grids, large enough to fill the larger one and not.
SIZES = (
    *((1191, 1684), (1684, 1191), (1224, 1584), (1584, 1224), (1280, 720), (1920, 1080)),
    *((640, 640), (641, 640), (640, 641), (768, 768), (769, 768), (768, 769), (300, 481)),
    *((641, 97), (97, 641), (500, 3200), (3200, 500), (2400, 90), (33, 2000), (1536, 1536)),
    *((1250, 1000), (1000, 1250), (2500, 2000), (700, 350), (1800, 900), (1024, 1024)),
)


def main() -> None:
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    rng = np.random.default_rng(3)
    images = [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for width, height in SIZES]
    # Every other one in grey, which dsk resizes once instead of for each colour.
    for pixels in images[1::2]:
        pixels[..., 1:] = pixels[..., :1]
    found: dict[str, dict[str, Any]] = {}
    for profile in models.profiles().values():
        native = native_processor(profile.record.architecture, tokenizer)
        found[profile.id] = {
            f"{pixels.shape[1]} x {pixels.shape[0]}": compared(
                native, profile, profile.default_resolution, Image.fromarray(pixels)
            )
            for pixels in images
        }
        # Without tiles vLLM squashes a page to a tile's side, whatever the size of the view.
        for resolution in profile.resolutions.values():
            if resolution.squash == profile.tile and resolution.view == native.base_size:
                found[f"{profile.id} {resolution.name}"] = {
                    f"{pixels.shape[1]} x {pixels.shape[0]}": compared(
                        native, profile, resolution, Image.fromarray(pixels)
                    )
                    for pixels in images[:8]
                }
    print(json.dumps(found))


def compared(
    native: Any, profile: ModelProfile, resolution: Resolution, image: Image.Image
) -> dict[str, Any]:
    theirs = native(prompt="<image>", images=[image], crop_mode=bool(resolution.tile))
    page = profile.prepare(image, resolution)
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
        "no copy": shares(page, profile.tile),
    }


def pixels(inputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return inputs["pixel_values"], inputs["images_crop"]


def size(*tensors: torch.Tensor) -> int:
    return sum(each.numel() * each.element_size() for each in tensors)


def shares(page: Views, tile: int) -> bool:
    """Whether what goes to the engine is the page's own memory."""
    writeable = Views(view=page.view.copy(), tiles=page.tiles.copy())
    made = page_fields([writeable], tile)
    return bool(
        made["views"][0].data_ptr() == tensor(writeable.view).data_ptr()
        and made["tiles"].data_ptr() == tensor(writeable.tiles).data_ptr()
    )


if __name__ == "__main__":
    main()
