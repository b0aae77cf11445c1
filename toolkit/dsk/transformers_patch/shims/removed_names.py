"""Small names that transformers removed, with their meaning in 4.46.3."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

import torch
import torch.fx

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[..., Any]

ALL_LAYERNORM_LAYERS: Final[list[type]] = [torch.nn.LayerNorm]
is_torch_greater_or_equal_than_1_13: Final = True


def is_torch_fx_available() -> bool:
    """Return True."""
    return True  # every torch that these transformers run on has it


def is_flash_attn_greater_or_equal_2_10() -> bool:
    """Return True."""
    return True  # older ones, which align the causal mask at the top left, are no longer in use


def add_start_docstrings(*texts: str) -> Callable[[Function], Function]:
    """Return a decorator that puts texts before a docstring."""

    def decorate(function: Function) -> Function:
        function.__doc__ = "".join(texts) + (function.__doc__ or "")
        return function

    return decorate


def add_start_docstrings_to_model_forward(*texts: str) -> Callable[[Function], Function]:
    """Return the decorator of `add_start_docstrings`."""
    return add_start_docstrings(*texts)


def replace_return_docstrings(**_: object) -> Callable[[Function], Function]:
    """Return a decorator that changes nothing."""
    return add_start_docstrings()


# In lower case: it replaces a module, such as matplotlib.pyplot, in an import of the model's code.
class when_used:  # noqa: N801
    """Module that is imported when it is used, so that nothing else fails without it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)
