"""Chat template of the family, where a checkpoint has none and vLLM takes none or another's."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

# The format that the models were trained with: no roles, nothing between image and text.
CHAT_TEMPLATE: Final = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}"


def with_template(
    resolve: Callable[..., str | None],
    is_ours: Callable[[Any, Any], bool],
    others: Collection[str] = (),
) -> Callable[..., str | None]:
    """Wrap vLLM's search for a chat template: fall back to the family's for its models.

    Args:
        resolve: vLLM's; it takes the tokenizer first, and in some releases ``model_config``.
        is_ours: returns True for the tokenizer and configuration of a model of the family.
        others: fallbacks of vLLM's that are for other models, as texts.
    """

    @functools.wraps(resolve)
    def resolve_or_ours(
        tokenizer: Any, *args: Any, model_config: Any = None, **kwargs: Any
    ) -> str | None:
        if model_config is not None:
            kwargs["model_config"] = model_config
        template = resolve(tokenizer, *args, **kwargs)
        missing = template is None or template in others
        return CHAT_TEMPLATE if missing and is_ours(tokenizer, model_config) else template

    return resolve_or_ours
