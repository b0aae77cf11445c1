"""Attacks on the real servers of both engines: each is refused, and none harms them.

The random requests are made by a generator of our own, not by Hypothesis: a thousand must run at
once against one server, bytes that are no HTTP among them, and a failure of the server shows later
than at the request that caused it, so there is nothing to shrink. The seed is printed; set
``DSK_TEST_SEED`` to repeat a run or to try another.
"""

from __future__ import annotations

import collections
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx
import pytest
from tests.integration.engine import attacks, mutations, process_tree
from tests.integration.engine.clients import (
    ask,
    client,
    free_port,
    made,
    pages,
    picture,
    tiny_model,
)
from tests.integration.engine.exchange import (
    CHAT,
    Reply,
    bearer,
    chat,
    exchange,
    post,
    request,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dsk.matrix import Stack

pytestmark = [pytest.mark.engine, pytest.mark.network]

COUNT: Final = 1000
SEED: Final = int(os.environ.get("DSK_TEST_SEED", "20261130"))
AT_ONCE: Final = 16
MOST_GROWTH: Final = 500 << 20  # bytes
# Seconds of one exchange, on a machine that does other things as well.
PATIENCE: Final = 120
# Of a random one: some are valid and ask for thousands of tokens, and end as their client goes.
SHORT_PATIENCE: Final = 20

_LEAKS: Final = re.compile(
    r"0x[0-9a-f]{6,}|Traceback|site-packages|File \"|/root/|/home/|/usr/|/tmp/|dsk\.|vllm\."
)


@dataclass(kw_only=True)
class Target:
    """A server to attack, with what must not get out of it."""

    stack: Stack
    side: int
    url: str
    key: str
    token: str
    process: subprocess.Popen[str]
    curl: str
    log: Path

    def send(self, method: str, path: str, body: bytes = b"", *, key: bool = True) -> Reply:
        """Send a request as it is."""
        headers = bearer(self.key if key else None)
        return exchange(self.url, [request(method, path, body, headers)], seconds=PATIENCE)

    def post(self, path: str, value: object, *, key: bool = True) -> Reply:
        """Post JSON."""
        return post(self.url, path, value, key=self.key if key else None, seconds=PATIENCE)

    def reads(self, words: str) -> str:
        """Return what it reads on a page."""
        return ask(client(self.url, self.key), picture(words, self.side))

    def is_healthy(self) -> bool:
        """Return True if the server answers in a moment."""
        return httpx.get(f"{self.url}/health", timeout=30).status_code == 200


@pytest.fixture(scope="module", params=["cpu-v0", "cpu"])
def target(
    request: pytest.FixtureRequest,
    usable: Callable[[str], Stack],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Target]:
    """A server that was given its key in the worst way, by the command line."""
    stack = usable(request.param)
    folder, port = tmp_path_factory.mktemp("attacks"), free_port()
    side = 8 if stack.engine == "V0" else 16
    model = tiny_model(folder / "model") if side == 8 else made(side)
    key, token = f"planted-key-{uuid.uuid4().hex}", f"hf_planted{uuid.uuid4().hex}"
    given = ["--stack", stack.id, "--port", port, "--api-key", key]
    with (folder / "log").open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "dsk", "serve", str(model), *map(str, given)],
            env=os.environ | {"HF_TOKEN": token, "VLLM_LOGGING_LEVEL": "INFO"},
            stdout=subprocess.PIPE,
            stderr=sink,
            text=True,
        )
    assert process.stdout is not None
    curl = process.stdout.readline()
    process.stdout.close()
    assert curl, (folder / "log").read_text("utf-8", "replace")[-3000:]
    yield Target(
        stack=stack,
        side=side,
        url=f"http://127.0.0.1:{port}",
        key=key,
        token=token,
        process=process,
        curl=curl,
        log=folder / "log",
    )
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)


@pytest.fixture(scope="module")
def start_memory(target: Target) -> int:
    """Bytes of memory of the server after its first page: what it loads late is loaded."""
    assert target.reads("first") == "first"
    return process_tree.memory(target.process.pid)


class Sink:
    """A listening socket that must not be connected to."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@pytest.fixture
def sink() -> Iterator[Sink]:
    made_ = Sink()
    yield made_
    made_.close()


def assert_clean(reply: Reply, name: object, statuses: range = range(400, 500)) -> None:
    """Check that a request was refused, with nothing of the server's insides in the answer."""
    assert reply.status in statuses, (name, reply.status, reply.text[:500])
    assert not _LEAKS.search(reply.text), (name, reply.text[:500])
    assert "access-control-" not in reply.head, name
    assert len(reply.body) < 2000, name


