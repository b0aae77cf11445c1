"""vLLM 0.8's OpenAI-compatible server, for this model: what later releases have."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from dsk.vllm_plugin.guard.ngram import GuardSettings

if TYPE_CHECKING:
    from collections.abc import Callable

URLS_VARIABLE: Final = "DSK_IMAGE_URLS"
"""``off`` keeps the server from fetching images: `dsk serve` sets it unless told otherwise."""

CHAT_TEMPLATE: Final = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
"""What the model was trained with: no roles, nothing between the image and the words."""

MARKER: Final = "<|grounding|>"
"""A token of this model's vocabulary: other models' tokenizers are none of our business."""

_PILLOW_RAISES: Final = (OSError, SyntaxError, Image.DecompressionBombError)


def apply_fixes() -> None:
    """Mend the server of this process; vLLM calls it once."""
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
    """The search for a chat template, ending with ours: the published tokenizer has none."""

    @functools.wraps(resolve)
    def resolve_or_ours(tokenizer: Any, *args: Any, **kwargs: Any) -> str | None:
        found = resolve(tokenizer, *args, **kwargs)
        if found is None and MARKER in tokenizer.get_vocab():
            return CHAT_TEMPLATE
        return found

    return resolve_or_ours


def with_extra_args(original: Callable[..., Any]) -> Callable[..., Any]:
    """A request's sampling parameters, with its ``vllm_xargs`` in them, as later releases have."""

    @functools.wraps(original)
    def to_sampling_params(self: Any, *args: Any, **kwargs: Any) -> Any:
        params = original(self, *args, **kwargs)
        carried = (self.model_extra or {}).get("vllm_xargs")
        if carried is not None:
            if not isinstance(carried, dict):
                message = f"vllm_xargs is {carried!r}: give an object"
                raise ValueError(message)
            GuardSettings.from_args(carried)
            params.extra_args = carried
        return params

    return to_sampling_params


def refusing_bad_images(load: Callable[..., Any]) -> Callable[..., Any]:
    """Loading an image, with a ValueError for what Pillow cannot read: the server's 400."""

    @functools.wraps(load)
    def load_or_refuse(self: Any, data: bytes) -> Any:
        try:
            return load(self, data)
        except _PILLOW_RAISES as error:
            message = f"the image cannot be read ({error})"
            raise ValueError(message) from error

    return load_or_refuse


def refusing_urls(load: Callable[..., Any]) -> Callable[..., Any]:
    """Loading media by URL, with a ValueError for those that would be fetched."""

    @functools.wraps(load)
    def load_or_refuse(self: Any, url: str, *args: Any, **kwargs: Any) -> Any:
        if url.lower().startswith("http"):
            message = "this server fetches no images: send the image itself, as a data: URL"
            raise ValueError(message)
        return load(self, url, *args, **kwargs)

    return load_or_refuse
