"""Tables of the documentation about the models: their names, what they take, where they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.generated.markdown_table import table
from dsk.models import profiles
from dsk.vllm_plugin import releases, stack_support

if TYPE_CHECKING:
    from dsk.matrix import Matrix, Stack
    from dsk.matrix.models import GuardSize
    from dsk.models.base import ModelProfile


def models() -> str:
    """Return the table of models: names, hub id, pinned revision, size of the weights."""
    rows = [
        (
            f"`{model.id}`",
            model.name,
            ", ".join(f"`{alias}`" for alias in model.record.aliases),
            f"`{model.hub}`",
            f"`{model.record.revision[:12]}`" if model.record.revision else "none",
            f"{model.record.weights_bytes / 1e9:.1f} GB",
        )
        for model in profiles().values()
    ]
    return table(("id", "name", "alias", "hub id", "pinned revision", "weights"), rows)


def figures() -> str:
    """Return the table of what reading a page takes: tokens, context, guard, memory."""
    rows = [
        (
            model.name,
            f"{model.default_resolution.tokens((1, 1))} to {model.max_page_tokens}",
            str(model.record.language.max_positions),
            ", ".join(f"`{name}`" for name in model.record.prompts),
            _guard(model.record.guards.default),
            _official(model),
            f"{model.record.memory.weights_gib:.2f} GiB",
            f"{model.record.kv_cache_bytes_per_token:,} B",
        )
        for model in profiles().values()
    ]
    head = (
        *("model", "vision tokens of a page", "context", "prompts", "n-gram guard"),
        *("guard of its scripts", "weights on a GPU", "KV cache a token"),
    )
    return table(head, rows)


def stacks(matrix: Matrix) -> str:
    """Return the table of the class that reads each model on each stack."""
    ranked = matrix.current
    rows = [
        (model.name, *(_class(stack, model) for stack in ranked)) for model in profiles().values()
    ]
    return table(("model", *(f"`{stack.id}`" for stack in ranked)), rows)


def _class(stack: Stack, model: ModelProfile) -> str:
    if stack_support.obstacle(stack, model.record):
        return "no: needs " + releases.needed_releases(model.record, stack.device)
    version = stack_support.stack_version(stack)
    support = releases.support_for(version, model.record, device=stack.device)
    assert support is not None
    return f"dsk's, {stack.engine}" if support.package else f"vLLM's own, {stack.engine}"


def _guard(guard: GuardSize) -> str:
    return f"{guard.size} / {guard.window}"


def _official(model: ModelProfile) -> str:
    official = model.record.guards.official
    if official is None:
        return "none"
    return f"PDF {_guard(official.pdf)}, image {_guard(official.image)}"