def test_every_route_but_health_wants_the_key(target: Target, start_memory: int) -> None:
    body = b'{"model": "deepseek-ocr", "prompt": "a", "messages": [], "max_tokens": 1}'
    for path in (*attacks.ROUTES, *attacks.SPELLINGS):
        for method in ("GET", "POST", "HEAD", "OPTIONS", "PUT"):
            sent = body if method in ("POST", "PUT") else b""
            reply = target.send(method, path.replace(" ", "%20"), sent, key=False)
            assert_clean(reply, (method, path))
            if path in attacks.ROUTES and method in ("GET", "POST"):
                assert reply.status == 401, (method, path, reply.status)
    assert target.send("GET", "/health", key=False).status == 200
    assert start_memory


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "Bearer",
            "Bearer ",
            "Bearer x",
            "Basic {key}",
            "{key}",
            "Bearer {key}x",
            "Bearer {cut}",
        ),
        *(
            "Bearer  {key}",
            "Bearer {key} ,",
            "Bearer {key}\0",
            "Bearer {key},Bearer x",
            "Bearer null",
        ),
    ],
)
def test_only_the_whole_key_is_the_key(target: Target, value: str) -> None:
    given = value.format(key=target.key, cut=target.key[:-1])
    raw = request("GET", "/v1/models", headers=[("Authorization", given)])
    assert_clean(exchange(target.url, [raw]), value)
    twice = [("Authorization", f"Bearer {target.key}"), ("Authorization", "Bearer x")]
    assert_clean(exchange(target.url, [request("GET", "/v1/models", headers=twice)]), twice)


def test_with_the_key_too_there_is_nothing_but_what_is_served(target: Target) -> None:
    served = {"/v1/models": "GET", "/metrics": "GET", CHAT: "POST", "/tokenize": "POST"}
    for path in attacks.ROUTES:
        for method in ("GET", "POST", "DELETE"):
            if served.get(path) == method:
                continue
            assert_clean(target.send(method, path, b"{}" * (method == "POST")), (method, path))
    for path in attacks.SPELLINGS:
        reply = target.send("GET", path.replace(" ", "%20"))
        if reply.status == 200:  # one path with a query, a fragment or a host before it
            assert path.partition("127.0.0.1")[2].partition("?")[0].partition("#")[0] in (
                "",
                "/v1/models",
            ), path
        else:
            assert_clean(reply, path)


@pytest.mark.parametrize("attack", attacks.bodies(), ids=lambda attack: attack.name)
def test_a_request_that_could_harm_is_refused(target: Target, attack: attacks.Attack) -> None:
    assert_clean(target.post(attack.path, attack.body), attack.name)
    assert target.process.poll() is None


def test_nothing_is_fetched_whatever_an_address_looks_like(target: Target, sink: Sink) -> None:
    host = f"127.0.0.1:{sink.port}"
    values = {"sink": f"http://{host}/x", "host": host, "port": sink.port, "svg": "PHN2Zy8+"}
    for address in attacks.ADDRESSES:
        url = address.format(**values)
        part = {"type": "image_url", "image_url": {"url": url}}
        assert_clean(target.post(CHAT, chat(part, text())), repr(address))
        assert_clean(target.post(CHAT, chat(part | {"image_url": url}, text())), repr(address))
    assert sink.connections == 0


def test_pictures_of_a_few_kilobytes_take_no_memory(target: Target, start_memory: int) -> None:
    highest = start_memory
    attack = next(attack for attack in attacks.bodies() if attack.name.startswith("twelve"))
    with ThreadPoolExecutor(8) as threads:
        replies = [threads.submit(target.post, attack.path, attack.body) for _ in range(16)]
        while not all(reply.done() for reply in replies):
            highest = max(highest, process_tree.memory(target.process.pid))
            time.sleep(0.2)
    for reply in replies:
        assert_clean(reply.result(), attack.name)
    assert highest - start_memory < MOST_GROWTH


def test_places_of_images_without_images_do_not_end_the_engine(target: Target) -> None:
    # vLLM 0.8.5 computes prompts that begin together as one: with a page beside them it ended.
    contents = [("<image>",), ("<image>" * 500,), ("<ima", "ge>"), ("Free OCR.", "<image> <image>")]
    bodies = [
        chat() | {"messages": [{"role": "user", "content": word} for word in words]}
        for words in contents
    ]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        pages_read = [threads.submit(target.reads, "beside") for _ in range(4)]
        replies = [threads.submit(target.post, CHAT, body) for body in bodies * 3]
        for reply in replies:
            # V1 knows where images are, and takes the token for a word.
            if target.stack.engine == "V0" or reply.result().status != 200:
                assert_clean(reply.result(), "a place without an image")
        assert {read.result() for read in pages_read} == {"beside"}
    assert target.is_healthy()


