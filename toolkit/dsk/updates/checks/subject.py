"""The subject of the static checks: a stack, its models, and its opened wheels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsk.vllm_plugin.releases import support_for
from dsk.vllm_plugin.stack_support import stack_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsk.matrix import Model, Stack
    from dsk.updates.wheel_source import WheelSource
    from dsk.vllm_plugin.releases import Support


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A stack with the wheels that its checks read.

    Args:
        stack: the stack, or a candidate.
        models: the family's, in the matrix's order.
        vllm: the wheel of vLLM.
        transformers: the wheel of transformers.
    """

    stack: Stack
    models: Sequence[Model]
    vllm: WheelSource
    transformers: WheelSource

    @property
    def version(self) -> str:
        """vLLM's version."""
        return stack_version(self.stack)

    @property
    def supports(self) -> list[Support]:
        """Support of each model that this release reads."""
        supports = (
            support_for(self.version, model, device=self.stack.device) for model in self.models
        )
        return [support for support in supports if support]
