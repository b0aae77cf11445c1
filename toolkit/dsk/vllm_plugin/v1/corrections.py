"""What vLLM's own DeepSeek-OCR gets wrong, put right where this version does it."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

WORST_PAGE: Final = (640, 3840)
"""Width and height in px of a page cut into 1 x 6 tiles: 933 tokens, the most there are."""


def apply() -> None:
    """Apply each correction that this version needs; a second call changes nothing."""
    from vllm.model_executor.models import deepseek_ocr
    from vllm.transformers_utils.configs import deepseek_vl2

    correct_head_size(deepseek_vl2.DeepseekVLV2Config, head_size)
    correct_profiled_page(deepseek_ocr.DeepseekOCRProcessingInfo)


def takes_our_processor() -> bool:
    """Whether this vLLM calls processors as those that ours was written for."""
    try:
        from vllm.multimodal.processing import BaseMultiModalProcessor
    except ImportError:
        return False
    return list(inspect.signature(BaseMultiModalProcessor.apply).parameters) == _APPLY


def correct_head_size(config: type[Any], size_of: Callable[[Any], int]) -> bool:
    """Give the decoder's configuration its head size where vLLM takes it for 0.

    transformers takes ``head_dim`` from ``qk_rope_head_dim``, which is 0 in this model's file; on
    a Hopper GPU vLLM 0.11.1 to 0.24.0 then die in FlashAttention 3. 0.32.0 knows better.

    Args:
        config: vLLM's class for the whole model's configuration.
        size_of: the head size that this vLLM makes of such a configuration.

    Returns:
        Whether the fault was there.
    """
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
    """The head size that this vLLM makes of a configuration."""
    try:
        from vllm.transformers_utils import model_arch_config_convertor as convertor
    except ImportError:  # up to 0.13 ModelConfig takes what the configuration has
        own: int | None = getattr(config.text_config, "head_dim", None)
        return config.text_config.hidden_size if own is None else own
    base = convertor.ModelArchConfigConvertorBase(config, config.text_config)
    size: int = base.get_head_size()
    return size


def correct_profiled_page(info: type[Any]) -> bool:
    """Let memory be profiled with the page that has the most tokens, 933 and not 693.

    Args:
        info: vLLM's class that names the size of the page to profile with.

    Returns:
        Whether the fault was there.
    """
    asked = object.__new__(info)  # neither question needs what its constructor takes

    def tokens(size: Any) -> int:
        count: int = asked.get_num_image_tokens(image_width=size.width, image_height=size.height)
        return count

    profiled = asked.get_image_size_with_most_features()
    worst = type(profiled)(*WORST_PAGE)
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
