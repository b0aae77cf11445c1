"""MLA on CPU builds of vLLM 0.8: prefill in plain torch, and a rotary embedding that is right."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor, nn


def fix_on_cpu(decoder: nn.Module) -> None:
    """Make an MLA decoder compute correctly on a CPU; change nothing elsewhere."""
    from vllm import _ipex_ops
    from vllm.model_executor.models.deepseek_v2 import DeepseekV2MLAAttention
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    # The CPU backend's prefill calls Intel's extension, which vLLM's CPU build does not bring.
    if not hasattr(_ipex_ops, "ipex"):
        _ipex_ops.ipex_ops.varlen_attention = staticmethod(varlen_attention)
    for layer in decoder.modules():
        if isinstance(layer, DeepseekV2MLAAttention):
            # vLLM 0.8.5's rotary kernel for CPUs takes (tokens, heads, size) for one head a token
            # and rotates the wrong rows: an answer then depends on the other requests of the
            # batch. vLLM's own torch path is right.
            layer.rotary_emb._forward_method = layer.rotary_emb.forward_native  # noqa: SLF001


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
    """Compute causal attention within each sequence, and write it to ``out``.

    Args:
        query: (tokens, heads, size), all sequences one after the other.
        key: the same shape.
        value: the same shape.
        out: the same shape.
        seqlen_q: (sequences + 1,): offsets of the sequences, and the end.
        softmax_scale: the factor for scores.
        _unused: arguments of Intel's kernel that this model does not need.
    """
    for start, end in pairwise(seqlen_q.tolist()):
        rows = (tensor[start:end].transpose(0, 1)[None] for tensor in (query, key, value))
        attended = functional.scaled_dot_product_attention(
            *rows, is_causal=True, scale=softmax_scale
        )
        out[start:end] = attended[0].transpose(0, 1)
