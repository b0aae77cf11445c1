"""MLA on CPU builds of vLLM 0.8: a plain prefill, and a rotary embedding that keeps heads apart."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor, nn


def fix_on_cpu(decoder: nn.Module) -> None:
    """Let an MLA decoder compute right on a CPU; elsewhere nothing is touched.

    The CPU backend's prefill calls Intel's extension, which its build does not bring. Its rotary
    kernel takes (tokens, heads, size) for one head a token and turns the wrong rows, so that a
    request's answer depends on what else is in the batch: vLLM's own torch path does not.
    """
    from vllm import _ipex_ops
    from vllm.model_executor.models.deepseek_v2 import DeepseekV2MLAAttention
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    if not hasattr(_ipex_ops, "ipex"):
        _ipex_ops.ipex_ops.varlen_attention = staticmethod(varlen_attention)
    for layer in decoder.modules():
        if isinstance(layer, DeepseekV2MLAAttention):
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
