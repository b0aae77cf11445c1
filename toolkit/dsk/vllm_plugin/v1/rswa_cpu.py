"""Attention on a CPU for a decoder with a window over its generated tokens (R-SWA).

A generated token sees the whole prompt and the last tokens that were generated, as many as the
window has. vLLM's attention on a CPU ignores the window (0.25.1 to 0.33.0), and reads the blocks
that its KV cache manager frees behind it. This one is torch's, on a KV cache in plain layout.
Written for vLLM 0.31.0 to 0.33.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from vllm.v1.attention.backends.cpu_attn import (
    CPUAttentionBackend,
    CPUAttentionBackendImpl,
    CPUAttentionMetadataBuilder,
)

if TYPE_CHECKING:
    from torch import Tensor


class RswaAttentionBackend(CPUAttentionBackend):
    """vLLM's CPU backend with the window."""

    @classmethod
    def supports_rswa(cls) -> bool:
        """Return True: the window is kept."""
        return True

    @staticmethod
    def get_impl_cls() -> type[RswaAttention]:
        """Return the class that computes it."""
        return RswaAttention

    @staticmethod
    def get_builder_cls() -> type[RswaMetadataBuilder]:
        """Return the class that makes each step's metadata."""
        return RswaMetadataBuilder


class RswaMetadataBuilder(CPUAttentionMetadataBuilder):
    """Builder of a step's metadata: vLLM's, with the window and the prompts' lengths."""

    def build(self, common_prefix_len: int, common_attn_metadata: Any, *rest: Any) -> Any:
        """Return the metadata of a step."""
        metadata = super().build(common_prefix_len, common_attn_metadata, *rest)
        metadata.rswa_window = self.vllm_config.model_config.rswa_window
        metadata.prompt_lens = common_attn_metadata.rswa_prefix_lens
        return metadata


class RswaAttention(CPUAttentionBackendImpl):
    """Attention over a KV cache of (blocks, heads, block size, 2 x head size), keys first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.alibi_slopes is not None or self.logits_soft_cap or self.sinks is not None:
            message = "R-SWA on a CPU has no ALiBi, soft cap or sinks"
            raise NotImplementedError(message)

    def do_kv_cache_update(
        self, layer: Any, key: Tensor, value: Tensor, kv_cache: Tensor, slot_mapping: Tensor
    ) -> None:
        """Write a step's keys and values (tokens, heads, head size) into their slots."""
        del layer
        # Padding has no slot.
        used = slot_mapping >= 0
        slots = slot_mapping[used]
        blocks, offsets = slots // kv_cache.shape[2], slots % kv_cache.shape[2]
        rows = torch.cat((key, value), -1)[: len(slot_mapping)][used]
        kv_cache[blocks, :, offsets] = rows.to(kv_cache.dtype)

    def forward(
        self,
        layer: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        kv_cache: Tensor,
        attn_metadata: Any,
        output: Tensor,
        output_scale: Tensor | None = None,
        output_block_scale: Tensor | None = None,
    ) -> Tensor:
        """Attend each request's queries (tokens, heads, head size) to what they see."""
        del layer, key, value, output_scale, output_block_scale
        if attn_metadata is None:  # vLLM warms up
            return output
        starts = attn_metadata.query_start_loc.tolist()
        lengths, prompts = attn_metadata.seq_lens.tolist(), attn_metadata.prompt_lens.tolist()
        for request, (length, prompt) in enumerate(zip(lengths, prompts, strict=False)):
            start, end = starts[request], min(starts[request + 1], attn_metadata.num_actual_tokens)
            if end <= start:
                continue
            attended = attend(
                query[start:end],
                kv_cache,
                attn_metadata.block_table[request],
                length=length,
                prompt=prompt,
                window=attn_metadata.rswa_window,
                scale=self.scale,
            )
            output[start:end] = attended.view_as(output[start:end])
        return output


def attend(
    query: Tensor,
    kv_cache: Tensor,
    blocks: Tensor,
    *,
    length: int,
    prompt: int,
    window: int,
    scale: float,
) -> Tensor:
    """Attend one request's queries to the tokens that they see.

    Args:
        query: (tokens, heads, head size), of the request's last positions.
        kv_cache: (all blocks, KV heads, block size, 2 x head size), keys first.
        blocks: the request's blocks, in the order of its tokens.
        length: tokens of the request, the queries' included.
        prompt: of them those of the prompt.
        window: generated tokens that a query sees, itself included.
        scale: of the products.

    Returns:
        (tokens, heads, head size)
    """
    size, tokens = kv_cache.shape[2], len(query)
    used = range(-(-length // size))
    first = length - tokens
    # Blocks between the prompt and the oldest window are free: others may have written there.
    kept = [n for n in used if n * size < prompt or (n + 1) * size > first - window + 1]
    places = torch.tensor(kept)
    # The end of the last block holds nothing yet.
    filled = len(kept) * size - (len(used) * size - length)
    chosen = kv_cache.transpose(0, 1)[:, blocks[places].long()].flatten(1, 2)[:, :filled]
    keys, values = chosen.chunk(2, -1)
    seen = (places[:, None] * size + torch.arange(size)).flatten()[:filled]
    own = torch.arange(first, length)[:, None]
    mask = (seen <= own) & ((seen < prompt) | (own - seen < window))
    attended = functional.scaled_dot_product_attention(
        query.transpose(0, 1)[None],
        keys[None],
        values[None],
        attn_mask=mask,
        scale=scale,
        enable_gqa=query.shape[1] != keys.shape[0],
    )
    return attended[0].transpose(0, 1)
