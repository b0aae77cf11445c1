"""Base class of the model's classes, as in transformers 4.46.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch.overrides import TorchFunctionMode
from transformers import modeling_utils

from dsk.transformers_patch.shims.configuration import ASKED_DTYPE

if TYPE_CHECKING:
    from collections.abc import Callable

_SEQUENCES = (torch.arange, torch.linspace)
_CONFIGURED_DTYPE = int(transformers.__version__.split(".")[0]) >= 5
# Attributes of every configuration, None if not given; later releases leave them out.
_IDS = ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id", "decoder_start_token_id")


class _RealSequences(TorchFunctionMode):
    """Mode in which sequences have content, even on the meta device."""

    # transformers 5 builds every model on the meta device. Buffers that are not saved are computed
    # from such sequences when a module is made, and nothing fills them later.

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Any = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in _SEQUENCES and kwargs.get("device") is None:
            kwargs["device"] = "cpu"
        return func(*args, **kwargs)


class PreTrainedModel(modeling_utils.PreTrainedModel):
    """Base class that keeps computed buffers while loading, and has SDPA on request."""

    _supports_flash_attn = True
    _supports_flash_attn_2 = True

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        for name in _IDS:
            if not hasattr(config, name):
                setattr(config, name, None)
        super().__init__(config, *args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model; its cache may go by 5.24.0's name as well."""
        if "cache" in kwargs:
            cache = kwargs.pop("cache")
            if kwargs.get("past_key_values") is None:
                kwargs["past_key_values"] = cache
        return super().__call__(*args, **kwargs)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Load weights in torch's default dtype unless another one is given."""
        # transformers 5 would take the configuration's, bfloat16 here.
        if _CONFIGURED_DTYPE and not {"dtype", "torch_dtype"} & kwargs.keys():
            asked = (
                getattr(kwargs["config"], "__dict__", {}).get(ASKED_DTYPE)
                if kwargs.get("config")
                else None
            )
            kwargs["dtype"] = asked or torch.get_default_dtype()
        return super().from_pretrained(*args, **kwargs)

    def _initialize_weights(self, module: Any, *args: Any, **kwargs: Any) -> None:
        """Initialize the weights of a module that were not loaded."""
        # 5.0 calls it for loaded modules too, and the model's own code then overwrites weights.
        parameters = module.parameters(recurse=False)
        if all(getattr(parameter, "_is_hf_initialized", False) for parameter in parameters):
            module._is_hf_initialized = True  # noqa: SLF001
        else:
            super()._initialize_weights(module, *args, **kwargs)

    @classmethod
    def get_init_context(cls, *args: Any, **kwargs: Any) -> list[Any]:
        """Return the contexts in which a model is made, with `_RealSequences`."""
        return [*super().get_init_context(*args, **kwargs), _RealSequences()]

    def _move_missing_keys_from_meta_to_device(self, *args: Any, **kwargs: Any) -> None:
        """Restore the content of buffers that transformers replaces by empty ones."""
        real = {name: buffer for name, buffer in self.named_buffers() if not buffer.is_meta}
        super()._move_missing_keys_from_meta_to_device(*args, **kwargs)
        for name, buffer in self.named_buffers():
            if name in real and buffer is not real[name]:
                buffer.copy_(real[name])

    @classmethod
    def _check_and_enable_sdpa(cls, config: Any, hard_check_only: bool = False) -> Any:  # noqa: ARG003
        """Return the configuration unchanged: eager unless SDPA was given (4.46 to 4.53)."""
        return config

    def _check_and_adjust_attn_implementation(
        self, attn_implementation: str | None, *args: Any, **kwargs: Any
    ) -> Any:
        """Return the implementation to use: eager unless SDPA was given (from 4.54 on)."""
        if attn_implementation == "sdpa":
            return attn_implementation
        return super()._check_and_adjust_attn_implementation(attn_implementation, *args, **kwargs)

    @classmethod
    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Convert the list of tied weights of 4.46.3 to the map of 5.0."""
        super().__init_subclass__(**kwargs)
        tied = cls.__dict__.get("_tied_weights_keys")
        takes_map = hasattr(modeling_utils.PreTrainedModel, "get_expanded_tied_weights_keys")
        if takes_map and isinstance(tied, list):
            embeddings = f"{cls.base_model_prefix}.embed_tokens.weight"
            cls._tied_weights_keys = dict.fromkeys(tied, embeddings)
