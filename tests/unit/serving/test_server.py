"""`dsk serve`: what vLLM's server is started with, and what it is spared."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, UnidentifiedImageError

from dsk import models
from dsk.errors import EngineMissing, UsageProblem
from dsk.matrix import load_matrix
from dsk.ocr.engines.config import command_line, engine_config
from dsk.processes import Child
from dsk.serving import server
from dsk.serving.server import ServeOptions
from dsk.vllm_plugin.chat_template import CHAT_TEMPLATE, with_template
from dsk.vllm_plugin.gate.settings import GateSettings
from dsk.vllm_plugin.v0 import server as plugin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.schema.engine_config import EngineConfig


def serving(**changes: Any) -> ServeOptions:
    settings: dict[str, Any] = {
        "name": "deepseek-ocr",
        "host": "127.0.0.1",
        "port": 8000,
        "api_key": None,
        "mode": "gundam",
        "ngram": (20, 50),
        "urls": False,
    }
    return ServeOptions(**settings | changes)


def config(stack: str, model: Path = Path("/models/ocr")) -> EngineConfig:
    return engine_config(
        load_matrix().stack(stack), models.default(), model, mode="gundam", patch=True
    )


def value_of(flag: str, arguments: list[str]) -> str:
    return arguments[arguments.index(flag) + 1]


def test_the_stacks_settings_are_the_servers() -> None:
    given = server.arguments(serving(), config("v0"))
    assert value_of("--max-model-len", given) == "8192"
    assert value_of("--gpu-memory-utilization", given) == "0.9"
    assert value_of("--dtype", given) == "bfloat16"


def test_the_v1_engine_takes_no_kernels_that_nvcc_must_compile_first() -> None:
    stack = load_matrix().stack("v1")
    given = server.arguments(serving(), config("v1"))
    assert value_of("--attention-backend", given) == "FLASH_ATTN"
    assert value_of("--moe-backend", given) == "triton"
    assert stack.environment["VLLM_USE_FLASHINFER_SAMPLER"] == "0"


@pytest.mark.parametrize("stack", ["cpu-v0", "cpu", "v0", "v1"])
def test_a_server_is_started_with_what_a_run_is(stack: str) -> None:
    given = " ".join(server.arguments(serving(), config(stack)))
    assert " ".join(command_line(config(stack).settings)) in given


@pytest.mark.parametrize("stack", ["v0", "v1"])
def test_either_engine_is_told_the_mode(stack: str) -> None:
    given = server.arguments(serving(mode="tiny"), config(stack))
    assert json.loads(value_of("--mm-processor-kwargs", given)) == {"mode": "tiny"}


def test_without_a_mode_the_checkpoint_has_its_own() -> None:
    given = server.arguments(serving(mode=None), config("v0"))
    assert "--mm-processor-kwargs" not in given
    server.arguments(serving(mode=None), config("v1"))


def test_v1_has_the_guard_and_fetches_nothing() -> None:
    given = server.arguments(serving(), config("v1"))
    assert value_of("--logits-processors", given) == "dsk.vllm_plugin.v1.guard:NgramGuardProcessor"
    assert value_of("--allowed-media-domains", given) == "nowhere.invalid"
    # The gate fetches where URLs are allowed, not vLLM.
    assert server.arguments(serving(urls=True), config("v1")) == given


@pytest.mark.parametrize("stack", ["cpu-v0", "cpu", "v0", "v1"])
def test_the_gate_stands_before_each_server(stack: str) -> None:
    given = server.arguments(serving(images=3), config(stack))
    assert value_of("--middleware", given) == "dsk.vllm_plugin.gate.middleware.Gate"
    assert json.loads(value_of("--allowed-origins", given)) == []
    assert json.loads(value_of("--limit-mm-per-prompt", given)) == {"image": 3}
    assert "--disable-fastapi-docs" in given
    settings = GateSettings.model_validate_json(
        variables(stack, host="10.0.0.5", images=3, urls=True, ngram=None)["DSK_GATE"]
    )
    assert settings == GateSettings(host="10.0.0.5", images=3, urls=True)


@pytest.mark.parametrize("stack", ["cpu-v0", "cpu", "v0", "v1"])
def test_nothing_of_a_page_is_kept_for_the_next(stack: str) -> None:
    given = server.arguments(serving(), config(stack))
    assert "--enable-prefix-caching" not in given
    if stack.endswith("v0"):
        # 0.8.5's V0 engine caches prefixes if it is told to, and images unless it is told not to.
        assert "--disable-mm-preprocessor-cache" in given
    else:
        assert "--no-enable-prefix-caching" in given
        assert value_of("--mm-processor-cache-gb", given) == "0"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    words = {"5": "<ref>", "7": "<td>", "8": "</td>"}
    added = {token: {"content": word} for token, word in words.items()}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}))
    return tmp_path


def variables(
    stack: str = "v0", model: Path = Path("/models/ocr"), **changes: Any
) -> dict[str, str]:
    return server.environment(serving(**changes), config(stack, model))


def test_requests_that_carry_no_guard_get_the_default_with_the_models_own_table_cells(
    model: Path,
) -> None:
    guard = json.loads(variables(model=model)["DSK_NGRAM_DEFAULT"])
    assert guard == {"ngram_size": 20, "window_size": 50, "whitelist_token_ids": [7, 8]}
    assert "DSK_NGRAM_DEFAULT" not in variables(ngram=None)


def test_a_cpu_server_computes_on_every_core_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert int(variables("cpu", ngram=None)["OMP_NUM_THREADS"]) >= 1
    assert "OMP_NUM_THREADS" not in variables("v1", ngram=None)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert "OMP_NUM_THREADS" not in variables("cpu", ngram=None)


def test_the_key_is_in_the_environment_and_not_in_the_process_list() -> None:
    secret = serving(api_key="s3cret", ngram=None)
    assert variables(api_key="s3cret", ngram=None)["VLLM_API_KEY"] == "s3cret"
    assert "s3cret" not in " ".join(server.arguments(secret, config("v0")))
    assert "s3cret" not in repr(secret)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.53"])
def test_an_address_of_this_machine_alone_needs_no_key(host: str) -> None:
    assert server.key_for(host, None) is None
    assert server.key_for(host, "mine") == "mine"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "ocr.example"])
def test_an_address_that_others_reach_gets_a_key(host: str) -> None:
    made = server.key_for(host, None)
    assert made is not None
    assert len(made) >= 32
    assert made != server.key_for(host, None)
    assert server.key_for(host, "mine") == "mine"


def test_a_taken_port_is_said_before_the_model_loads() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageProblem, match=f"127.0.0.1:{port} cannot be listened on"):
            server.refuse_taken("127.0.0.1", port)


class Answers(http.server.BaseHTTPRequestHandler):
    posted: list[tuple[Any, Any]]

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.posted.append((self.headers.get("Authorization"), json.loads(body)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answering() -> Iterator[int]:
    Answers.posted = []
    web = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    yield web.server_port
    web.shutdown()
    web.server_close()


def test_a_server_is_ready_when_its_health_answers(answering: int) -> None:
    with Child([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        options = serving(port=answering)
        assert server.wait_until_healthy(options, child, limit=60, report=lambda _: None)


def test_a_server_that_does_not_answer_in_time_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dsk.ocr.engines.loading.REPORT_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        options = serving(port=silent.getsockname()[1])
        reported: list[int] = []
        with Child([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
            assert not server.wait_until_healthy(options, child, limit=2, report=reported.append)
            assert child.process.poll() is None
    assert len(reported) >= 2


def test_a_server_that_has_ended_is_not_waited_for() -> None:
    with Child([sys.executable, "-c", "raise SystemExit(3)"]) as child:
        child.process.wait()
        assert not server.wait_until_healthy(serving(), child, limit=60, report=lambda _: None)


def test_a_v1_engine_on_a_v0_stack_is_an_error() -> None:
    said = b"INFO [core.py:58] Initializing a V1 LLM engine (v0.8.5) with config: ..."
    with pytest.raises(EngineMissing, match="'v0' is for vLLM's V0 engine, but V1 started"):
        server.refuse_other_engine(said, load_matrix().stack("v0"))
    server.refuse_other_engine(said, load_matrix().stack("v1"))
    server.refuse_other_engine(said.replace(b"V1", b"V0"), load_matrix().stack("v0"))


@pytest.mark.parametrize("in_file", [False, True])
def test_the_curl_line_works_in_a_shell_and_does_not_hold_the_key(
    answering: int, tmp_path: Path, in_file: bool
) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "page.png")
    file = tmp_path / "the key's file"
    file.write_text("a key\n")
    line = server.curl_line(
        serving(port=answering, api_key="a key", name="o'clock"),
        models.default(),
        file if in_file else None,
    )
    assert "a key" not in line
    variables = os.environ | ({} if in_file else {"DSK_API_KEY": "a key"})
    subprocess.run(["bash", "-c", line], cwd=tmp_path, env=variables, check=True)
    ((key, body),) = Answers.posted
    assert key == "Bearer a key"
    assert body["model"] == "o'clock"
    words, image = body["messages"][0]["content"]
    assert words["text"].startswith("<|grounding|>")
    assert image["image_url"]["url"].startswith("data:image/png;base64,iVBOR")


class Tokenizer:
    def __init__(self, *words: str) -> None:
        self.words = words

    def get_vocab(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}


def test_only_the_familys_tokenizers_get_its_chat_template() -> None:
    resolve = with_template(lambda _tokenizer, given: given, plugin.has_marker)
    assert resolve(Tokenizer("<|grounding|>"), None) == CHAT_TEMPLATE
    assert resolve(Tokenizer("<|grounding|>"), "theirs") == "theirs"
    assert resolve(Tokenizer("other"), None) is None


@pytest.mark.parametrize(
    "error", [UnidentifiedImageError("x"), OSError("truncated"), Image.DecompressionBombError("x")]
)
def test_what_pillow_cannot_read_is_a_value_error(error: Exception) -> None:
    def load(_self: object, _data: bytes) -> None:
        raise error

    with pytest.raises(ValueError, match=r"\Athe image cannot be read\Z"):
        plugin.refusing_bad_images(load)(None, b"")


class Preprocessor:
    """Stands in for vLLM's ``InputPreprocessor``: it passes inputs on."""

    def __init__(self, architecture: str) -> None:
        self.model_config = SimpleNamespace(hf_config=SimpleNamespace(architectures=[architecture]))

    def get_tokenizer_group(self) -> Any:
        ids = {models.default().record.image_token: 7}
        return SimpleNamespace(tokenizer=SimpleNamespace(convert_tokens_to_ids=ids.__getitem__))

    def build(self, inputs: dict[str, Any], _adapter: object) -> dict[str, Any]:
        return inputs


