"""SAM's attention with decomposed relative positions as one Triton kernel, for NVIDIA GPUs.

Measured on an H100 (torch 2.11.0): half of the towers' time went into laying queries, keys and
values out anew for PyTorch's attention, which takes no such bias without 400 MB of it a page. This
reads them where the projection left them, adds the bias as it goes, and writes what comes next.
"""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional

LOG2_E: Final = 1.4426950408889634


def attend(qkv: Tensor, by_place: Tensor, side: int) -> Tensor:
    """Attention of each head of each image.

    Args:
        qkv: (N, side * side, 3, heads, size), contiguous.
        by_place: (N, side * side, heads, 2, 2 * side), contiguous: each query's score for a key's
            row, then for its column, by how far that is down or right of its own, from ``1 - side``
            on; the last of each is not used.
        side: rows and columns of the image.

    Returns:
        (N, side * side, heads * size).
    """
    images, tokens, _, heads, size = qkv.shape
    out = qkv.new_empty((images, tokens, heads * size))
    rows = 64  # as quick as any, with 4 warps and 3 stages, on an H100 for sides of 14 to 64
    _attend[(triton.cdiv(tokens, rows), images * heads)](
        qkv,
        by_place,
        out,
        tokens,
        size**-0.5 * LOG2_E,
        side=side,
        heads=heads,
        size=size,
        rows=rows,
        columns=max(16, triton.next_power_of_2(side)),  # one row of keys at a time
        log2_e=LOG2_E,
        num_warps=4,
        num_stages=3,
    )
    return out


@triton.jit  # type: ignore[untyped-decorator]
def _attend(  # type: ignore[no-untyped-def]
    qkv,
    by_place,
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
    image = (tl.program_id(1) // heads).to(tl.int64)
    head = tl.program_id(1) % heads
    place = tl.program_id(0) * rows + tl.arange(0, rows)
    real = place < tokens
    feature = tl.arange(0, size)
    column = tl.arange(0, columns)
    stride: tl.constexpr = 3 * heads * size
    start = qkv + image * tokens * stride + head * size
    query = tl.load(
        start + place[:, None] * stride + feature[None, :], mask=real[:, None], other=0.0
    )
    span: tl.constexpr = 2 * side
    scores = by_place + ((image * tokens + place) * heads + head) * (2 * span) + side - 1
    seen = real[:, None] & (column < side)[None, :]
    away = column[None, :] - (place % side)[:, None]
    by_column = tl.load(scores[:, None] + span + away, mask=seen, other=0.0).to(tl.float32)
    by_column = tl.where((column < side)[None, :], by_column * log2_e, float("-inf"))
    most = tl.full([rows], float("-inf"), tl.float32)
    total = tl.zeros([rows], tl.float32)
    found = tl.zeros([rows, size], tl.float32)
    for row in range(side):
        there = start + heads * size + (row * side + column) * stride
        key = tl.load(there[None, :] + feature[:, None], mask=(column < side)[None, :], other=0.0)
        by_row = tl.load(scores + row - place // side, mask=real, other=0.0).to(tl.float32)
        score = tl.dot(query, key) * scale + by_column + (by_row * log2_e)[:, None]
        higher = tl.maximum(most, tl.max(score, 1))
        weight = tl.exp2(score - higher[:, None])
        kept = tl.exp2(most - higher)
        total = total * kept + tl.sum(weight, 1)
        value = tl.load(
            there[:, None] + heads * size + feature[None, :],
            mask=(column < side)[:, None],
            other=0.0,
        )
        found = found * kept[:, None] + tl.dot(weight.to(value.dtype), value)
        most = higher
    end = out + (image * tokens + place[:, None]) * (heads * size) + head * size + feature[None, :]
    tl.store(end, (found / total[:, None]).to(out.dtype.element_ty), mask=real[:, None])


def relative_scores(query: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """What `attend` takes; its rows are padded for the multiplication's sake.

    Args:
        query: (N, tokens, heads, size).
        down: (2 * side - 1, size), by a query's row less a key's, from ``1 - side`` on.
        right: the same for columns.
    """
    table = torch.cat([functional.pad(part.flip(0), (0, 0, 0, 1)) for part in (down, right)])
    return (query @ table.T).unflatten(-1, (2, -1))
