"""What vLLM's own DeepSeek-OCR gets wrong, put right where this version does it."""

from __future__ import annotations

import functools
from typing import Any, Final

WORST_PAGE: Final = (640, 3840)
"""Width and height in px of a page cut into 1 x 6 tiles: 933 tokens, the most there are."""


def apply() -> None:
    """Apply each correction that this version needs; a second call changes nothing."""
    from vllm.model_executor.models import deepseek_ocr
    from vllm.transformers_utils.configs import deepseek_vl2

    correct_head_size(deepseek_vl2.DeepseekVLV2Config)
    correct_profiled_page(deepseek_ocr.DeepseekOCRProcessingInfo)


def correct_head_size(config: type[Any]) -> bool:
    """Give the decoder's configuration its head size where it comes out as 0.

    transformers takes ``head_dim`` from ``qk_rope_head_dim``, which is 0 in this model's file; on
    a Hopper GPU vLLM 0.11.1 to 0.24.0 then die in FlashAttention 3.

    Args:
        config: vLLM's class for the whole model's configuration.

    Returns:
        Whether the fault was there.
    """
    if head_size(config(language_config=_SMALL)) != 0:
        return False
    original = config.__init__

    @functools.wraps(original)
    def with_head_size(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        text = self.text_config
        if head_size(self) == 0:
            text.head_dim = text.hidden_size // text.num_attention_heads

    config.__init__ = with_head_size
    return True


def head_size(config: Any) -> int | None:
    """The decoder's head size as its configuration has it; None when it has none."""
    size: int | None = getattr(config.text_config, "head_dim", None)
    return size


def correct_profiled_page(info: type[Any]) -> bool:
    """Let memory be profiled with the page that has the most tokens, 933 and not 693.

    Args:
        info: vLLM's class that names the size of the page to profile with.

    Returns:
        Whether the fault was there.
    """
    from vllm.multimodal.parse import ImageSize

    width, height = WORST_PAGE

    asked = object.__new__(info)  # neither question needs what its constructor takes

    def tokens(size: Any) -> int:
        count: int = asked.get_num_image_tokens(image_width=size.width, image_height=size.height)
        return count

    worst = ImageSize(width=width, height=height)
    if tokens(asked.get_image_size_with_most_features()) >= tokens(worst):
        return False
    info.get_image_size_with_most_features = lambda _self: worst
    return True


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
