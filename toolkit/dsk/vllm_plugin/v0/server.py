"""Fixes to vLLM 0.8's OpenAI-compatible server: features of later releases that clients rely on."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from dsk import models
from dsk.vllm_plugin.guard.ngram import GuardSettings

if TYPE_CHECKING:
    from collections.abc import Callable

# Environment variable: `off` forbids the server to fetch images by URL. `dsk serve` sets it, unless
# `--allow-urls` is given.
URLS_VARIABLE: Final = "DSK_IMAGE_URLS"

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
    ImageMediaIO.load_bytes = refusing_bad_images(ImageMediaIO.load_bytes)
    if os.environ.get(URLS_VARIABLE) == "off":
        MediaConnector.load_from_url = refusing_urls(MediaConnector.load_from_url)
        MediaConnector.load_from_url_async = refusing_urls(MediaConnector.load_from_url_async)


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
            message = f"the image cannot be read ({error})"
            raise ValueError(message) from error

    return load_or_refuse


def refusing_urls(load: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the loading of media by URL: raise ValueError, a 400, for one that it would fetch."""

    @functools.wraps(load)
    def load_or_refuse(self: Any, url: str, *args: Any, **kwargs: Any) -> Any:
        if url.lower().startswith("http"):
            message = "this server fetches no images: send the image itself, as a data: URL"
            raise ValueError(message)
        return load(self, url, *args, **kwargs)

    return load_or_refuse
