"""How many A4 pages a second our vision tower encodes on this card; prints one JSON object.

Needs torch and this project alone:
``PYTHONPATH=toolkit python tests/benchmarks/tower_speed.py [MODEL_ID]``.
Weights are random; the time does not depend on them. A page has a view and 2 x 3 tiles. Any wait of
the host for the card is an error.

Seen on 2026-11-27 on an H100 with torch 2.11.0, patches in a pass and pages a second: one image at
a time 7.8, 8,192 30.2, 16,384 59.9, 32,768 86.9, 65,536 88.9, 131,072 90.6.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import torch

from dsk import models
from dsk.vllm_plugin.towers.sam import PATCH
from dsk.vllm_plugin.towers.tower import VisionTower, normalise

if TYPE_CHECKING:
    from dsk.models.base import ModelProfile

WIDTH = 1280
PAGES = 16
ROUNDS = 3


def main() -> None:
    torch.manual_seed(0)
    device = torch.device("cuda")
    model = models.profile(sys.argv[1]) if sys.argv[1:] else models.default()
    tower = VisionTower(model, WIDTH, 1).eval()
    away = away_from_cpu(tower, model)
    tower = tower.to(device, torch.bfloat16)
    pages = random_pages(model, device)
    found: dict[str, Any] = {
        "model": model.id,
        "card": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "pixels exact": exact(device),
        "away from the CPU, in float32": away,
        "pages a second by patches in a pass": {},
        "peak GiB of a pass of one kind by patches": {},
        "profile": "",
    }
    with torch.inference_mode():
        for patches in (1, 8192, 16384, 32768, 65536, 131072):
            tower.patches_per_pass = patches
            found["pages a second by patches in a pass"][patches] = speed(tower, pages)
            found["peak GiB of a pass of one kind by patches"][patches] = {
                kind: peak(tower, model, kind, patches) for kind in ("views", "tiles")
            }
        tower.patches_per_pass = 32768
        found["profile"] = profile(tower, pages)
        print(found.pop("profile"))
    print(json.dumps(found))


def random_pages(
    model: ModelProfile, device: torch.device
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    view, tile = model.default_resolution.view, model.tile

    def noise(*shape: int) -> torch.Tensor:
        return torch.randint(0, 256, shape, dtype=torch.uint8, device=device)

    return (
        [noise(view, view, 3) for _ in range(PAGES)],
        [noise(3, 2, tile, tile, 3) for _ in range(PAGES)],
    )


def peak(tower: VisionTower, model: ModelProfile, kind: str, patches: int) -> float:
    """The memory of one pass that is full of pictures of one size."""
    side = model.tile if kind == "tiles" else model.default_resolution.view
    count = max(1, patches // (side // PATCH) ** 2)
    pictures = list(torch.zeros(count, side, side, 3, dtype=torch.uint8, device="cuda").unbind(0))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    tower.encode(pictures)
    used: int = torch.cuda.max_memory_allocated() - before
    return round(used / 2**30, 3)


def away_from_cpu(tower: VisionTower, model: ModelProfile) -> dict[str, float]:
    """How far a view and a tile are from what the CPU makes of them, relative to their length."""
    for name, parameter in tower.named_parameters():
        if "pos_embed" in name or "rel_pos" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    torch.backends.cudnn.allow_tf32 = False
    found = {}
    with torch.inference_mode():
        for kind, side in (("view", model.default_resolution.view), ("tile", model.tile)):
            pixels = torch.randint(0, 256, (1, side, side, 3), dtype=torch.uint8)
            wanted = tower.cpu().encode_batch(pixels)
            got = tower.cuda().encode_batch(pixels.cuda()).cpu()
            found[kind] = float((got - wanted).norm() / wanted.norm())
    return found


def exact(device: torch.device) -> bool:
    """Whether all 256 values are normalised on the card as on the CPU."""
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(1, 16, 16, 3)
    return bool(torch.equal(normalise(values.to(device)).cpu(), normalise(values)))


def speed(tower: VisionTower, pages: tuple[list[torch.Tensor], ...]) -> dict[str, float]:
    tower(*pages)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    start = time.perf_counter()
    torch.cuda.set_sync_debug_mode("error")
    for _ in range(ROUNDS):
        tower(*pages)
    torch.cuda.set_sync_debug_mode("default")
    launched = time.perf_counter() - start
    torch.cuda.synchronize()
    took = time.perf_counter() - start
    return {
        "pages a second": round(ROUNDS * PAGES / took, 2),
        "share of the time spent launching": round(launched / took, 3),
        "peak GiB": round((torch.cuda.max_memory_allocated() - before) / 2**30, 3),
    }


def profile(tower: VisionTower, pages: tuple[list[torch.Tensor], ...]) -> str:
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as seen:
        tower(*pages)
        torch.cuda.synchronize()
    return str(seen.key_averages().table(sort_by="self_cuda_time_total", row_limit=30))


if __name__ == "__main__":
    main()
