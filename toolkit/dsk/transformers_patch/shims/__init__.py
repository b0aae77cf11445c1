"""Names that the models' code takes from transformers 4.46.3, for every transformers.

Patched files import this module and nothing else of dsk. It decides at run time, so that one
patched file fits every release.
"""

# Files that an earlier dsk patched on disk use these names too: none may be renamed or removed.

from dsk.transformers_patch.shims.attention import (
    LlamaAttention,
    LlamaFlashAttention2,
    LlamaSdpaAttention,
    apply_rotary_pos_emb,
    attention_classes,
    repeat_kv,
)
from dsk.transformers_patch.shims.causal_mask import calling_update_causal_mask
from dsk.transformers_patch.shims.configuration import PretrainedConfig
from dsk.transformers_patch.shims.generation import GenerationMixin, old_call, reordering
from dsk.transformers_patch.shims.kv_cache import (
    cache_method,
    from_legacy_cache,
    get_max_length,
    get_usable_length,
    seen_tokens,
    to_legacy_cache,
)
from dsk.transformers_patch.shims.masks import _prepare_4d_causal_attention_mask
from dsk.transformers_patch.shims.pretrained import PreTrainedModel
from dsk.transformers_patch.shims.removed_names import (
    ALL_LAYERNORM_LAYERS,
    add_start_docstrings,
    add_start_docstrings_to_model_forward,
    is_flash_attn_greater_or_equal_2_10,
    is_torch_fx_available,
    is_torch_greater_or_equal_than_1_13,
    replace_return_docstrings,
    when_used,
)

PreTrainedConfig = PretrainedConfig

__all__ = [
    "ALL_LAYERNORM_LAYERS",
    "GenerationMixin",
    "LlamaAttention",
    "LlamaFlashAttention2",
    "LlamaSdpaAttention",
    "PreTrainedConfig",
    "PreTrainedModel",
    "PretrainedConfig",
    "_prepare_4d_causal_attention_mask",
    "add_start_docstrings",
    "add_start_docstrings_to_model_forward",
    "apply_rotary_pos_emb",
    "attention_classes",
    "cache_method",
    "calling_update_causal_mask",
    "from_legacy_cache",
    "get_max_length",
    "get_usable_length",
    "is_flash_attn_greater_or_equal_2_10",
    "is_torch_fx_available",
    "is_torch_greater_or_equal_than_1_13",
    "old_call",
    "reordering",
    "repeat_kv",
    "replace_return_docstrings",
    "seen_tokens",
    "to_legacy_cache",
    "when_used",
]
