"""Fixes to vLLM 0.8's OpenAI-compatible server: features of later releases that clients rely on."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from dsk import models
from dsk.vllm_plugin.chat_template import with_template
from dsk.vllm_plugin.guard.ngram import GuardSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_PILLOW_RAISES: Final = (OSError, SyntaxError, Image.DecompressionBombError)


def apply_fixes() -> None:
    """Apply the fixes to the server of this process; call it once."""
    from vllm.entrypoints import chat_utils
    from vllm.entrypoints.openai.protocol import ChatCompletionRequest, CompletionRequest
    from vllm.inputs.preprocess import InputPreprocessor
    from vllm.multimodal.image import ImageMediaIO
    from vllm.multimodal.utils import MediaConnector

    # The published tokenizers have none, and without one the server refuses chats.
    chat_utils.resolve_hf_chat_template = with_template(
        chat_utils.resolve_hf_chat_template, has_marker
    )
    for request in (ChatCompletionRequest, CompletionRequest):
        request.to_sampling_params = with_extra_args(request.to_sampling_params)
    MediaConnector.load_from_url_async = beside_the_loop(
        MediaConnector.load_from_url_async, MediaConnector.load_from_url
    )
    ImageMediaIO.load_bytes = refusing_bad_images(ImageMediaIO.load_bytes)
    # The one step that every prompt takes in the engine, whoever sends it.
    InputPreprocessor._build_decoder_only_llm_inputs = refusing_places_without_images(  # noqa: SLF001
        InputPreprocessor._build_decoder_only_llm_inputs  # noqa: SLF001
    )


def has_marker(tokenizer: Any, model_config: Any) -> bool:
    """Return True if a tokenizer has a token that tells the family's from those of other models."""
    del model_config  # vLLM 0.8 does not say it
    markers = {profile.record.grounding_token for profile in models.profiles().values()}
    return bool(markers & tokenizer.get_vocab().keys())


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


def refusing_places_without_images(build: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the last step of a prompt's preparation: raise ValueError for places without images.

    vLLM 0.8 computes prompts that begin together as one, and ends if there are more places than
    tokens of images: a text that holds the image token would end the engine for everybody.
    """

    @functools.wraps(build)
    def build_or_refuse(self: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        names = getattr(self.model_config.hf_config, "architectures", None)
        profile = models.find_architecture(names)
        # A prompt with images has its places checked where they are filled in.
        if profile and inputs["type"] == "token":
            token = profile.record.image_token
            number = self.get_tokenizer_group().tokenizer.convert_tokens_to_ids(token)
            if places := inputs["prompt_token_ids"].count(number):
                message = f"the prompt has {places} places for 0 images: leave {token} out"
                raise ValueError(message)
        return build(self, inputs, *args, **kwargs)

    return build_or_refuse


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
    load_async: Callable[..., Coroutine[Any, Any, Any]], load: Callable[..., Any]
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Wrap the loading of media: decode a ``data:`` URL in a thread, not in the event loop."""

    @functools.wraps(load_async)
    async def load_beside(self: Any, url: str, *args: Any, **kwargs: Any) -> Any:
        # vLLM 0.8 decodes in the loop: for seconds, the largest images stop every other request.
        if url.startswith("data:"):
            return await asyncio.to_thread(load, self, url, *args, **kwargs)
        return await load_async(self, url, *args, **kwargs)

    return load_beside
