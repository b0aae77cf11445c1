"""Small names that transformers dropped, with what they meant in 4.46.3."""

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
    """True: every torch that these transformers run on has it."""
    return True


def is_flash_attn_greater_or_equal_2_10() -> bool:
    """True: an older one draws its causal mask from the other corner, and none is in use."""
    return True


def add_start_docstrings(*texts: str) -> Callable[[Function], Function]:
    """Put texts before a docstring."""

    def decorate(function: Function) -> Function:
        function.__doc__ = "".join(texts) + (function.__doc__ or "")
        return function

    return decorate


def add_start_docstrings_to_model_forward(*texts: str) -> Callable[[Function], Function]:
    """As `add_start_docstrings`."""
    return add_start_docstrings(*texts)


def replace_return_docstrings(**_: object) -> Callable[[Function], Function]:
    """Leave the docstring as it is: what it documented is gone."""
    return add_start_docstrings()


class when_used:  # noqa: N801
    """A module that is imported when it is used, so that its absence stops nothing else."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)
