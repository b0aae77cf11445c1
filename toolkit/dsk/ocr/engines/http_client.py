"""Client of one OpenAI-compatible server: ask what it serves, send it a page."""

from __future__ import annotations

import base64
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

import httpx

from dsk import urls
from dsk.credentials import KEY_VARIABLE
from dsk.errors import EngineMissing, UsageProblem
from dsk.ocr.engines.base import PageAnswer

if TYPE_CHECKING:
    from dsk.models.base import ModelProfile

_QUICK: Final = httpx.Timeout(10)
# Longest of all: a page waits its turn on a slow server. A host that is gone is noticed by TCP.
_PATIENT: Final = httpx.Timeout(10, read=3600, write=300, pool=None)
_LIVELY: Final = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000),  # milliseconds
]
# vLLM's server closes a connection that was idle for 5 s: ours must not be in use just then.
_IDLE: Final = 2.0

_BUSY: Final = (429, 503)
_NOT_FOR_US: Final = (401, 403, 404)
_SERVERS_FAULT: Final = 500


@dataclass(frozen=True, kw_only=True)
class Served:
    """The model that a server serves.

    Args:
        model: the name that requests call it by.
        context: the most tokens of a prompt and its answer.
        whitelist: ids of the tokens that the n-gram guard lets repeat.
    """

    model: str
    context: int
    whitelist: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ServerBusy:
    """The server asks to be left alone, for ``seconds`` if it says how long."""

    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class RequestRefused:
    """The server gave no answer for a page; ``again`` is True if another try may get one."""

    reason: str
    again: bool


@dataclass(frozen=True, kw_only=True)
class ServerLost:
    """The server is gone, or serves something else."""

    reason: str


ServerAnswer = PageAnswer | ServerBusy | RequestRefused | ServerLost


class Endpoint:
    """A server at a URL, for several threads at once. Proxies are not used.

    A context manager: leaving it closes the connections.

    Args:
        url: with or without ``/v1``.
        key: the API key, where it wants one.

    Raises:
        UsageProblem: that is no URL of a server.
    """

    def __init__(self, url: str, key: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            what = f"'{urls.without_user(url).rpartition('@')[2]}' is not the URL of a server"
            raise UsageProblem(what, do="write it like http://127.0.0.1:8000")
        # People paste either form; the routes below bring their own /v1.
        base = url.rstrip("/").removesuffix("/v1")
        self.url = urls.without_user(base)
        limits = httpx.Limits(max_connections=None, keepalive_expiry=_IDLE)
        self._client = httpx.Client(
            base_url=base,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            transport=httpx.HTTPTransport(limits=limits, socket_options=_LIVELY),
            timeout=_PATIENT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def served(self, requested: str | None, profile: ModelProfile) -> Served:
        """Ask the server what it serves.

        Args:
            requested: the model's name; None for the only one there is.
            profile: of the model that it is to serve; tells what a server does not.

        Raises:
            EngineMissing: the server does not answer, or is of another kind.
            UsageProblem: it wants another key, or serves another model.
        """
        cards = self._models()
        names = ", ".join(cards)
        if requested is None and len(cards) != 1:
            what = f"the server {self.url} serves {names or 'no model'}"
            raise UsageProblem(what, do="name one with --model")
        name = requested or names
        if name not in cards:
            what = f"the server {self.url} does not serve '{name}' but {names or 'no model'}"
            raise UsageProblem(what, do="name its model with --model, or another --server")
        context = cards[name].get("max_model_len") or profile.record.language.max_positions
        return Served(model=name, context=context, whitelist=self._whitelist(name, profile))

    def read(self, png: bytes, request: dict[str, Any], words: str) -> ServerAnswer:
        """Send one page.

        Args:
            png: the page as a file.
            request: the model's name and the sampling parameters.
            words: the prompt, with its ``<image>``.
        """
        content = [
            {"type": "image_url", "image_url": {"url": _data_url(png)}},
            {"type": "text", "text": words},
        ]
        body = request | {"messages": [{"role": "user", "content": content}]}
        try:
            return _server_answer(self._client.post("/v1/chat/completions", json=body))
        except httpx.TransportError as error:
            reason = f"the server {self.url} did not answer ({_reason(error)})"
            return (
                RequestRefused(reason=reason, again=True)
                if self._is_alive()
                else ServerLost(reason=reason)
            )

    def _models(self) -> dict[str, dict[str, Any]]:
        try:
            answer = self._client.get("/v1/models", timeout=_QUICK)
        except httpx.TransportError as error:
            what = f"the server {self.url} does not answer ({_reason(error)})"
            raise EngineMissing(what, do="start one with dsk serve, or name another") from error
        if answer.status_code in (401, 403):
            what = f"the server {self.url} refuses the API key, or wants one"
            raise UsageProblem(what, do=f"give it with --api-key-file, or in {KEY_VARIABLE}")
        try:
            return {card["id"]: card for card in answer.raise_for_status().json()["data"]}
        except (httpx.HTTPStatusError, ValueError, KeyError, TypeError) as error:
            what = f"{self.url} is no OpenAI-compatible server (HTTP {answer.status_code})"
            raise EngineMissing(what, do="name the URL that dsk serve printed") from error

    def _whitelist(self, model: str, profile: ModelProfile) -> tuple[int, ...]:
        kept = profile.record.kept_tokens
        question = {"model": model, "prompt": "".join(kept), "add_special_tokens": False}
        answer = self._client.post("/tokenize", json=question, timeout=_QUICK)
        if not answer.is_success:
            # Only vLLM's servers have this route; others are taken to have the published tokens.
            return tuple(profile.record.tokens[token] for token in kept)
        tokens = tuple(answer.json()["tokens"])
        if len(tokens) != len(kept):
            what = f"the server {self.url} serves '{model}', which is not {profile.name}"
            raise UsageProblem(what, do="name another --server")
        return tokens

    def _is_alive(self) -> bool:
        try:
            return self._client.get("/v1/models", timeout=_QUICK).is_success
        except httpx.TransportError:
            return False


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _server_answer(response: httpx.Response) -> ServerAnswer:
    status = response.status_code
    if response.is_success:
        try:
            return _answer(response.json())
        except (ValueError, LookupError, TypeError):
            return RequestRefused(
                reason="the server's answer is not of the OpenAI API", again=False
            )
    # A date in Retry-After, which HTTP allows too, is not honoured: the pause grows by itself.
    if status in _BUSY:
        after = response.headers.get("Retry-After", "")
        return ServerBusy(seconds=float(after) if after.isdecimal() else None)
    reason = f"the server answered HTTP {status}: {_message(response)}"
    if status in _NOT_FOR_US:
        return ServerLost(reason=reason)
    return RequestRefused(reason=reason, again=status >= _SERVERS_FAULT)


def _answer(body: dict[str, Any]) -> PageAnswer:
    choice, usage = body["choices"][0], body["usage"]
    return PageAnswer(
        # JSON can hold half a character, which no file can.
        text=(choice["message"]["content"] or "").encode("utf-8", "replace").decode(),
        finish_reason=str(choice["finish_reason"]),
        tokens=usage["completion_tokens"],
        prompt_tokens=usage["prompt_tokens"],
    )


def _message(response: httpx.Response) -> str:
    """Return the server's error message, which vLLM's releases put in two places."""
    try:
        body = response.json()
        text = str(body.get("error", body).get("message", body))
    except (ValueError, AttributeError):
        text = response.text
    return " ".join(text.split())[:300] or "no message"


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
