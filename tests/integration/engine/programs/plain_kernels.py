"""Our kernels against sums written token by token; prints the largest differences as JSON."""

from __future__ import annotations

import itertools
import json
import os

os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined: it runs on the CPU then

import torch
from torch.nn.functional import silu

from dsk.vllm_plugin.towers.relative_attention import attend, relative_scores
from dsk.vllm_plugin.towers.sam import plain_attention, resize_table
from dsk.vllm_plugin.v0.mla import varlen_attention
from dsk.vllm_plugin.v0.moe import mix_experts


def experts(*, renormalize: bool) -> float:
    torch.manual_seed(1)
    tokens, width, inner, count, chosen = 37, 24, 16, 8, 3
    hidden, logits = torch.randn(tokens, width), torch.randn(tokens, count)
    gate_up, down = torch.randn(count, 2 * inner, width), torch.randn(count, width, inner)
    wanted = torch.zeros(tokens, width)
    for token in range(tokens):
        weights = torch.softmax(logits[token], 0)
        best = sorted(range(count), key=lambda expert: -weights[expert].item())[:chosen]
        total = sum(weights[expert] for expert in best) if renormalize else 1.0
        for expert in best:
            gate, up = (gate_up[expert] @ hidden[token]).split(inner)
            wanted[token] += weights[expert] / total * (down[expert] @ (silu(gate) * up))
    got = mix_experts(hidden, gate_up, down, logits, chosen, renormalize)
    return float((got - wanted).abs().max())


def attention() -> float:
    torch.manual_seed(2)
    starts = [0, 5, 6, 14]
    query, key, value = (torch.randn(14, 3, 8) for _ in range(3))
    wanted, got = torch.zeros_like(query), torch.zeros_like(query)
    for start, end in itertools.pairwise(starts):
        for token in range(start, end):
            for head in range(3):
                seen = slice(start, token + 1)
                weights = torch.softmax(0.3 * key[seen, head] @ query[token, head], 0)
                wanted[token, head] = weights @ value[seen, head]
    varlen_attention(
        query=query,
        key=key,
        value=value,
        out=got,
        seqlen_q=torch.tensor(starts),
        softmax_scale=0.3,
    )
    return float((got - wanted).abs().max())


def relative(side: int, *, triton: bool) -> float:
    """SAM's attention: a query's score for a key is more by its score for how far that is away."""
    torch.manual_seed(3)
    heads, size = 2, 64
    qkv = torch.randn(2, side * side, 3, heads, size)
    down, right = (resize_table(torch.randn(27, size), side) for _ in range(2))
    query, key, value = (part.flatten(0, 1) for part in qkv.permute(2, 0, 3, 1, 4))
    scores = query @ key.transpose(1, 2) * size**-0.5
    for one, other in itertools.product(range(side**2), repeat=2):
        rows = one // side - other // side + side - 1
        columns = one % side - other % side + side - 1
        scores[:, one, other] += query[:, one] @ (down[rows] + right[columns])
    wanted = (scores.softmax(-1) @ value).unflatten(0, (2, heads)).transpose(1, 2).flatten(2)
    if triton:
        got = attend(qkv, relative_scores(qkv[:, :, 0], down, right), side)
    else:
        got = plain_attention(qkv, down, right)
    return float((got - wanted).abs().max())


if __name__ == "__main__":
    away = {
        "experts": experts(renormalize=False),
        "experts, renormalized": experts(renormalize=True),
        "attention": attention(),
        "relative, a window": relative(14, triton=False),
        "relative, a window, in Triton": relative(14, triton=True),
        "relative, resized": relative(10, triton=False),
        "relative, resized, in Triton": relative(10, triton=True),
    }
    print(json.dumps(away))
