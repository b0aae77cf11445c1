"""A small OpenAI-compatible server on this machine that does as a test tells it."""

from __future__ import annotations

import base64
import contextlib
import http.server
import io
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Fake:
    """What the server is told, and what it saw.

    ``script`` is done first, one entry a page: "500", "503 2" (its Retry-After), "die" and "drop"
    (the connection). Then every page is answered with what ``says`` makes of it: its top left
    pixel.
    """

    script: list[str] = field(default_factory=list)
    then: str = ""
    key: str | None = None
    models: list[str] = field(default_factory=lambda: ["deepseek-ocr"])
    roots: dict[str, str] = field(default_factory=dict)
    """The folder or hub id that each model was loaded from, as vLLM's servers say it."""
    tokens: list[int] | None = field(default_factory=lambda: [7, 8])
    seconds: float = 0.0
    says: Callable[[Image.Image], str] = lambda image: str(image.getpixel((0, 0)))
    port: int = 0
    """The port; 0 is any free one."""
    keeps: bool = True
    """Whether what it saw is kept for the test to look at."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    images: list[Image.Image] = field(default_factory=list)
    busy: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    web: http.server.ThreadingHTTPServer = None  # type: ignore[assignment]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.web.server_port}"

    def die(self) -> None:
        self.web.server_close()  # nobody connects any more
        threading.Thread(target=self.web.shutdown, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: Fake

    def do_GET(self) -> None:
        if self.fake.key and self.headers.get("Authorization") != f"Bearer {self.fake.key}":
            return self.answer(401, {"error": "Unauthorized"})
        cards = [
            {"id": model, "root": self.fake.roots.get(model), "max_model_len": 4096}
            for model in self.fake.models
        ]
        return self.answer(200, {"data": cards})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            known = self.fake.tokens is not None
            return self.answer(200 if known else 404, {"tokens": self.fake.tokens})
        with self.fake.lock:
            self.fake.busy += 1
            self.fake.most = max(self.fake.most, self.fake.busy)
            told = self.fake.script.pop(0) if self.fake.script else self.fake.then
        time.sleep(self.fake.seconds)
        try:
            return self.read_page(body, told)
        finally:
            with self.fake.lock:
                self.fake.busy -= 1

    def read_page(self, body: dict[str, Any], told: str) -> None:
        if told in ("die", "drop"):
            if told == "die":
                self.fake.die()
            self.close_connection = True
            return None
        if told:
            code, _, after = told.partition(" ")
            return self.answer(int(code), {"message": f"said {code}"}, after)
        url = body["messages"][0]["content"][0]["image_url"]["url"]
        image = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,"))))
        image.load()
        if self.fake.keeps:
            with self.fake.lock:
                self.fake.asked.append(body)
                self.fake.images.append(image)
        choice = {"message": {"content": self.fake.says(image)}, "finish_reason": "stop"}
        usage = {"completion_tokens": 5, "prompt_tokens": 274}
        return self.answer(200, {"choices": [choice], "usage": usage})

    def answer(self, code: int, said: object, after: str = "") -> None:
        data = json.dumps(said).encode()
        self.send_response(code)
        if after:
            self.send_header("Retry-After", after)
        self.send_header("Content-Length", str(len(data)))
        # Who asked may have gone, as after its time is over.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def fake_servers() -> Iterator[Callable[..., Fake]]:
    """Starts such servers, and stops them in the end."""
    started: list[Fake] = []

    def start(**told: Any) -> Fake:
        made = Fake(**told)
        handler = type("Bound", (Handler,), {"fake": made})
        made.web = http.server.ThreadingHTTPServer(("127.0.0.1", made.port), handler)
        made.web.daemon_threads = True
        threading.Thread(target=made.web.serve_forever, args=(0.01,), daemon=True).start()
        started.append(made)
        return made

    yield start
    for one in started:
        one.web.shutdown()
        one.web.server_close()