def test_a_web_page_gets_no_answer_that_it_may_read(target: Target) -> None:
    origin = [("Origin", "http://evil.example"), ("Access-Control-Request-Method", "POST")]
    for method in ("GET", "POST", "OPTIONS"):
        for path in (CHAT, "/health", "/v1/models"):
            raw = request(method, path, headers=[*bearer(target.key).items(), *origin])
            reply = exchange(target.url, [raw])
            assert "access-control-" not in reply.head, (method, path)


def test_connections_that_say_nothing_do_not_keep_others_out(target: Target) -> None:
    parts = urlsplit(target.url)
    assert parts.hostname
    assert parts.port
    idle = [socket.create_connection((parts.hostname, parts.port)) for _ in range(200)]
    for number, connection in enumerate(idle):
        if number % 2:
            connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-")
    assert target.is_healthy()
    assert target.reads("others") == "others"
    for connection in idle:
        connection.close()


def test_keys_are_in_no_process_list_log_or_output(target: Target, tmp_path: Path) -> None:
    document, printed = pages("no key", target.side)
    (tmp_path / "charts.pdf").write_bytes(document)
    key_file = tmp_path / "key"
    key_file.write_text(target.key)
    out = tmp_path / "out"
    command = ["run", "pdf", tmp_path / "charts.pdf", "-o", out, "--to", "md,html,json"]
    command += ["--server", target.url, "--api-key-file", key_file]
    environment = os.environ | {"HF_TOKEN": target.token}
    lines: set[str] = set()
    with subprocess.Popen(
        [sys.executable, "-m", "dsk", *map(str, command)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        while run.poll() is None:
            lines.update(process_tree.command_lines(run.pid))
            time.sleep(0.1)
        assert run.stdout is not None
        said = run.stdout.read()
    assert run.returncode == 0, said
    assert any("dsk.ocr.engines.worker" in line for line in lines)
    lines.update(process_tree.command_lines(target.process.pid))
    written = [file.read_bytes() for file in out.rglob("*") if file.is_file()]
    assert any(printed[0].encode() in content for content in written)
    log = target.log.read_bytes()
    for secret in (target.key, target.token):
        assert not [line for line in lines if secret in line]
        assert secret not in said
        assert secret not in target.curl
        assert secret.encode() not in log
        assert not [content for content in written if secret.encode() in content]


def test_the_server_has_its_own_key_and_no_other(target: Target) -> None:
    environments = process_tree.environments(target.process.pid)
    del environments[target.process.pid]  # the command that the user started
    assert environments
    for variables in environments.values():
        assert target.token not in variables.values()
        holders = {name for name, value in variables.items() if value == target.key}
        assert holders <= {"VLLM_API_KEY", "DSK_API_KEY"}


def test_a_thousand_random_requests_leave_the_server_as_it_was(
    target: Target, start_memory: int
) -> None:
    print(f"seed {SEED}")  # shown if the test fails
    statuses: collections.Counter[tuple[str, int]] = collections.Counter()

    def send(attempt: mutations.Attempt) -> None:
        try:
            reply = exchange(target.url, attempt.pieces, seconds=SHORT_PATIENCE, cut=attempt.cut)
        except TimeoutError:
            # It reads on and on, or waits for the rest of a body that was announced: it may.
            statuses[attempt.kind, -1] += 1
            return
        statuses[attempt.kind, reply.status] += 1
        assert not _LEAKS.search(reply.text), (attempt, reply.text[:500])

    begun = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for _ in threads.map(send, mutations.attempts(SEED, COUNT, target.key)):
            pass
    print(f"{COUNT} requests in {time.monotonic() - begun:.0f} s: {sorted(statuses.items())}")
    assert target.is_healthy()
    assert target.reads("last") == "last"
    assert target.process.poll() is None
    assert process_tree.memory(target.process.pid) - start_memory < MOST_GROWTH
    # No answer of 500 or more: nothing got to where it could not be handled.
    assert not {kind: count for kind, count in statuses.items() if kind[1] >= 500}
    assert {status for _, status in statuses} >= {200, 400, 401, 404, 405}
