"""Fixes to vLLM 0.8's OpenAI-compatible server: features of later releases that clients rely on."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from dsk import models
from dsk.vllm_plugin.guard.ngram import GuardSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# The format that the model was trained with: no roles, nothing between image and text.
CHAT_TEMPLATE: Final = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}"

_PILLOW_RAISES: Final = (OSError, SyntaxError, Image.DecompressionBombError)


def apply_fixes() -> None:
    """Apply the fixes to the server of this process; call it once."""
    from vllm.entrypoints import chat_utils
    from vllm.entrypoints.openai.protocol import ChatCompletionRequest, CompletionRequest
    from vllm.multimodal.image import ImageMediaIO
    from vllm.multimodal.utils import MediaConnector

    chat_utils.resolve_hf_chat_template = with_template(chat_utils.resolve_hf_chat_template)
    for request in (ChatCompletionRequest, CompletionRequest):
        request.to_sampling_params = with_extra_args(request.to_sampling_params)
    MediaConnector.load_from_url_async = beside_the_loop(
        MediaConnector.load_from_url_async, MediaConnector.load_from_url
    )
    ImageMediaIO.load_bytes = refusing_bad_images(ImageMediaIO.load_bytes)


def with_template(resolve: Callable[..., str | None]) -> Callable[..., str | None]:
    """Wrap the search for a chat template: fall back to ours for the family's tokenizers."""
    # A token that tells a tokenizer of the family from those of other models.
    markers = {profile.record.grounding_token for profile in models.profiles().values()}

    @functools.wraps(resolve)
    def resolve_or_ours(tokenizer: Any, *args: Any, **kwargs: Any) -> str | None:
        template = resolve(tokenizer, *args, **kwargs)
        # The published tokenizer has none, and without one the server refuses chats.
        if template is None and markers & tokenizer.get_vocab().keys():
            return CHAT_TEMPLATE
        return template

    return resolve_or_ours


def with_extra_args(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the conversion of a request: put its ``vllm_xargs`` into the sampling parameters."""

    @functools.wraps(original)
    def to_sampling_params(self: Any, *args: Any, **kwargs: Any) -> Any:
        params = original(self, *args, **kwargs)
        # vLLM 0.8 does not know the field; pydantic keeps it among the extra ones.
        carried = (self.model_extra or {}).get("vllm_xargs")
        if carried is not None:
            if not isinstance(carried, dict):
                message = f"vllm_xargs is {carried!r}: give an object"
                raise ValueError(message)
            GuardSettings.from_args(carried)  # refuse bad values now, with a 400
            params.extra_args = carried
        return params

    return to_sampling_params


def refusing_bad_images(load: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the loading of an image: raise ValueError, a 400, for one that Pillow cannot read."""

    @functools.wraps(load)
    def load_or_refuse(self: Any, data: bytes) -> Any:
        try:
            return load(self, data)
        except _PILLOW_RAISES as error:
            # Pillow's own text names an address in memory, and this one goes to the client.
            message = "the image cannot be read"
            raise ValueError(message) from error

    return load_or_refuse


def beside_the_loop(
    load_async: Callable[..., Awaitable[Any]], load: Callable[..., Any]
) -> Callable[..., Awaitable[Any]]:
    """Wrap the loading of media: decode a ``data:`` URL in a thread, not in the event loop."""

    @functools.wraps(load_async)
    async def load_beside(self: Any, url: str, *args: Any, **kwargs: Any) -> Any:
        # vLLM 0.8 decodes in the loop: for seconds, the largest images stop every other request.
        if url.startswith("data:"):
            return await asyncio.to_thread(load, self, url, *args, **kwargs)
        return await load_async(self, url, *args, **kwargs)

    return load_beside
