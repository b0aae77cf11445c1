"""Measure vLLM's own classes of every model before and after the corrections of the plugin."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any

# Nothing is registered before it is measured.
os.environ["VLLM_PLUGINS"] = ""

import vllm
from vllm.platforms import current_platform
from vllm.renderers import hf
from vllm.v1.attention.selector import AttentionSelectorConfig

from dsk import models
from dsk.vllm_plugin.v1 import corrections


class Tokenizer:
    """A tokenizer in a folder of any name, which brings no template."""

    name_or_path = "/srv/checkpoint"

    def get_chat_template(self, *_args: object, **_kwargs: object) -> str:
        raise ValueError


def profiled_tokens(architecture: str) -> int:
    """Tokens of the page that vLLM profiles its own class with."""
    native = vllm.ModelRegistry.models[architecture].load_model_cls()
    info = object.__new__(native._processor_factory.info)
    size = info.get_image_size_with_most_features()
    tokens: int = info.get_num_image_tokens(image_width=size.width, image_height=size.height)
    return tokens


def template(architecture: str) -> str | None:
    """The template for a configuration whose model type is the file's own."""
    config = SimpleNamespace(
        hf_config=SimpleNamespace(model_type="deepseek_vl_v2", architectures=[architecture]),
        trust_remote_code=False,
        tokenizer_revision=None,
        code_revision=None,
        tokenizer="/srv/checkpoint",
        model="/srv/checkpoint",
    )
    found: str | None = hf.resolve_chat_template(Tokenizer(), None, None, model_config=config)
    return found


def attention(rswa: bool) -> str:
    """The attention that vLLM takes on this platform."""
    fields: dict[str, Any] = {"head_size": 128, "dtype": None, "kv_cache_dtype": "auto"}
    wanted = AttentionSelectorConfig(**fields, block_size=128, use_rswa=rswa)
    return str(current_platform.get_attn_backend_cls(None, attn_selector_config=wanted))


def measure() -> dict[str, Any]:
    names = [profile.record.architecture for profile in models.profiles().values()]
    return {
        "profiled": {name: profiled_tokens(name) for name in names},
        "templates": {name: template(name) for name in [*names, "DeepseekVLV2ForCausalLM"]},
        "attention": {"plain": attention(False), "window": attention(True)},
    }


def main() -> None:
    before = measure()
    corrections.apply()
    corrections.apply()
    print(json.dumps({"before": before, "after": measure()}))


main()
