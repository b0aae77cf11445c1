"""Embed the pages with our tower in float32.

Usage: tower_ours.py MODEL_ID CHECKPOINT PAGES OUT.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open

from dsk import models
from dsk.vllm_plugin.towers.tower import VisionTower


def main(model_id: str, checkpoint: Path, pages: Path, out: Path) -> None:
    profile = models.profile(model_id)
    width = profile.record.language.hidden_size
    tower = VisionTower(profile, width, patches_per_pass=10**6).eval()
    with safe_open(checkpoint / "model.safetensors", "pt") as file:
        tower.load_state_dict(
            {name: file.get_tensor(f"model.{name}").float() for name in tower.state_dict()}
        )
    names = sorted(pages.glob("*.png"))
    cut = [profile.prepare(Image.open(name), profile.default_resolution) for name in names]
    with torch.inference_mode():
        found = tower(
            [torch.tensor(image.view) for image in cut],
            [torch.tensor(image.tiles) for image in cut],
        )
    np.savez(out, **{name.stem: rows.numpy() for name, rows in zip(names, found, strict=True)})


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
