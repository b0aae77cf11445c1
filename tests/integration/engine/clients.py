"""What tests of real servers share: pages of eye charts, and the public client's requests."""

from __future__ import annotations

import base64
import http.server
import json
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import pymupdf

from dsk.eyechart import cache, layout, page
from dsk.matrix import load_matrix

if TYPE_CHECKING:
    import subprocess

NAME = "deepseek-ocr"
WORDS = "<|grounding|>Convert the document to markdown."


def pages(text: str, side: int) -> tuple[bytes, list[str]]:
    """A PDF of charts that spell ``text``, and what each spells.

    In pages of 640 px at 144 dpi at most, which Gundam mode does not cut into tiles.
    """
    charts = layout.charts(text, side)
    drawn = pymupdf.open("pdf", page.draw(charts, side))
    scaled = pymupdf.open()
    points = min(side * page.cell_points(), 320)
    for number in range(len(drawn)):
        sheet = scaled.new_page(width=points, height=points)
        sheet.show_pdf_page(sheet.rect, drawn, number)
    return scaled.tobytes(), [layout.spelled(chart) for chart in charts]


def picture(text: str, side: int) -> bytes:
    """The first page of such a PDF, as PNG."""
    document, _ = pages(text, side)
    return bytes(pymupdf.open("pdf", document)[0].get_pixmap(dpi=144).tobytes("png"))


def made(side: int) -> Path:
    """The test model for charts of ``side`` cells."""
    recipe = cache.tiny_model(side=side)
    return cache.cached(load_matrix().stack("cpu-v0"), recipe, progress=lambda _: None)


def tiny_model(folder: Path) -> Path:
    """The test model for charts of 8 cells, which says itself that it is for Tiny mode."""
    folder.mkdir()
    for file in made(8).iterdir():
        (folder / file.name).symlink_to(file)
    config = folder / "config.json"
    told = json.loads(config.read_text("utf-8")) | {"dsk_mode": "tiny"}
    config.unlink()
    config.write_text(json.dumps(told), "utf-8")
    return folder


def client(url: str, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=1800)


def ask(
    client: openai.OpenAI,
    image: bytes,
    *,
    url: str = "",
    words: str = WORDS,
    model: str = NAME,
    stream: bool = False,
    guard: dict[str, int] | None = None,
) -> str:
    """What a server reads on a page."""
    address = url or f"data:image/png;base64,{base64.b64encode(image).decode()}"
    body: dict[str, Any] = {"skip_special_tokens": False}
    if guard is not None:
        body["vllm_xargs"] = guard
    given: dict[str, Any] = {
        "model": model,
        "temperature": 0,
        "max_tokens": 300,
        "extra_body": body,
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": words},
                    {"type": "image_url", "image_url": {"url": address}},
                ],
            }
        ],
    }
    if not stream:
        return client.chat.completions.create(**given).choices[0].message.content or ""
    pieces = client.chat.completions.create(**given, stream=True)
    return "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


def marked(mark: str) -> list[str]:
    """The command lines of all processes that have a variable of this value."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has ended, or is a kernel's or another user's
    return found


def stop(process: subprocess.Popen[Any], number: int) -> int:
    """Send a signal and wait; the exit code."""
    process.send_signal(number)
    return process.wait(timeout=60)


class Web:
    """A web server on this machine with one image, that counts who asks."""

    def __init__(self, image: bytes) -> None:
        self.asked = 0
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked += 1
                self.send_response(200)
                self.send_header("Content-Type", "image/png")
                self.end_headers()
                self.wfile.write(image)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/page.png"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
