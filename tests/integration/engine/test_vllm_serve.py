"""Plain `vllm serve` 0.8.5 with this project's wheel beside it, and no command of dsk's."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.integration.engine.clients import (
    NAME,
    Web,
    ask,
    client,
    free_port,
    picture,
    stop,
    tiny_model,
)

from dsk.package_index import uv_environment, uv_program
from dsk.runtime import install, interpreters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import openai

    from dsk.matrix import Stack

pytestmark = [pytest.mark.engine, pytest.mark.network]

SIDE = 8
TEXT = "Grüße, 中文 <|ref|>x<|/ref|>"
LOOP = "round and round\n" * 3


@pytest.fixture(scope="module")
def environment(
    usable: Callable[[str], Stack], wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """vLLM 0.8.5 as its lock has it, then what installing dsk beside it adds."""
    stack = usable("cpu-v0")
    folder, uv = tmp_path_factory.mktemp("vllm") / "environment", uv_program()
    install.make_venv(folder, interpreters.find_python(stack.python, uv=uv), uv)
    install.install(folder, stack.lock_file, uv, lambda *_: None)
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", folder, wheel],
        check=True,
        env=uv_environment(),
    )
    return folder


@pytest.fixture(scope="module")
def served(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    port = free_port()
    folder = tmp_path_factory.mktemp("serving")
    log, model = folder / "log", tiny_model(folder / "model")
    settings = {"VLLM_USE_V1": "0", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    given = ["--served-model-name", NAME, "--max-model-len", "4096", "--port", str(port)]
    with log.open("w") as sink:
        process = subprocess.Popen(
            [environment / "bin" / "vllm", "serve", model, *given],
            env=os.environ | settings,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        while not up(port):
            assert process.poll() is None, log.read_text("utf-8")[-4000:]
            time.sleep(0.5)
        yield client(f"http://127.0.0.1:{port}")
    finally:
        stop(process, signal.SIGINT)


def up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).is_success
    except httpx.TransportError:
        return False


def test_the_public_client_gets_the_exact_text(served: openai.OpenAI) -> None:
    image = picture(TEXT, SIDE)
    assert ask(served, image) == TEXT
    assert ask(served, image, stream=True) == TEXT


def test_what_vllm_allows_is_left_as_it_is(served: openai.OpenAI) -> None:
    web = Web(picture("fetched", SIDE))
    assert ask(served, b"", url=web.url) == "fetched"
    assert web.asked == 1
    web.close()
    loop = picture(LOOP, SIDE)
    assert ask(served, loop) == LOOP
    assert ask(served, loop, guard={"ngram_size": 20, "window_size": 50}) != LOOP
