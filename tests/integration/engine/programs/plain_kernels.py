"""The plain paths against sums written token by token; prints the largest differences as JSON."""

from __future__ import annotations

import itertools
import json

import torch
from torch.nn.functional import silu

from dsk.vllm_plugin.mla import varlen_attention
from dsk.vllm_plugin.moe import mixed


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
    got = mixed(hidden, gate_up, down, logits, chosen, renormalize)
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


if __name__ == "__main__":
    away = {
        "experts": experts(renormalize=False),
        "experts, renormalized": experts(renormalize=True),
        "attention": attention(),
    }
    print(json.dumps(away))
