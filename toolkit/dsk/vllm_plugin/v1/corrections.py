"""Corrections of vLLM's own models of the family, each where this release has the fault."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Final

from dsk import models
from dsk.vllm_plugin.chat_template import with_template
from dsk.vllm_plugin.releases import PROCESSOR_CALL

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.models.base import ModelProfile


def apply() -> None:
    """Apply each correction that this version needs; a second call changes nothing."""
    import vllm
    from vllm.platforms import current_platform
    from vllm.transformers_utils.configs import deepseek_vl2

    # The one class of every model's configuration.
    correct_head_size(deepseek_vl2.DeepseekVLV2Config, head_size)
    for profile in models.profiles().values():
        if info := _native_info(vllm.ModelRegistry, profile.record.architecture):
            correct_profiled_page(info, profile)
    correct_chat_template(*_template_search())
    if current_platform.device_type == "cpu":
        from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

        correct_cpu_attention(type(current_platform), CPUAttentionBackend)


def _native_info(registry: Any, architecture: str) -> type[Any] | None:
    """Return the class with the facts about a model's inputs that vLLM's own class has, if any."""
    registered = registry.models.get(architecture)
    if registered is None or not registered.module_name.startswith("vllm."):
        return None
    factories = getattr(registered.load_model_cls(), "_processor_factory", None)
    info: type[Any] | None = getattr(factories, "info", None)
    return info


def _template_search() -> tuple[Any, str, set[str]]:
    """Return the module and the name of vLLM's search for a template, and its foreign fallback."""
    from vllm.transformers_utils.chat_templates import registry

    try:
        from vllm.renderers import hf as module

        name = "resolve_chat_template"
    except ImportError:  # up to 0.12
        from vllm.entrypoints import chat_utils as module

        name = "resolve_hf_chat_template"
    foreign = registry.get_chat_template_fallback_path(_FOREIGN, "")
    return module, name, {foreign.read_text("utf-8")} if foreign else set()


def correct_chat_template(module: Any, name: str, foreign: set[str]) -> bool:
    """Let chats of the family's models have its template where vLLM takes another model's.

    Args:
        module: vLLM's module that searches for templates.
        name: of the function in it.
        foreign: texts of templates that are not the family's.

    Returns:
        True unless it was corrected before.
    """
    # vLLM goes by the model type, which its configuration class derives from the architectures.
    # Up to 0.19 transformers 5 puts the file's own back, deepseek_vl_v2: its template is one of
    # roles, which these models answer with nothing.
    if hasattr(module, _FAMILYS_TEMPLATE):
        return False

    def is_ours(tokenizer: Any, model_config: Any) -> bool:
        del tokenizer
        names = getattr(model_config.hf_config, "architectures", None)
        return models.find_architecture(names) is not None

    setattr(module, name, with_template(getattr(module, name), is_ours, foreign))
    setattr(module, _FAMILYS_TEMPLATE, True)
    return True


def correct_cpu_attention(platform: type[Any], backend: type[Any]) -> bool:
    """Let decoders with a window (R-SWA) be computed with it on a CPU.

    Args:
        platform: vLLM's class for the platform, which chooses the attention.
        backend: vLLM's attention for it.

    Returns:
        True if the fault was there.
    """
    # The CPU's choice asks no backend for what it supports: the window is lost without a word.
    if getattr(backend, "supports_rswa", _never)() or hasattr(platform, _RSWA_CHOICE):
        return False
    original = platform.get_attn_backend_cls

    def choose(cls: type[Any], *args: Any, **kwargs: Any) -> str:
        del cls
        if any(getattr(given, "use_rswa", False) for given in (*args, *kwargs.values())):
            return _RSWA_BACKEND
        place: str = original(*args, **kwargs)
        return place

    platform.get_attn_backend_cls = classmethod(choose)
    setattr(platform, _RSWA_CHOICE, True)
    return True


def _never() -> bool:
    return False


def takes_our_processor() -> bool:
    """Return True if this vLLM calls processors as the releases do that ours was written for."""
    try:
        from vllm.multimodal.processing import BaseMultiModalProcessor
    except ImportError:
        return False
    return tuple(inspect.signature(BaseMultiModalProcessor.apply).parameters) == PROCESSOR_CALL


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

    # DeepSeek-OCR is profiled with 693 tokens for 933 and DeepSeek-OCR-2 with 833 for 1121, up to
    # 0.33.0; Unlimited-OCR with 2560 x 5120 px, 3553 for 3793, from 0.25.1 up to 0.32.0.
    profiled = bare.get_image_size_with_most_features()
    worst = type(profiled)(*profile.worst_page)
    if tokens(profiled) >= tokens(worst):
        return False
    info.get_image_size_with_most_features = lambda _self: worst
    return True


_RSWA_BACKEND: Final = "dsk.vllm_plugin.v1.rswa_cpu.RswaAttentionBackend"
_RSWA_CHOICE: Final = "_dsk_knows_rswa"

# The model type in the configurations of the family, and of the model whose template vLLM takes.
_FOREIGN: Final = "deepseek_vl_v2"
_FAMILYS_TEMPLATE: Final = "_dsk_knows_template"

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
