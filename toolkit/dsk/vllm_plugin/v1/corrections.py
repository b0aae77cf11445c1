"""Corrections of vLLM's own DeepSeek-OCR, each applied where this release has the fault."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Final

from dsk import models

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.models.base import ModelProfile


def apply() -> None:
    """Apply each correction that this version needs; a second call changes nothing."""
    from vllm.model_executor.models import deepseek_ocr
    from vllm.transformers_utils.configs import deepseek_vl2

    correct_head_size(deepseek_vl2.DeepseekVLV2Config, head_size)
    profile = models.for_architecture(deepseek_ocr.DeepseekOCRForCausalLM.__name__)
    correct_profiled_page(deepseek_ocr.DeepseekOCRProcessingInfo, profile)


def takes_our_processor() -> bool:
    """Return True if this vLLM calls processors as the releases do that ours was written for."""
    try:
        from vllm.multimodal.processing import BaseMultiModalProcessor
    except ImportError:
        return False
    return list(inspect.signature(BaseMultiModalProcessor.apply).parameters) == _APPLY


def correct_head_size(config: type[Any], size_of: Callable[[Any], int]) -> bool:
    """Give the decoder's configuration its head size where vLLM takes it for 0.

    Args:
        config: vLLM's class for the whole model's configuration.
        size_of: returns the head size that this vLLM makes of such a configuration.

    Returns:
        True if the fault was there.
    """
    # transformers takes head_dim from qk_rope_head_dim, which is 0 in this model's file; on a
    # Hopper GPU vLLM 0.11.1 to 0.24.0 then die in FlashAttention 3. 0.32.0 has it right.
    if size_of(config(language_config=_SMALL)) != 0:
        return False
    original = config.__init__

    @functools.wraps(original)
    def with_head_size(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        text = self.text_config
        if text.head_dim == 0:
            text.head_dim = text.hidden_size // text.num_attention_heads

    config.__init__ = with_head_size
    return True


def head_size(config: Any) -> int:
    """Return the head size that this vLLM makes of a configuration."""
    try:
        from vllm.transformers_utils import model_arch_config_convertor as convertor
    except ImportError:  # up to 0.13 ModelConfig takes what the configuration has
        own: int | None = getattr(config.text_config, "head_dim", None)
        return config.text_config.hidden_size if own is None else own
    base = convertor.ModelArchConfigConvertorBase(config, config.text_config)
    size: int = base.get_head_size()
    return size


def correct_profiled_page(info: type[Any], profile: ModelProfile) -> bool:
    """Let memory be profiled with the page that takes the most tokens.

    Args:
        info: vLLM's class that names the size of the page to profile with.
        profile: the model's.

    Returns:
        True if the fault was there.
    """
    bare = object.__new__(info)  # neither method needs what the constructor takes

    def tokens(size: Any) -> int:
        count: int = bare.get_num_image_tokens(image_width=size.width, image_height=size.height)
        return count

    # vLLM profiles DeepSeek-OCR with 1280 x 1280 px, 693 tokens; a page of 1 x 6 tiles has 933.
    profiled = bare.get_image_size_with_most_features()
    worst = type(profiled)(*profile.worst_page)
    if tokens(profiled) >= tokens(worst):
        return False
    info.get_image_size_with_most_features = lambda _self: worst
    return True


_APPLY: Final = ["self", "inputs", "timing_ctx"]

_SMALL: Final = {
    "hidden_size": 256,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "num_hidden_layers": 1,
    "kv_lora_rank": None,
    "q_lora_rank": None,
    "qk_nope_head_dim": 0,
    "qk_rope_head_dim": 0,
    "v_head_dim": 0,
    "use_mla": False,
}
