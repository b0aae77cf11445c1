"""An index of made-up wheels on loopback, and a stack to lock from it."""

import hashlib
import http.server
import io
import json
import os
import re
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from dsk.matrix import Stack


def wheel(
    name: str,
    version: str,
    requires: tuple[str, ...] = (),
    *,
    python: str = ">=3.8",
    library: bytes = b"",
    sources: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """The smallest wheel that uv takes; with a compiled library and sources, if they are given."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    needs += f"Requires-Python: {python}\n"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": "", **sources}.items():
            archive.writestr(file, text)
        if library:
            archive.writestr(f"{name}/_C.so", library)
    return packed.getvalue()


def metadata_in(content: bytes) -> bytes:
    """A wheel's METADATA."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(next(name for name in archive.namelist() if "METADATA" in name))


class Index:
    """An index of made-up wheels; what is in `altered` is served with other bytes than listed.

    It keeps a wheel's metadata beside it where `beside` is set, and gives ranges of files.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.uploaded: dict[str, str] = {}
        self.altered: set[str] = set()
        self.dated = True
        self.asked: list[str] = []
        self.beside = True

    def add(
        self,
        file: str,
        content: bytes,
        uploaded: str = "2025-01-01T00:00:00Z",
    ) -> None:
        self.files[file] = content
        self.uploaded[file] = uploaded

    def answer(self, path: str) -> tuple[str, bytes] | None:
        self.asked.append(path)
        if path.endswith(".metadata"):
            content = self.files.get(path.removeprefix("/files/").removesuffix(".metadata"))
            return ("text/plain", metadata_in(content)) if content and self.beside else None
        if path.startswith("/files/"):
            file = path.removeprefix("/files/")
            content = self.files.get(file)
            spoilt = b"!" if file in self.altered else b""
            return None if content is None else ("application/octet-stream", content + spoilt)
        package = path.removeprefix("/simple/").strip("/")
        listed = [
            {
                "filename": file,
                "url": f"/files/{file}",
                "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
            }
            | ({"upload-time": self.uploaded[file]} if self.dated else {})
            for file, content in self.files.items()
            if file.split("-")[0].replace("_", "-") == package
        ]
        page = {"meta": {"api-version": "1.1"}, "name": package, "files": listed}
        kind = "application/vnd.pypi.simple.v1+json"
        return (kind, json.dumps(page).encode()) if listed else None


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Index]:
    """An index on loopback that the real uv asks; dsk itself needs `gear` inside a stack."""
    index = Index()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = index.answer(self.path)
            kind, content = answer or ("text/plain", b"")
            whole, piece = len(content), self.headers.get("Range", "")
            if answer and (found := re.fullmatch(r"bytes=(\d*)-(\d+)", piece)):
                first, last = (int(found[1]), int(found[2])) if found[1] else (whole - 1, whole - 1)
                content = content[first : last + 1]
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{last}/{whole}")
            else:
                self.send_response(200 if answer else 404)
            self.send_header("Content-Type", kind)
            # Without it uv takes a page of the index for fresh for ten minutes, and tests alter it.
            self.send_header("Cache-Control", "no-cache")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET  # noqa: N815 the names are http.server's

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{server.server_port}/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    # Else uv asks a version switcher's shim for a Python each time: twice the test's own work.
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "dsk"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("importlib.metadata.requires", lambda name: ["gear>=1", "toy; extra=='x'"])
    yield index
    server.shutdown()
    thread.join()
    server.server_close()


def toy_stack(tmp_path: Path, **changes: object) -> Stack:
    facts = {
        "id": "toy",
        "folder": tmp_path,
        "summary": "for a test",
        "rank": 1,
        "engine": "V1",
        "device": "cpu",
        "python": "3.11",
        "resolve_before": "2025-06-01",
        "pins": {"engine": "1.0"},
        "settings": {},
        "host": {"arch": ["x86_64"], "glibc": "2.31"},
    }
    return Stack.model_validate(facts | changes)
