"""Client of one OpenAI-compatible server: ask what it serves, send it a page."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import httpcore
import httpx

from dsk import console, credentials, models, urls
from dsk.errors import EngineMissing, UsageProblem
from dsk.models.reference import recognized
from dsk.ocr.engines import http_answers
from dsk.ocr.engines.base import PageAnswer
from dsk.ocr.engines.http_answers import InvalidAnswer, shown
from dsk.ocr.engines.http_exchange import (
    ExchangeFailed,
    ExchangeTooLong,
    HttpAnswer,
    ServerUnreachable,
    exchange,
)

if TYPE_CHECKING:
    from dsk.models.base import ModelProfile
    from dsk.ocr.engines.http_answers import ModelCard

# Seconds for questions that any server answers at once.
_QUICK: Final = 10.0
# Bytes of an answer: 32,768 tokens of 64 bytes each, four times the context of DeepSeek-OCR. As
# many answers as pages are in flight may be in memory.
_MAX_BYTES: Final = 1 << 21

# 429, and what a proxy says while the server behind it restarts.
_BUSY: Final = (429, 502, 503, 504)
_NOT_FOR_US: Final = (401, 403, 404)
# The page itself is refused, as one that is too large for the context: it would be again.
_PAGE_REFUSED: Final = (400, 413, 415, 422)
_REDIRECTS: Final = range(300, 400)
_SERVERS_FAULT: Final = 500
_LAST_PORT: Final = 65535


@dataclass(frozen=True, kw_only=True)
class Served:
    """The model that a server serves.

    Args:
        model: the name that requests call it by.
        profile: its profile.
        context: the most tokens of a prompt and its answer.
        whitelist: ids of the tokens that the n-gram guard lets repeat.
    """

    model: str
    profile: ModelProfile
    context: int
    whitelist: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ServerBusy:
    """The server asks to be left alone, for ``seconds`` if it says how long."""

    seconds: float | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class ServerAway:
    """The server cannot be reached; ``has_page`` is True if it went away with the page."""

    reason: str
    has_page: bool


@dataclass(frozen=True, kw_only=True)
class RequestRefused:
    """The server gave no answer for a page.

    Args:
        reason: the server's words, or what is wrong with its answer.
        again: True if another try may get one.
        final: True if the fault is the page's, so that no later run is to try either.
    """

    reason: str
    again: bool
    final: bool = False


@dataclass(frozen=True, kw_only=True)
class ServerLost:
    """The server serves something else, or wants another key."""

    reason: str


ServerAnswer = PageAnswer | ServerBusy | ServerAway | RequestRefused | ServerLost


class Endpoint:
    """A server at a URL, for several threads at once. Proxies are not used.

    Args:
        url: with or without ``/v1``; user and password in it are sent to the server.
        key: the API key, where it wants one.

    Raises:
        UsageProblem: that is no URL of a server, or no key.
    """

    def __init__(self, url: str, key: str | None) -> None:
        self._base = _server_url(url)
        self.url = str(self._base.copy_with(userinfo=b"")).rstrip("/")
        """The URL to print: without ``/v1``, user and password."""
        self._headers = _credentials(self._base, key)
        self._ssl_context = httpx.create_ssl_context() if self._base.scheme == "https" else None

    def served(self, requested: str | None, default: ModelProfile) -> Served:
        """Ask the server what it serves.

        Args:
            requested: a name that the server or dsk has for the model; None for the only one.
            default: the profile of a model that nothing else is known of.

        Raises:
            EngineMissing: the server does not answer, or is of another kind.
            UsageProblem: it wants another key, or serves another model.
        """
        cards = self._models()
        name, profile = self._chosen(cards, requested)
        if profile is None:
            profile = default
            console.warn(
                f"nothing is known of '{shown(name)}', which {self.url} serves: it is taken for "
                f"{default.name}; --model names another"
            )
        return Served(
            model=name,
            profile=profile,
            context=cards[name].max_model_len or profile.record.language.max_positions,
            whitelist=self._whitelist(name, profile),
        )

    def _chosen(
        self, cards: dict[str, ModelCard], requested: str | None
    ) -> tuple[str, ModelProfile | None]:
        """Return the name and the profile, where it is known, of the model to use."""
        names = shown(", ".join(cards))
        if requested is None and len(cards) != 1:
            what = f"the server {self.url} serves {names or 'no model'}"
            raise UsageProblem(what, do="name one with --model")
        profiles = {name: _profile(card) for name, card in cards.items()}
        if requested is None:
            return next(iter(profiles.items()))
        if requested in profiles:
            return requested, profiles[requested]
        # A model of dsk by a name that the server does not use: the one of its models that is it,
        # or its only model if that has a name of the owner's own.
        wanted = models.find(requested)
        fitting = [name for name, profile in profiles.items() if profile is wanted]
        if wanted and not fitting:
            fitting = [name for name in profiles if len(profiles) == 1 and not profiles[name]]
        if wanted and len(fitting) == 1:
            return fitting[0], wanted
        what = f"the server {self.url} does not serve '{requested}' but {names or 'no model'}"
        raise UsageProblem(what, do="name its model with --model, or another --server")

    def read(
        self, png: bytes, request: dict[str, Any], words: str, *, seconds: float
    ) -> ServerAnswer:
        """Send one page.

        Args:
            png: the page as a file.
            request: the model's name and the sampling parameters.
            words: the prompt, with its ``<image>``.
            seconds: for the whole of it.
        """
        content = [
            {"type": "image_url", "image_url": {"url": _data_url(png)}},
            {"type": "text", "text": words},
        ]
        body = request | {"messages": [{"role": "user", "content": content}]}
        try:
            answer = self._exchange("/v1/chat/completions", body, seconds=seconds)
        except ServerUnreachable as error:
            return ServerAway(reason=self._no_answer(error), has_page=False)
        except ExchangeTooLong as error:
            return RequestRefused(reason=self._no_answer(error), again=False)
        except ExchangeFailed as error:
            reason = self._no_answer(error)
            if self.answers():
                return RequestRefused(reason=reason, again=True)
            return ServerAway(reason=reason, has_page=True)
        return self._judged(answer)

    def answers(self) -> bool:
        """Return True if the server answers."""
        try:
            return self._exchange("/v1/models", seconds=_QUICK).is_success
        except ExchangeFailed:
            return False

    def _models(self) -> dict[str, ModelCard]:
        try:
            answer = self._exchange("/v1/models", seconds=_QUICK)
        except ExchangeFailed as error:
            what = f"the server {self.url} does not answer ({shown(str(error))})"
            raise EngineMissing(what, do="start one with dsk serve, or name another") from error
        if answer.status in (401, 403):
            what = f"the server {self.url} refuses the API key, or wants one"
            do = f"give it with --api-key-file, or in {credentials.KEY_VARIABLE}"
            raise UsageProblem(what, do=do)
        if answer.status in _REDIRECTS:
            what = f"the server {self.url} redirects to another address"
            do = "dsk follows no redirects: name the address of the server itself"
            raise EngineMissing(what, do=do)
        try:
            if not answer.is_success:
                raise InvalidAnswer(http_answers.error_message(answer.body))
            return http_answers.model_cards(answer.body)
        except InvalidAnswer as error:
            what = f"{self.url} is no OpenAI-compatible server (HTTP {answer.status}: {error})"
            raise EngineMissing(what, do="name the URL that dsk serve printed") from error

    def _whitelist(self, model: str, profile: ModelProfile) -> tuple[int, ...]:
        kept = profile.record.kept_tokens
        question = {"model": model, "prompt": "".join(kept), "add_special_tokens": False}
        try:
            answer = self._exchange("/tokenize", question, seconds=_QUICK)
            if not answer.is_success:
                # Only vLLM's servers have this route; others are taken to have the published
                # tokens.
                return tuple(profile.record.tokens[token] for token in kept)
            tokens = http_answers.token_ids(answer.body)
        except (ExchangeFailed, InvalidAnswer) as error:
            what = f"the server {self.url} gives no tokens at /tokenize ({shown(str(error))})"
            raise EngineMissing(what, do="name the URL that dsk serve printed") from error
        if len(tokens) != len(kept):
            what = f"the server {self.url} serves '{shown(model)}', which is not {profile.name}"
            raise UsageProblem(what, do="name another --server")
        return tokens

    def _exchange(self, path: str, body: Any = None, *, seconds: float) -> HttpAnswer:
        content = None if body is None else json.dumps(body).encode()
        target = self._base.raw_path.rstrip(b"/").removesuffix(b"/v1") + path.encode()
        url = httpcore.URL(
            scheme=self._base.raw_scheme,
            host=self._base.raw_host,
            port=self._base.port,
            target=target,
        )
        return exchange(
            url,
            method="GET" if content is None else "POST",
            headers=self._headers | ({"Content-Type": "application/json"} if content else {}),
            content=content,
            seconds=seconds,
            max_bytes=_MAX_BYTES,
            ssl_context=self._ssl_context,
        )

    def _judged(self, answer: HttpAnswer) -> ServerAnswer:
        status = answer.status
        if answer.is_success:
            try:
                return http_answers.page_answer(answer.body)
            except InvalidAnswer as error:
                reason = f"the answer of {self.url} is not of the OpenAI API: {error}"
                return RequestRefused(reason=reason, again=True)
        if status in _REDIRECTS:
            reason = f"the server answered HTTP {status}, a redirect, which dsk does not follow"
            return RequestRefused(reason=reason, again=False)
        reason = f"the server answered HTTP {status}: {http_answers.error_message(answer.body)}"
        if status in _BUSY:
            seconds = http_answers.retry_seconds(answer.headers.get("retry-after"))
            return ServerBusy(seconds=seconds, reason=reason)
        if status in _NOT_FOR_US:
            return ServerLost(reason=reason)
        return RequestRefused(
            reason=reason, again=status >= _SERVERS_FAULT, final=status in _PAGE_REFUSED
        )

    def _no_answer(self, error: ExchangeFailed) -> str:
        return f"the server {self.url} did not answer ({shown(str(error))})"


def _profile(card: ModelCard) -> ModelProfile | None:
    """Return the profile of a model that a server lists; None if it is not known by any name."""
    # Where it was loaded from first: any model may be served as "deepseek-ocr".
    return recognized(card.loaded_from) or recognized(card.id)


def _server_url(url: str) -> httpx.URL:
    """Return a server's URL without ``/v1``, in its parts."""
    # People paste either form; the routes bring their own /v1.
    text = url.rstrip("/").removesuffix("/v1")
    try:
        parts = httpx.URL(text)
        is_server = (
            parts.scheme in ("http", "https")
            and parts.host
            and not (parts.query or parts.fragment)
            and (parts.port is None or 0 < parts.port <= _LAST_PORT)
        )
    except (httpx.InvalidURL, ValueError):
        is_server = False
    if not is_server:
        what = f"'{shown(urls.without_user(url)).rpartition('@')[2]}' is not the URL of a server"
        raise UsageProblem(what, do="write it like http://127.0.0.1:8000")
    return parts


def _credentials(url: httpx.URL, key: str | None) -> dict[str, str]:
    """Return the header that proves who asks: the URL's user and password, or the key."""
    if url.userinfo:  # meant for this server alone, and the key for all of them
        user = unquote(url.userinfo.decode("ascii")).encode()
        return {"Authorization": f"Basic {base64.b64encode(user).decode()}"}
    if not key:
        return {}
    return {"Authorization": f"Bearer {credentials.checked(key)}"}


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
