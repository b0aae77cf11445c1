"""A hub on loopback with one model, which speaks the real one's interface."""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import socket
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dsk.file_pins import FilePin
from dsk.matrix import load_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

MODEL = load_matrix().models["deepseek-ocr"]
HUB, REVISION = MODEL.hub, MODEL.revision
OTHER = "b" * 40
WEIGHTS = "model-00001-of-000001.safetensors"
CODE = "modeling/code.py"
LARGE = bytes(range(256)) * 4096


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Hub:
    """A hub with one model; what it serves can be other bytes than listed, or break off."""

    def __init__(self) -> None:
        self.files = {
            "config.json": b"{}",
            "modeling/code.py": b"print()\n",
            "model.safetensors.index.json": json.dumps({"weight_map": {"a": WEIGHTS}}).encode(),
            WEIGHTS: LARGE,
        }
        self.revisions = {REVISION: REVISION, "main": OTHER}
        self.served: dict[str, bytes] = {}
        self.breaks: dict[str, list[int]] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.listed: Callable[[dict[str, Any]], Any] = lambda listing: listing
        """Changes the listing."""
        self.replies: dict[str, Callable[[Handler], None]] = {}
        """Handlers that answer in place of the hub, by a part of the path."""

    def digest(self, path: str) -> str:
        content = self.files[path]
        return hashlib.sha256(content).hexdigest() if path == WEIGHTS else git_sha1(content)

    def listing(self, commit: str) -> dict[str, Any]:
        siblings: list[dict[str, object]] = []
        for path, content in self.files.items():
            size, digest = len(content), self.digest(path)
            one: dict[str, object] = {"rfilename": path, "size": size, "blobId": digest}
            if path == WEIGHTS:
                one["lfs"] = {"sha256": digest, "size": size, "pointerSize": 134}
            siblings.append(one)
        return {"id": HUB, "modelId": HUB, "sha": commit, "siblings": siblings}

    def ranges(self, path: str) -> list[str]:
        """The ranges that GETs of a file asked for."""
        return [piece for method, asked, piece in self.asked if (method, asked) == ("GET", path)]


class Handler(http.server.BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        self.hub.headers.append(dict(self.headers))
        for part, reply in self.hub.replies.items():
            if part in self.path:
                reply(self)
                return
        if found := re.match(rf"/api/models/{HUB}/revision/([^?]+)", self.path):
            commit = self.hub.revisions.get(found[1])
            if commit is None:
                self.refuse("RevisionNotFound")
                return
            self.answer(
                json.dumps(self.hub.listed(self.hub.listing(commit))).encode(), "application/json"
            )
        elif found := re.match(rf"/{HUB}/resolve/([0-9a-f]+)/(.+)", self.path):
            self.file(found[1], found[2])
        else:
            self.refuse("RepoNotFound")

    do_HEAD = do_GET  # noqa: N815 the names are http.server's

    def refuse(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def file(self, commit: str, path: str) -> None:
        content = self.hub.served.get(path, self.hub.files[path])
        wanted = self.headers.get("Range", "")
        self.hub.asked.append((self.command, path, wanted))
        begin = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
        self.send_response(206 if wanted else 200)
        if wanted:
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {begin}-{last}/{len(content)}")
        self.send_header("ETag", f'"{self.hub.digest(path)}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        if self.command == "HEAD":
            return
        breaks = self.hub.breaks.get(path)
        if not breaks:
            self.wfile.write(content[begin:])
            return
        self.wfile.write(content[begin : begin + breaks.pop(0)])
        self.wfile.flush()
        # A reset, not an orderly end: the line was cut.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def finish(self) -> None:
        if self.connection.fileno() >= 0:
            super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, place: Path) -> Iterator[Hub]:
    """Start a hub, and name it to dsk, whose matrix knows its code and its weights."""
    hub = Hub()
    pins = {path: FilePin() for path in hub.files}
    for path in (CODE, WEIGHTS):
        content = hub.files[path]
        pins[path] = FilePin(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(MODEL.__dict__, "files", pins)
    handler = type("OfThisTest", (Handler,), {"hub": hub})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_CACHE", str(place / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(place / "hub"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("dsk.hub.fetch._PAUSE", 0.0)
    yield hub
    server.shutdown()
    thread.join()
    server.socket.close()
