"""Answers of OpenAI-compatible servers, checked before anything else sees them."""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import re
import threading
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dsk.filenames import printable
from dsk.ocr.engines.base import PageAnswer

# The longest that a server may ask to be left alone for, in seconds.
LONGEST_RETRY_AFTER: Final = 60.0

# Reasons for the end of a whole answer; with any other one there is no answer.
_ENDS: Final = ("stop", "length")
# Characters of a server's own words in a message.
_MOST_WORDS: Final = 300
# Characters of a path, Linux's own limit.
_MAX_PATH: Final = 4096
_SECONDS: Final = re.compile(r"[0-9]{1,18}")
# Parsed JSON takes up to thirty times the memory of its text ("[[],[],..."): one answer at a time.
_PARSING: Final = threading.Lock()


class InvalidAnswer(Exception):
    """An answer that is not of the OpenAI API; the message says in which way."""


class _Answer(BaseModel):
    # Servers add keys of their own. Strict: a number in quotes, or true, is no number.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


# Far above what any server counts, and far below what a ledger's reader cannot hold.
_Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class _Usage(_Answer):
    completion_tokens: _Count
    prompt_tokens: _Count


class _Message(_Answer):
    content: str | None


class _Choice(_Answer):
    message: _Message
    finish_reason: str


class _Completion(_Answer):
    choices: Annotated[list[_Choice], Field(min_length=1, max_length=1)]
    usage: _Usage


class ModelCard(_Answer):
    """A model as a server lists it."""

    id: Annotated[str, Field(min_length=1, max_length=500)]
    max_model_len: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    """The most tokens of a prompt and its answer, where the server says so."""
    root: Any = None
    """Of vLLM's servers the folder or the hub id that the model was loaded from."""

    @property
    def loaded_from(self) -> str:
        """Folder or hub id that the model was loaded from; empty where the server does not say."""
        return self.root if isinstance(self.root, str) and len(self.root) <= _MAX_PATH else ""


class _ModelList(_Answer):
    data: Annotated[list[ModelCard], Field(max_length=1000)]


class _TokenList(_Answer):
    tokens: Annotated[list[Annotated[int, Field(ge=0, le=2**31)]], Field(max_length=10_000)]


_Kind = TypeVar("_Kind", bound=_Answer)


def page_answer(body: bytes) -> PageAnswer:
    """Return the answer for a page.

    Raises:
        InvalidAnswer: it is not a chat completion, or the server ended it for another reason than
            its end or its length.
    """
    completion = _parsed(_Completion, body)
    (choice,) = completion.choices
    if choice.finish_reason not in _ENDS:
        what = f"the server ended it with '{shown(choice.finish_reason)[:40]}'"
        raise InvalidAnswer(what)
    return PageAnswer(
        # JSON can hold half a character, which no file can.
        text=(choice.message.content or "").encode("utf-8", "replace").decode(),
        finish_reason=choice.finish_reason,
        tokens=completion.usage.completion_tokens,
        prompt_tokens=completion.usage.prompt_tokens,
    )


def model_cards(body: bytes) -> dict[str, ModelCard]:
    """Return the models that a server lists, by their names in requests.

    Raises:
        InvalidAnswer: it is no list of models.
    """
    return {card.id: card for card in _parsed(_ModelList, body).data}


def token_ids(body: bytes) -> tuple[int, ...]:
    """Return the tokens of a text.

    Raises:
        InvalidAnswer: it is no list of tokens.
    """
    return tuple(_parsed(_TokenList, body).tokens)


def error_message(body: bytes) -> str:
    """Return a server's error message, which vLLM's releases put in two places."""
    try:
        content = _loaded(body)
    except InvalidAnswer:
        content = None
    for key in ("error", "message"):
        content = content.get(key, content) if isinstance(content, dict) else content
    text = content if isinstance(content, str) else body.decode("utf-8", "replace")
    return shown(text) or "no message"


def retry_seconds(header: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header, at most a minute; None if it gives none.

    Args:
        header: seconds or a date, as HTTP has it.
    """
    text = (header or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_RETRY_AFTER)
    try:
        date = email.utils.parsedate_to_datetime(text)
        # A date without a zone is in UTC, as HTTP's dates always are.
        date = date if date.tzinfo else date.replace(tzinfo=dt.UTC)
        seconds = (date - dt.datetime.now(dt.UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def shown(words: str) -> str:
    """Return a server's words as a short line that is safe to print."""
    line = " ".join(words[: 4 * _MOST_WORDS].split())[:_MOST_WORDS]
    return printable(line.encode("utf-8", "replace").decode())


def _parsed(kind: type[_Kind], body: bytes) -> _Kind:
    try:
        with _PARSING:
            return kind.model_validate(_loaded(body))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "the answer"
        what = shown(f"{place}: {first['msg']}")
        raise InvalidAnswer(what) from None


def _loaded(body: bytes) -> Any:
    """Return the content of JSON.

    Raises:
        InvalidAnswer: it is not JSON, or nested too deeply, or holds a number of thousands of
            digits.
    """
    # Not pydantic's parser, which refuses half a character, as language models do write them.
    try:
        return json.loads(body)
    except UnicodeDecodeError:
        what = "it is not UTF-8"
    except RecursionError:
        what = "it is nested too deeply"
    except ValueError as error:
        what = f"it is not JSON ({shown(str(error))[:80]})"
    raise InvalidAnswer(what)
