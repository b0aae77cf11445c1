"""`dsk run --server` against hostile and odd servers: each page ends, in time and in memory."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymupdf
import pytest
from PIL import Image
from tests.hostile.raw_server import RawServer, raw_server
from tests.hostile.server_replies import BUSY, PAGES, QUESTIONS, Case, Refused

from dsk import models
from dsk.errors import DskError
from dsk.ocr.engines.base import PageRequest
from dsk.ocr.engines.config import server_config
from dsk.ocr.engines.http import HttpEngine
from dsk.ocr.engines.http_client import Endpoint
from dsk.ocr.schema.engine_config import Server

if TYPE_CHECKING:
    import socket

# Seconds that a page may take here, and those of a whole run, on a busy machine.
READ_SECONDS = 40
RUN_SECONDS = 240
MEGABYTES = 100


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that has ended; ``peak_mb`` is the memory of the largest of its processes."""

    code: int
    stderr: str
    log: str
    records: dict[int, dict[str, Any]]
    peak_mb: float
    seconds: float


def run(document: Path, place: Path, server: RawServer, *options: object) -> Run:
    out = place / "out"
    begin = time.monotonic()
    command = [
        *(sys.executable, "-m", "dsk", "run", "pdf", document, "-o", out, "--to", "md"),
        *("--server", server.url, *options),
    ]
    with (place / "stderr").open("w+") as stderr:
        process = subprocess.Popen(
            [*map(str, command)], stdout=subprocess.DEVNULL, stderr=stderr, text=True
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, peak_kb(process.pid))
            time.sleep(0.05)
        stderr.seek(0)
        said = " ".join(stderr.read().split())
    ledger, log = out / document.stem / "pages.jsonl", out / "engine.log"
    lines = ledger.read_text("utf-8").splitlines() if ledger.exists() else []
    return Run(
        code=process.returncode,
        stderr=said,
        log=log.read_text("utf-8", "replace") if log.exists() else "",
        records={record["page"]: record for record in map(json.loads, lines)},
        peak_mb=peak / 1024,
        seconds=time.monotonic() - begin,
    )


def peak_kb(process: int) -> int:
    """The largest peak of memory of a process and all that it has started."""
    place = Path(f"/proc/{process}")
    try:
        status = (place / "status").read_text()
        children = [
            int(pid) for file in place.glob("task/*/children") for pid in file.read_text().split()
        ]
    except OSError:  # it has ended
        return 0
    own = re.search(r"VmHWM:\s+(\d+)", status)
    return max([int(own[1]) if own else 0, *map(peak_kb, children)])


def draw(file: Path, pages: int) -> Path:
    """Draw a document whose pages tell a server their numbers, from 0, by a colour."""
    with pymupdf.open() as drawn:
        for number in range(pages):
            page = drawn.new_page(width=90, height=90)
            # Down to the foot: a retry step sends the halves of a page by themselves.
            page.draw_rect((0, 0, 45, 90), color=None, fill=(number / 255, 0, 0))
        drawn.save(file)
    return file


def number_of(body: bytes) -> int:
    content = json.loads(body)["messages"][0]["content"][0]["image_url"]["url"]
    image = Image.open(io.BytesIO(base64.b64decode(content.partition(",")[2])))
    red = image.convert("RGB").getpixel((0, 0))
    assert isinstance(red, tuple)
    return int(red[0])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run, each of whose pages gets one of the replies; all at once, as far as they fit."""
    place = tmp_path_factory.mktemp("replies")
    cases = list(PAGES.values())

    def reply(connection: socket.socket, body: bytes) -> None:
        cases[number_of(body)].reply(connection)

    with raw_server(completions=reply) as server:
        document = draw(place / "pages.pdf", len(cases))
        return run(document, place, server, "--read-seconds", READ_SECONDS)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same run against a server that answers as it should."""
    place = tmp_path_factory.mktemp("usual")
    with raw_server() as server:
        return run(draw(place / "pages.pdf", len(PAGES)), place, server)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_ends_whatever_the_server_answers(hostile: Run, name: str) -> None:
    case, record = PAGES[name], hostile.records[list(PAGES).index(name) + 1]
    assert record["status"] == case.status, record["reason"]
    assert any(words in record["reason"] for words in case.said.split("|")), record["reason"]
    assert record["reason"].isprintable()
    assert len(record["reason"]) < 500


