"""MLA's prefill in plain torch, for CPU builds of vLLM 0.8 without Intel's extension."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


def replace_missing_kernel() -> None:
    """Give vLLM's CPU backend for MLA the plain path, if its extension is not there."""
    from vllm import _ipex_ops
    from vllm.platforms import current_platform

    if current_platform.is_cpu() and not hasattr(_ipex_ops, "ipex"):
        _ipex_ops.ipex_ops.varlen_attention = staticmethod(varlen_attention)


def varlen_attention(
    *,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    seqlen_q: Tensor,
    softmax_scale: float,
    **_unused: object,
) -> None:
    """Causal attention within each sequence, written to ``out``.

    Args:
        query: (tokens, heads, size), all sequences one after the other; key and value likewise.
        key: see ``query``.
        value: see ``query``.
        out: see ``query``.
        seqlen_q: (sequences + 1,) where each begins, and the end.
        softmax_scale: what scores are multiplied by.
    """
    for start, end in pairwise(seqlen_q.tolist()):
        rows = (tensor[start:end].transpose(0, 1)[None] for tensor in (query, key, value))
        attended = functional.scaled_dot_product_attention(
            *rows, is_causal=True, scale=softmax_scale
        )
        out[start:end] = attended[0].transpose(0, 1)
