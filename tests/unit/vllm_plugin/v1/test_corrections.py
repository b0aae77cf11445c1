"""Corrections to vLLM's own model: each where the fault is, and only there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

from dsk import models
from dsk.vllm_plugin.chat_template import CHAT_TEMPLATE
from dsk.vllm_plugin.v1.corrections import (
    correct_chat_template,
    correct_cpu_attention,
    correct_head_size,
    correct_profiled_page,
)

PROFILE = models.profile("deepseek-ocr")

PUBLISHED = {"hidden_size": 1280, "num_attention_heads": 10, "qk_rope_head_dim": 0}


def configuration_class() -> type[Any]:
    """As transformers and vLLM make it: the head size is the rotary one, 0 in this model's file."""

    class Configuration:
        def __init__(self, *, language_config: dict[str, Any]) -> None:
            rotary = language_config["qk_rope_head_dim"]
            self.text_config = SimpleNamespace(**language_config, head_dim=rotary)

    return Configuration


def as_0_24(config: Any) -> int:
    """vLLM 0.24.0's reading: whatever ``head_dim`` is, unless it is None."""
    size: int = config.text_config.head_dim
    return size


def as_0_32(config: Any) -> int:
    """vLLM 0.32.0's reading: ``head_dim`` if it is positive, else the quotient."""
    text = config.text_config
    size: int = text.head_dim or text.hidden_size // text.num_attention_heads
    return size


def test_without_the_correction_vllm_0_24_takes_the_head_size_for_0() -> None:
    assert as_0_24(configuration_class()(language_config=PUBLISHED)) == 0


def test_with_it_the_head_size_is_the_hidden_size_by_the_heads() -> None:
    configuration = configuration_class()
    assert correct_head_size(configuration, as_0_24)
    assert as_0_24(configuration(language_config=PUBLISHED)) == 128


def test_a_head_size_that_is_there_is_left_as_it_is() -> None:
    configuration = configuration_class()
    correct_head_size(configuration, as_0_24)
    mla = configuration(language_config=PUBLISHED | {"qk_rope_head_dim": 64})
    assert as_0_24(mla) == 64


def test_a_vllm_that_reads_it_right_is_not_touched() -> None:
    configuration = configuration_class()
    before = configuration.__init__
    assert not correct_head_size(configuration, as_0_32)
    assert configuration.__init__ is before


def test_the_head_size_is_corrected_once() -> None:
    configuration = configuration_class()
    correct_head_size(configuration, as_0_24)
    assert not correct_head_size(configuration, as_0_24)


class Size(NamedTuple):
    width: int
    height: int


def info_class(profiled: Size) -> type[Any]:
    class Info:
        def get_num_image_tokens(self, *, image_width: int, image_height: int) -> int:
            gundam = PROFILE.resolution("gundam")
            return gundam.tokens(gundam.grid(image_width, image_height))

        def get_image_size_with_most_features(self) -> Size:
            return profiled

    return Info


def profiled_tokens(info: type[Any]) -> int:
    size = info().get_image_size_with_most_features()
    tokens: int = info().get_num_image_tokens(image_width=size.width, image_height=size.height)
    return tokens


def test_without_the_correction_memory_is_profiled_with_693_tokens() -> None:
    assert profiled_tokens(info_class(Size(1280, 1280))) == 693


def test_with_it_memory_is_profiled_with_the_page_of_most_tokens() -> None:
    info = info_class(Size(1280, 1280))
    assert correct_profiled_page(info, PROFILE)
    assert profiled_tokens(info) == PROFILE.max_page_tokens == 933


def test_a_vllm_that_profiles_the_worst_page_is_not_touched() -> None:
    assert not correct_profiled_page(info_class(Size(*PROFILE.worst_page)), PROFILE)


def test_vllms_fallback_of_another_model_is_replaced_and_a_checkpoints_own_is_kept() -> None:
    found: str | None = "roles"
    search = SimpleNamespace(resolve=lambda _tokenizer, **_given: found)
    ours = SimpleNamespace(hf_config=SimpleNamespace(architectures=[PROFILE.record.architecture]))
    other = SimpleNamespace(hf_config=SimpleNamespace(architectures=["Other"]))
    assert search.resolve(None, model_config=ours) == "roles"
    assert correct_chat_template(search, "resolve", {"roles"})
    assert search.resolve(None, model_config=ours) == CHAT_TEMPLATE
    assert search.resolve(None, model_config=other) == "roles"
    found = None
    assert search.resolve(None, model_config=ours) == CHAT_TEMPLATE
    found = "the checkpoint's own"
    assert search.resolve(None, model_config=ours) == found
    assert not correct_chat_template(search, "resolve", {"roles"})


def platform_class() -> type[Any]:
    class Platform:
        @classmethod
        def get_attn_backend_cls(cls, backend: object, attn_selector_config: object) -> str:
            del backend, attn_selector_config
            return "vllm.attention"

    return Platform


def test_a_window_on_a_cpu_gets_our_attention_where_vllms_ignores_it() -> None:
    window, plain = SimpleNamespace(use_rswa=True), SimpleNamespace(use_rswa=False)
    platform = platform_class()
    assert platform.get_attn_backend_cls(None, attn_selector_config=window) == "vllm.attention"
    assert correct_cpu_attention(platform, type("Backend", (), {}))
    assert platform.get_attn_backend_cls(None, attn_selector_config=window).startswith("dsk.")
    assert platform.get_attn_backend_cls(None, window).startswith("dsk.")
    assert platform.get_attn_backend_cls(None, attn_selector_config=plain) == "vllm.attention"
    assert not correct_cpu_attention(platform, type("Backend", (), {}))
    knows = type("Backend", (), {"supports_rswa": staticmethod(lambda: True)})
    assert not correct_cpu_attention(platform_class(), knows)