def test_the_run_goes_on_within_its_time_and_memory(hostile: Run, usual: Run) -> None:
    assert (usual.code, hostile.code) == (0, 11)
    assert "Traceback" not in hostile.stderr + hostile.log
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e]", hostile.stderr)
    assert hostile.peak_mb < usual.peak_mb + MEGABYTES
    assert hostile.seconds < RUN_SECONDS


@pytest.mark.parametrize("case", BUSY.values(), ids=BUSY.keys())
def test_a_server_that_stays_busy_is_given_up_in_time(case: Case) -> None:
    notices: list[str] = []
    begin = time.monotonic()
    with raw_server(completions=lambda connection, _: case.reply(connection)) as server:
        served = (Server(url=server.url, model="deepseek-ocr", whitelist=(7, 8)),)
        config = server_config(served, models.default(), patch=False, wait_seconds=2)
        engine = HttpEngine(config, read_seconds=60, notify=notices.append)
        engine.add(1, b"png", PageRequest(prompt="", ngram_size=2, ngram_window=5, max_tokens=9))
        while engine.running:
            for _, answer in engine.step():
                assert (answer.finish_reason, answer.tokens) == ("error", 0)
                assert case.said in answer.problem
    assert f"waiting up to 2 s for the server {server.url}" in notices[0]
    assert "is left out from now on" in notices[-1]
    assert 2 < time.monotonic() - begin < 30


@pytest.mark.parametrize("case", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_a_server_that_describes_itself_oddly_is_refused_in_one_line(case: Refused) -> None:
    replies = {
        name: lambda connection, _, reply=reply: reply(connection)
        for name, reply in case.replies.items()
    }
    begin = time.monotonic()
    with raw_server(**replies) as server, pytest.raises(DskError) as refused:
        Endpoint(server.url, None).served(None, models.default())
    assert (refused.value.exit_code, str(refused.value).isprintable()) == (case.code, True)
    assert case.said in str(refused.value)
    assert len(str(refused.value)) < 600
    assert time.monotonic() - begin < 30


def test_a_context_that_holds_no_page_is_refused(tmp_path: Path) -> None:
    from tests.hostile.raw_server import encoded

    card = {"id": "deepseek-ocr", "max_model_len": 10}
    with raw_server(models=lambda c, _: c.sendall(encoded({"data": [card]}))) as server:
        done = run(draw(tmp_path / "page.pdf", 1), tmp_path, server)
    assert done.code == 2
    assert "a context of 10 tokens does not hold a page" in done.stderr


def test_a_redirect_gets_neither_the_key_nor_the_page(tmp_path: Path) -> None:
    with raw_server() as other, raw_server() as server:
        to = f"Location: {other.url}/v1/chat/completions"
        server.replies["/v1/chat/completions"] = lambda c, _: c.sendall(
            f"HTTP/1.1 307 Away\r\n{to}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        options = ("--api-key", "s3cret")
        done = run(draw(tmp_path / "page.pdf", 1), tmp_path, server, *options)
    assert done.code == 11
    assert other.requests == []
    assert all(b"Bearer s3cret" in head for _, head in server.requests)


def test_nothing_compressed_is_asked_for(tmp_path: Path) -> None:
    with raw_server() as server:
        Endpoint(server.url, None).served(None, models.default())
    assert all(b"Accept-Encoding: identity" in head for _, head in server.requests)


def test_answers_at_once_are_parsed_one_after_the_other() -> None:
    """Thirty-two answers of a million lists each would take gigabytes together."""
    from dsk.ocr.engines import http_answers

    body = b"[" + b"[]," * 600_000 + b"[]]"
    results: list[str] = []

    def parse() -> None:
        try:
            http_answers.page_answer(body)
        except http_answers.InvalidAnswer as error:
            results.append(str(error))

    threads = [threading.Thread(target=parse) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
