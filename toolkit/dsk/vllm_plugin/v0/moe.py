"""Mixture-of-experts layers in plain torch, for builds of vLLM 0.8 without the fused kernels.

The CPU build has neither ``_moe_C.topk_softmax`` nor Intel's extension, which vLLM's two DeepSeek
decoders call. Nothing is replaced in a build that has the kernels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def kernels_are_missing() -> bool:
    """Return True if this build of vLLM lacks its fused mixture-of-experts kernels."""
    import vllm._custom_ops  # noqa: F401  it loads the compiled operators

    return not hasattr(torch.ops._moe_C, "topk_softmax")  # noqa: SLF001


def replace_missing_kernels() -> None:
    """Replace the kernels of both DeepSeek decoders, if this build lacks them."""
    if not kernels_are_missing():
        return
    # DeepSeek (no MLA) calls fused_moe itself, DeepSeek-V2 (MLA) goes through the layer.
    from vllm.model_executor.layers.fused_moe.layer import UnquantizedFusedMoEMethod
    from vllm.model_executor.models import deepseek

    deepseek.fused_moe = mix_experts
    UnquantizedFusedMoEMethod.process_weights_after_loading = _nothing_to_process
    UnquantizedFusedMoEMethod.forward_cpu = _fused_moe_layer


def mix_experts(
    hidden: Tensor,
    gate_up: Tensor,
    down: Tensor,
    router_logits: Tensor,
    top_k: int,
    renormalize: bool,
    inplace: bool = False,  # noqa: ARG001  memory is not short where this runs
) -> Tensor:
    """Compute the weighted sum of each token's ``top_k`` experts.

    Args:
        hidden: (tokens, width).
        gate_up: (experts, 2 * inner, width); the gate's rows come first.
        down: (experts, width, inner).
        router_logits: (tokens, experts).
        top_k: experts for each token.
        renormalize: whether to scale a token's weights to a sum of one.
        inplace: ignored; part of the kernel's signature.
    """
    weights, chosen = router_logits.float().softmax(-1).topk(top_k, -1)
    if renormalize:
        weights = weights / weights.sum(-1, keepdim=True)
    result = torch.zeros_like(hidden, dtype=torch.float32)
    for expert in chosen.unique().tolist():
        token, slot = torch.where(chosen == expert)
        gate, up = functional.linear(hidden[token], gate_up[expert]).chunk(2, -1)
        own = functional.linear(functional.silu(gate) * up, down[expert])
        result.index_add_(0, token, own * weights[token, slot, None])
    return result.to(hidden.dtype)


def _nothing_to_process(_method: object, _layer: nn.Module) -> None:
    # vLLM's own packs the weights for Intel's kernel, and needs the extension to do so.
    pass


def _fused_moe_layer(
    _method: object,
    *,
    layer: nn.Module,
    x: Tensor,
    router_logits: Tensor,
    top_k: int,
    renormalize: bool,
    num_expert_group: int | None = None,
    scoring_func: str = "softmax",
    **_unused: object,
) -> Tensor:
    if (num_expert_group or 1) > 1 or scoring_func != "softmax":
        message = (
            f"n_group {num_expert_group} with scoring_func '{scoring_func}' needs vLLM's kernels: "
            "without them one group and softmax work"
        )
        raise ValueError(message)
    return mix_experts(x, layer.w13_weight, layer.w2_weight, router_logits, top_k, renormalize)
