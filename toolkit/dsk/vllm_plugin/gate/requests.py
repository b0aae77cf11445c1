"""Bodies of requests: the fields that the server takes, with their types and ranges.

A list of what is allowed: a field that a vLLM release adds is refused until it is named here.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from dsk.vllm_plugin.gate.refusal import Refusal
from dsk.vllm_plugin.guard.ngram import LARGEST_WINDOW

# A context of 8192 tokens holds some 30,000 characters.
MOST_CHARACTERS: Final = 65_536
# Signs that begin a value. A body of megabytes is one image's Base64, which has none of them.
MOST_VALUES: Final = 100_000

# A name that a message may repeat.
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_VALUE_SIGNS: Final = (b",", b":", b"[", b"{")


class _Request(BaseModel):
    """A part of a request: exact types, no unknown field, no infinity."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class TextPart(_Request):
    """A piece of text."""

    type: Literal["text"]
    text: str


class ImageAddress(_Request):
    """An image's URL; vLLM has no use for the detail."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(_Request):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageAddress


def _text_or_parts(value: Any) -> str:
    return "<text>" if isinstance(value, str) else "<parts>"


# Tags that are no names: `_path` leaves them out.
_Parts = list[Annotated[TextPart | ImagePart, Field(discriminator="type")]]
Content = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[_Parts, Field(min_length=1, max_length=64), Tag("<parts>")],
    Discriminator(_text_or_parts),
]


class ChatMessage(_Request):
    """A message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: Content


class StreamOptions(_Request):
    """Options of an answer that is streamed."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class TextFormat(_Request):
    """The only form of an answer: free text. Any other is guided decoding."""

    type: Literal["text"]


class GuardArguments(_Request):
    """Arguments of the repetition guard; see `dsk.vllm_plugin.guard.ngram.GuardSettings`."""

    ngram_size: Literal[0] | Annotated[int, Field(ge=2, le=LARGEST_WINDOW)]
    window_size: Annotated[int, Field(ge=1, le=LARGEST_WINDOW)] | None = None
    whitelist_token_ids: (
        Annotated[list[Annotated[int, Field(ge=0, lt=1 << 31)]], Field(max_length=1000)] | None
    ) = None


class ModeArguments(_Request):
    """Arguments of the image processor: the resolution, where vLLM lets a request name it."""

    mode: Annotated[str, Field(max_length=64)]


_Name = Annotated[str, Field(max_length=256)]
_StopString = Annotated[str, Field(min_length=1, max_length=256)]
_StopStrings = Annotated[list[_StopString], Field(max_length=16)]
_Stop = Annotated[
    Annotated[_StopString, Tag("<text>")] | Annotated[_StopStrings, Tag("<parts>")],
    Discriminator(_text_or_parts),
]


class ChatRequest(_Request):
    """The body of ``POST /v1/chat/completions``."""

    model: _Name | None = None
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=32)]
    max_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=1e-6, le=1)] | None = None
    top_k: Literal[-1] | Annotated[int, Field(ge=1, le=100_000)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[float, Field(ge=0.01, le=2)] | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] | None = None
    stop: _Stop | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    ignore_eos: bool | None = None
    include_stop_str_in_output: bool | None = None
    skip_special_tokens: bool | None = None
    spaces_between_special_tokens: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: TextFormat | None = None
    user: _Name | None = None
    vllm_xargs: GuardArguments | None = None
    mm_processor_kwargs: ModeArguments | None = None


class TokenizeRequest(_Request):
    """The body of ``POST /tokenize``, by which `dsk run --server` checks what is served."""

    model: _Name | None = None
    prompt: str
    add_special_tokens: bool | None = None


def parse_chat(body: bytes) -> dict[str, Any]:
    """Return a chat request that has allowed fields only; its images are not yet checked.

    Raises:
        Refusal: the body is not JSON, or has another field or value.
    """
    request = _validated(ChatRequest, body)
    _check_text(_texts(request))
    return request


def parse_tokenize(body: bytes) -> dict[str, Any]:
    """Return a tokenize request that has allowed fields only.

    Raises:
        Refusal: the body is not JSON, or has another field or value.
    """
    request = _validated(TokenizeRequest, body)
    _check_text([request["prompt"]])
    return request


def image_parts(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the images of a chat request, each as the object that has its ``url``."""
    return [part["image_url"] for part in _parts(request) if part["type"] == "image_url"]


def _parts(request: dict[str, Any]) -> list[dict[str, Any]]:
    contents = [message["content"] for message in request["messages"]]
    return [part for content in contents if isinstance(content, list) for part in content]


def _texts(request: dict[str, Any]) -> list[str]:
    contents = [message["content"] for message in request["messages"]]
    whole = [content for content in contents if isinstance(content, str)]
    return whole + [part["text"] for part in _parts(request) if part["type"] == "text"]


def _check_text(texts: list[str]) -> None:
    if sum(map(len, texts)) > MOST_CHARACTERS:
        raise Refusal(400, f"the request has more than {MOST_CHARACTERS} characters of text")
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise Refusal(400, "the request's text has half of a surrogate pair") from None


def _validated(model: type[BaseModel], body: bytes) -> dict[str, Any]:
    value = _json(body)
    if not isinstance(value, dict):
        raise Refusal(400, "the request's body is not a JSON object")
    # Clients send null for what they leave out.
    given = {name: item for name, item in value.items() if item is not None}
    try:
        request = model.model_validate(given)
    except ValidationError as error:
        _refuse_field(error)
    return request.model_dump(exclude_none=True)


def _json(body: bytes) -> Any:
    # Millions of small values would take gigabytes: they are counted before they are made.
    if sum(map(body.count, _VALUE_SIGNS)) > MOST_VALUES:
        raise Refusal(400, f"the request's body has more than {MOST_VALUES} values")
    try:
        # Strictly UTF-8: json guesses UTF-16 and UTF-32 from the first bytes.
        return json.loads(body.decode(), parse_constant=_refuse_constant)
    # RecursionError: nested deeper than Python's stack.
    except (ValueError, RecursionError):
        raise Refusal(400, "the request's body is not JSON") from None


def _refuse_constant(_name: str) -> NoReturn:
    message = "NaN and Infinity are not JSON"
    raise ValueError(message)


def _refuse_field(error: ValidationError) -> NoReturn:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = _path(first["loc"])
    match first["type"]:
        case "extra_forbidden":
            message = f"this server does not take the field {path}"
        case "missing":
            message = f"the field {path} is missing"
        case _:
            message = f"this server does not take that value of the field {path}"
    raise Refusal(400, message)


def _path(location: tuple[int | str, ...]) -> str:
    """Return a field's place, such as ``messages[0].content[1].url``, of harmless names only."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif _NAME.fullmatch(step):
            path += f".{step}" if path else step
    return path or "with that name"
