"""SAM's attention with decomposed relative positions as one Triton kernel, for NVIDIA GPUs.

Measured on an H100 (torch 2.11.0): half of the towers' time went into copying queries, keys and
values to the layout of PyTorch's attention, which takes such a bias only as a whole, 400 MB a page.
This kernel reads them where the projection left them, adds the bias on the way, and writes the
layout that the next projection reads.
"""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional

LOG2_E: Final = 1.4426950408889634


def attend(qkv: Tensor, scores: Tensor, side: int) -> Tensor:
    """Compute the attention of each head of each image.

    Args:
        qkv: (N, side * side, 3, heads, size), contiguous.
        scores: (N, side * side, heads, 2, 2 * side), contiguous: each query's score for a key's
            row, then for its column, by its distance down or right of the query's own, from
            ``1 - side`` on; the last of each is not used. See `relative_scores`.
        side: rows and columns of the image.

    Returns:
        (N, side * side, heads * size).
    """
    images, tokens, _, heads, size = qkv.shape
    out = qkv.new_empty((images, tokens, heads * size))
    # Queries of a program. As fast as any other, with 4 warps and 3 stages, measured on an H100 for
    # sides of 14 to 64.
    rows = 64
    _attend[(triton.cdiv(tokens, rows), images * heads)](
        qkv,
        scores,
        out,
        tokens,
        # exp2 is one instruction on the GPU; exp is exp2 and a multiplication.
        size**-0.5 * LOG2_E,
        side=side,
        heads=heads,
        size=size,
        rows=rows,
        # One row of keys at a time; tl.arange takes powers of two, tl.dot 16 or more.
        columns=max(16, triton.next_power_of_2(side)),
        log2_e=LOG2_E,
        num_warps=4,
        num_stages=3,
    )
    return out


@triton.jit  # type: ignore[untyped-decorator]
def _attend(  # type: ignore[no-untyped-def]
    qkv,
    scores,
    out,
    tokens,
    scale,
    side: tl.constexpr,
    heads: tl.constexpr,
    size: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
    log2_e: tl.constexpr,
):
    # 64 bits: with many images, offsets into qkv exceed 2**31.
    image = (tl.program_id(1) // heads).to(tl.int64)
    head = tl.program_id(1) % heads
    token = tl.program_id(0) * rows + tl.arange(0, rows)
    is_token = token < tokens
    feature = tl.arange(0, size)
    column = tl.arange(0, columns)
    stride: tl.constexpr = 3 * heads * size
    start = qkv + image * tokens * stride + head * size
    query = tl.load(
        start + token[:, None] * stride + feature[None, :], mask=is_token[:, None], other=0.0
    )
    span: tl.constexpr = 2 * side
    # Of a query's scores, the one for distance 0.
    score_0 = scores + ((image * tokens + token) * heads + head) * (2 * span) + side - 1
    is_pair = is_token[:, None] & (column < side)[None, :]
    distance = column[None, :] - (token % side)[:, None]
    by_column = tl.load(score_0[:, None] + span + distance, mask=is_pair, other=0.0).to(tl.float32)
    by_column = tl.where((column < side)[None, :], by_column * log2_e, float("-inf"))
    # Softmax online, as flash attention has it: sums are rescaled when the maximum grows.
    most = tl.full([rows], float("-inf"), tl.float32)
    total = tl.zeros([rows], tl.float32)
    mixed = tl.zeros([rows, size], tl.float32)
    for row in range(side):
        keys = start + heads * size + (row * side + column) * stride
        key = tl.load(keys[None, :] + feature[:, None], mask=(column < side)[None, :], other=0.0)
        by_row = tl.load(score_0 + row - token // side, mask=is_token, other=0.0).to(tl.float32)
        score = tl.dot(query, key) * scale + by_column + (by_row * log2_e)[:, None]
        higher = tl.maximum(most, tl.max(score, 1))
        weight = tl.exp2(score - higher[:, None])
        kept = tl.exp2(most - higher)
        total = total * kept + tl.sum(weight, 1)
        value = tl.load(
            keys[:, None] + heads * size + feature[None, :],
            mask=(column < side)[:, None],
            other=0.0,
        )
        mixed = mixed * kept[:, None] + tl.dot(weight.to(value.dtype), value)
        most = higher
    end = out + (image * tokens + token[:, None]) * (heads * size) + head * size + feature[None, :]
    tl.store(end, (mixed / total[:, None]).to(out.dtype.element_ty), mask=is_token[:, None])


def relative_scores(query: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Compute the scores of relative positions that `attend` takes.

    Args:
        query: (N, tokens, heads, size).
        down: (2 * side - 1, size), by a query's row less a key's, from ``1 - side`` on.
        right: the same for columns.
    """
    # Padded to 2 * side rows each: with an odd number the multiplication takes slower kernels.
    table = torch.cat([functional.pad(part.flip(0), (0, 0, 0, 1)) for part in (down, right)])
    return (query @ table.T).unflatten(-1, (2, -1))
