"""Our Qwen2 encoder against sums written token by token; prints one JSON object."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import silu
from torch.utils._python_dispatch import TorchDispatchMode

from dsk import models
from dsk.matrix.models import Qwen2Dimensions
from dsk.vllm_plugin.towers import sam
from dsk.vllm_plugin.towers.qwen2 import QueryEncoder, Qwen2Layer
from dsk.vllm_plugin.towers.tower import VisionTower

if TYPE_CHECKING:
    from dsk.models.base import ModelProfile

SMALL = Qwen2Dimensions(
    layers=2,
    hidden_size=32,
    attention_heads=4,
    kv_heads=2,
    intermediate_size=48,
    rope_theta=1e6,
    rms_norm_eps=1e-6,
)
CELL = 64
SIDES = {"three cells a side": 3 * CELL, "two cells a side": 2 * CELL}

# The host waits for the device to compute these: it needs their result.
WAITS = {
    "item",
    "_local_scalar_dense",
    "nonzero",
    "equal",
    "masked_select",
    "unique_dim",
    "_unique2",
}


def seeded(module: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(4)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module.eval()


def away(side: int) -> float:
    encoder = seeded(QueryEncoder(SMALL, SIDES.values(), CELL))
    cells = side // CELL
    features = torch.randn(3, SMALL.hidden_size, cells, cells)
    queries = encoder.get_parameter(f"query_{side}.weight")
    wanted = torch.stack([written_out(encoder, picture, queries) for picture in features])
    return float((encoder(features) - wanted).abs().max())


def written_out(
    encoder: QueryEncoder, picture: torch.Tensor, queries: torch.Tensor
) -> torch.Tensor:
    """Encode one picture (C, G, G)."""
    tokens = [*picture.flatten(1).T, *queries]
    count = len(queries)
    decoder = encoder.model.model
    for layer in decoder.layers:
        tokens = after_layer(layer, tokens, count)
    return torch.stack([normed(token, decoder.norm.weight) for token in tokens[count:]])


def after_layer(layer: Qwen2Layer, tokens: list[torch.Tensor], count: int) -> list[torch.Tensor]:
    own, size = layer.self_attn, SMALL.hidden_size // SMALL.attention_heads
    inputs = [normed(token, layer.input_layernorm.weight) for token in tokens]
    query, key, value = (
        [part(token).view(-1, size) for token in inputs]
        for part in (own.q_proj, own.k_proj, own.v_proj)
    )
    after = []
    for place, token in enumerate(tokens):
        heads = []
        for head in range(SMALL.attention_heads):
            group = head * SMALL.kv_heads // SMALL.attention_heads
            # A feature sees all features; a query all that stands before it, and itself.
            seen = range(count) if place < count else range(place + 1)
            scores = [
                turned(query[place][head], place) @ turned(key[other][group], other)
                for other in seen
            ]
            weights = torch.softmax(torch.stack(scores) / math.sqrt(size), 0)
            values = torch.stack([value[other][group] for other in seen])
            heads.append(weights @ values)
        mixed = token + own.o_proj(torch.cat(heads))
        x = normed(mixed, layer.post_attention_layernorm.weight)
        mlp = layer.mlp
        after.append(mixed + mlp.down_proj(silu(mlp.gate_proj(x)) * mlp.up_proj(x)))
    return after


def turned(x: torch.Tensor, place: int) -> torch.Tensor:
    """Rotate each pair (i, i + size / 2) by an angle that grows with the place."""
    half, out = len(x) // 2, x.clone()
    for i in range(half):
        angle = place * SMALL.rope_theta ** (-i / half)
        cosine, sine = math.cos(angle), math.sin(angle)
        out[i] = x[i] * cosine - x[i + half] * sine
        out[i + half] = x[i + half] * cosine + x[i] * sine
    return out


def normed(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return x / torch.sqrt((x**2).mean() + SMALL.rms_norm_eps) * weight


class Waits(TorchDispatchMode):  # type: ignore[misc]
    """Counts the operations whose result the host waits for."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += func.overloadpacket.__name__ in WAITS
        return func(*args, **(kwargs or {}))


def tower(model: ModelProfile) -> dict[str, float]:
    """Whether images that are encoded together are as those alone, without a wait in between."""
    sam.LAYERS = 1  # type: ignore[misc]
    vision = model.record.vision
    if vision.qwen2:
        vision = vision.model_copy(update={"qwen2": vision.qwen2.model_copy(update={"layers": 1})})
    small = type(model)(record=model.record.model_copy(update={"vision": vision}))
    made = seeded(VisionTower(small, 8, patches_per_pass=10**6))
    side, tile = model.default_resolution.view, model.tile
    views = [torch.randint(0, 256, (side, side, 3), dtype=torch.uint8) for _ in range(2)]
    shapes = ((1, 2, tile, tile, 3), (0, 0, tile, tile, 3))
    tiles = [torch.randint(0, 256, shape, dtype=torch.uint8) for shape in shapes]
    with torch.inference_mode():
        with Waits() as waits:
            together = made(views, tiles)
        made.patches_per_pass = 1
        alone = [made([view], [own])[0] for view, own in zip(views, tiles, strict=True)]
    gaps = [float((a - b).norm() / b.norm()) for a, b in zip(together, alone, strict=True)]
    size = min(float(rows.std()) for rows in together)
    return {"waits": waits.count, "away": max(gaps), "size": size}


if __name__ == "__main__":
    with torch.inference_mode(), Waits() as control:
        torch.ones(3).sum().item()
    found = {
        "away": {name: away(side) for name, side in SIDES.items()},
        "towers": {name: tower(model) for name, model in models.profiles().items()},
        "waits of a control": control.count,
    }
    print(json.dumps(found))
