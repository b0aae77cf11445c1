"""`dsk serve` on the real engines: exact answers to the public client, and none that harm it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import openai
import pytest
from tests.integration.engine import process_tree
from tests.integration.engine.clients import (
    NAME,
    Web,
    ask,
    client,
    free_port,
    made,
    marked,
    pages,
    picture,
    stop,
    tiny_model,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dsk.matrix import Stack

pytestmark = [pytest.mark.engine, pytest.mark.network]

TEXTS = ("Grüße, 中文: $3", "<|ref|>x<|/ref|>\nl1I|")
LOOP = "round and round\n" * 3
DOCUMENT = "First page.\n\n1 + 1 = 2, 2 + 2 = 4, and so on.\n<td>3</td><td>4</td>"


@dataclass(kw_only=True)
class Served:
    """A server that runs: which model's charts it reads, where, and what it says."""

    stack: Stack
    model: Path
    side: int
    url: str
    key: str
    mark: str
    process: subprocess.Popen[str]
    curl: str
    log: Path

    @property
    def client(self) -> openai.OpenAI:
        return client(self.url, self.key or "none")

    def picture(self, text: str) -> bytes:
        return picture(text, self.side)


def start(model: Path, *arguments: object, log: Path, mark: str = "none") -> subprocess.Popen[str]:
    with log.open("w") as sink:
        return subprocess.Popen(
            [sys.executable, "-m", "dsk", "serve", str(model), *map(str, arguments)],
            env=os.environ | {"DSK_TEST_MARK": mark, "VLLM_USE_V1": "1"},  # the stack knows better
            stdout=subprocess.PIPE,
            stderr=sink,
            text=True,
        )