def test_a_place_without_an_image_is_refused_before_it_ends_the_engine() -> None:
    build = plugin.refusing_places_without_images(Preprocessor.build)
    ours = Preprocessor(models.default().record.architecture)
    with pytest.raises(ValueError, match="the prompt has 2 places for 0 images"):
        build(ours, {"type": "token", "prompt_token_ids": [1, 7, 2, 7]}, None)
    for kept in (
        {"type": "token", "prompt_token_ids": [1, 2]},
        {"type": "multimodal", "prompt_token_ids": [7, 7, 7]},
    ):
        assert build(ours, kept, None) is kept
    # Of another model's tokens nothing is known.
    text = {"type": "token", "prompt_token_ids": [7]}
    assert build(Preprocessor("LlamaForCausalLM"), text, None) is text


def test_images_are_decoded_beside_the_event_loop() -> None:
    threads = []

    def load(_self: object, url: str, media: str) -> str:
        threads.append(threading.current_thread())
        return f"{media} of {url}"

    async def fetched(_self: object, url: str, media: str) -> str:
        return f"{media} from {url}"

    load_async = plugin.beside_the_loop(fetched, load)
    assert asyncio.run(load_async(None, "data:x", "image")) == "image of data:x"
    assert threads != [threading.main_thread()]
    assert asyncio.run(load_async(None, "http://x", "image")) == "image from http://x"
    assert len(threads) == 1
