"""Compare attention with a window on a CPU to a plain reference, and vLLM's own to it as well."""

from __future__ import annotations

import json
import math

import torch

from dsk.vllm_plugin.v1.rswa_cpu import attend

WINDOW, HEADS, HEAD_SIZE, SCALE = 128, 4, 32, 0.2


def reference(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, prompt: int) -> object:
    """The prompt and the last tokens, in float64, without any cache."""
    seen = torch.arange(len(key))
    own = torch.arange(len(key) - len(query), len(key))[:, None]
    mask = (seen <= own) & ((seen < prompt) | (own - seen < WINDOW))
    scores = torch.einsum("qhd,khd->hqk", query.double(), key.double()) * SCALE
    weights = scores.masked_fill(~mask, -math.inf).softmax(-1)
    return torch.einsum("hqk,khd->qhd", weights, value.double())


def difference(size: int, prompt: int, length: int, tokens: int) -> float:
    """Attend through a cache in which everything that is not to be seen is not a number."""
    key, value = torch.randn(2, length, HEADS, HEAD_SIZE).unbind()
    query = torch.randn(tokens, HEADS, HEAD_SIZE)
    used = -(-length // size)
    cache = torch.full((used + 5, HEADS, size, 2 * HEAD_SIZE), math.nan)
    blocks = torch.randperm(used) + 1
    for place in range(length):
        row = torch.cat((key[place], value[place]), -1)
        cache[blocks[place // size], :, place % size] = row
    # Those that vLLM frees before the step: its null block stands for them.
    last = max(prompt, length - tokens - WINDOW) // size
    blocks[-(-prompt // size) : last] = 0
    got = attend(query, cache, blocks, length=length, prompt=prompt, window=WINDOW, scale=SCALE)
    return float((got - reference(query, key, value, prompt)).abs().max())


def main() -> None:
    torch.manual_seed(0)
    worst = 0.0
    for size in (16, 32, 128):
        for prompt in (1, 100, 128, 300):
            for generated in (0, 1, 127, 128, 129, 300, 777):
                length = prompt + generated
                for tokens in sorted({1, min(length, 7), min(length, 200), length}):
                    worst = max(worst, difference(size, prompt, length, tokens))
    print(json.dumps({"worst": worst}))


main()