@pytest.fixture(scope="module", params=["cpu-v0", "cpu"])
def served(
    request: pytest.FixtureRequest,
    usable: Callable[[str], Stack],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """V0 with the quickest mode's charts and for everybody, V1 with its one mode and for us."""
    stack = usable(request.param)
    side, host = (8, "0.0.0.0") if stack.engine == "V0" else (16, "127.0.0.1")
    folder, port, mark = tmp_path_factory.mktemp("serve"), free_port(), uuid.uuid4().hex
    model = tiny_model(folder / "model") if side == 8 else made(side)
    given = ["--stack", stack.id, "--host", host, "--port", port]
    process = start(model, *given, log=folder / "log", mark=mark)
    assert process.stdout is not None
    curl = process.stdout.readline()
    process.stdout.close()
    said = (folder / "log").read_text("utf-8")
    assert curl, said[-3000:]
    key = re.search(r"requests need the key in (\S+)", said)
    yield Served(
        stack=stack,
        model=model,
        side=side,
        url=f"http://127.0.0.1:{port}",
        key=Path(key[1]).read_text("ascii").strip() if key else "",
        mark=mark,
        process=process,
        curl=curl,
        log=folder / "log",
    )
    if process.poll() is None:
        stop(process, signal.SIGTERM)


@pytest.fixture(scope="module")
def answers(served: Served) -> dict[str, list[tuple[str, str]]]:
    """32 requests at once: (printed, read) of those that differ in how they ask."""
    charts = [(text, served.picture(text)) for text in TEXTS]
    loop = served.picture(LOOP)
    ways: list[tuple[str, str, Callable[[], str]]] = [
        ("guard", LOOP, lambda: ask(served.client, loop)),
        ("no guard", LOOP, lambda: ask(served.client, loop, guard={"ngram_size": 0})),
        (
            "own guard",
            LOOP,
            lambda: ask(served.client, loop, guard={"ngram_size": 5, "window_size": 20}),
        ),
    ]
    for number in range(len(ways), 32):
        text, image = charts[number % 2]
        stream = number % 4 > 1
        words = "<|grounding|>OCR this image." if number % 3 else "Free OCR."

        def read(image: bytes = image, words: str = words, stream: bool = stream) -> str:
            return ask(served.client, image, words=words, stream=stream)

        ways.append(("streamed" if stream else "whole", text, read))
    found: dict[str, list[tuple[str, str]]] = {}
    with ThreadPoolExecutor(len(ways)) as threads:
        read_all = threads.map(lambda way: way[2](), ways)
        for (kind, text, _), read_ in zip(ways, read_all, strict=True):
            found.setdefault(kind, []).append((text, read_))
    return found


def test_the_engine_is_the_stacks(served: Served) -> None:
    started = re.findall(r"Initializing a (V\d) LLM engine", served.log.read_text("utf-8"))
    assert started == [served.stack.engine]


def test_nothing_but_its_own_port_can_be_reached_from_other_machines(served: Served) -> None:
    port = int(served.url.rpartition(":")[2])
    for_all = {("0.0.0.0", port)} if served.stack.engine == "V0" else set()
    assert process_tree.beyond_loopback(served.process.pid) == for_all
    inside = process_tree.listening(served.process.pid) - for_all
    assert inside - {("127.0.0.1", port)}, "the engine's own sockets were not seen"


def test_32_requests_at_once_are_answered_exactly_streamed_and_not(
    answers: dict[str, list[tuple[str, str]]],
) -> None:
    assert len(answers["whole"]) + len(answers["streamed"]) + 3 == 32
    for printed, read in answers["whole"] + answers["streamed"]:
        assert read == printed


def test_a_loop_is_broken_where_a_request_carries_no_guard(
    served: Served, answers: dict[str, list[tuple[str, str]]]
) -> None:
    ((printed, read),) = answers["guard"]
    same = agreement(printed, read)
    # 20 tokens do not come twice within 50: the third round of 16 characters has the 20th again.
    assert 32 < same < len(printed)


def test_a_request_may_carry_its_own_guard_or_none(
    answers: dict[str, list[tuple[str, str]]],
) -> None:
    ((printed, unguarded),) = answers["no guard"]
    assert unguarded == printed
    ((_, default),) = answers["guard"]
    ((_, own),) = answers["own guard"]
    assert agreement(printed, own) < agreement(printed, default)


def agreement(printed: str, read: str) -> int:
    """How many characters from the start are as printed."""
    pairs = enumerate(zip(printed, read, strict=False))
    return next((place for place, (one, other) in pairs if one != other), len(read))


def test_requests_that_cannot_be_are_refused_and_leave_the_server_up(served: Served) -> None:
    image = served.picture("up")
    web = Web(image)
    for given in [
        {"image": b"no image"},
        {"image": image[: len(image) // 2]},
        {"image": image, "words": "word " * 9000},
        {"image": image, "model": "another"},
        {"image": image, "url": web.url},
        {"image": image, "guard": {"ngram_size": 1}},
    ]:
        with pytest.raises(openai.APIStatusError) as caught:
            ask(served.client, **given)  # type: ignore[arg-type]
        assert 400 <= caught.value.status_code < 500, given
    with pytest.raises(openai.BadRequestError, match="an image must be in the request itself"):
        ask(served.client, image, url="file:///etc/hostname")
    assert web.asked == 0
    web.close()
    assert httpx.get(f"{served.url}/health").status_code == 200
    assert ask(served.client, image) == "up"


def test_others_need_the_key_that_was_made_up(served: Served) -> None:
    answer = httpx.get(f"{served.url}/v1/models")
    assert answer.status_code == (401 if served.key else 200)
    assert bool(served.key) == (served.stack.engine == "V0")
    assert [model.id for model in served.client.models.list()] == [NAME]


def test_the_curl_line_reads_a_page(served: Served, tmp_path: Path) -> None:
    (tmp_path / "page.png").write_bytes(served.picture("curl"))
    done = subprocess.run(
        ["bash", "-c", served.curl], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "curl", done.stdout


def test_dsk_run_reads_through_it_what_it_reads_by_itself(served: Served, tmp_path: Path) -> None:
    document, printed = pages(DOCUMENT, served.side)
    (tmp_path / "charts.pdf").write_bytes(document)
    wished = ["--server", served.url, "--api-key", served.key or "none"]
    remote = outputs(tmp_path / "charts.pdf", tmp_path / "remote", *wished)
    assert remote["texts"] == printed
    if served.stack.engine == "V0":  # V1's own outputs are held to what is printed elsewhere
        local = ["--stack", served.stack.id, "--model", served.model]
        assert remote == outputs(tmp_path / "charts.pdf", tmp_path / "local", *local)


def outputs(document: Path, out: Path, *arguments: object) -> dict[str, object]:
    """What `dsk run pdf` writes, less what tells of the machine and the time."""
    command = [sys.executable, "-m", "dsk", "run", "pdf", document, "-o", out, *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder = out / document.stem
    lines = (folder / "pages.jsonl").read_text("utf-8").splitlines()
    told = ("page", "status", "reason", "finish_reason", "tokens", "prompt_tokens")
    records = sorted(map(json.loads, lines), key=lambda record: int(record["page"]))
    return {
        "md": (folder / f"{document.stem}.md").read_text("utf-8"),
        "mmd": (folder / f"{document.stem}_det.mmd").read_text("utf-8"),
        "texts": [record["text"] for record in records],
        "pages": [{name: record[name] for name in told} for record in records],
    }


def test_ctrl_c_ends_it_and_all_it_started(served: Served) -> None:
    assert len(marked(served.mark)) >= 2
    assert stop(served.process, signal.SIGINT) == 0
    assert marked(served.mark) == []


def test_a_server_that_cannot_start_is_explained(
    usable: Callable[[str], Stack], tmp_path: Path
) -> None:
    usable("cpu-v0")
    model = tmp_path / "model"
    shutil.copytree(made(8), model, ignore=shutil.ignore_patterns("*.safetensors"))
    for weights in made(8).glob("*.safetensors"):
        (model / weights.name).write_text("version https://git-lfs.github.com/spec/v1\n")
    given = ["--stack", "cpu-v0", "--port", free_port()]
    with start(model, *given, log=tmp_path / "log") as process:
        assert process.wait(timeout=600) == 7
    said = (tmp_path / "log").read_text("utf-8")
    assert "The weights file is not whole" in said
    assert "before it answered: the explanation of its log stands above" in said.splitlines()[-1]
