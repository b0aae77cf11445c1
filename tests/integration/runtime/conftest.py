"""A package index on loopback with two wheels made here, and a stack locked to them."""

import contextlib
import dataclasses
import hashlib
import io
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dsk import paths
from dsk.locks import lock_file
from dsk.matrix import Stack, load_matrix

STACK = """\
summary = "two small wheels, for tests"
rank = 9
engine = "V1"
device = "cpu"
python = "3.11"
resolve_before = 2026-11-21
pins = { dsk-test-speaker = "1.0", dsk-test-quiet = "2.5" }
environment = { DSK_TEST_STACK_SAYS = "hello" }
settings = {}
host = { arch = ["x86_64"], glibc = "2.17" }
"""


@dataclasses.dataclass
class Index:
    """The index: its address, its wheels by name, and how long it takes over each one."""

    url: str
    wheels: dict[str, bytes]
    seconds_a_wheel: float = 0.0
    asked: list[str] = dataclasses.field(default_factory=list)


def wheel(name: str, version: str, main: str) -> tuple[str, bytes]:
    """A pure-Python wheel with one module, which runs, and one script."""
    package = name.replace("-", "_")
    info = f"{package}-{version}.dist-info"
    files = {
        f"{package}/__init__.py": f"__version__ = '{version}'\n",
        f"{package}/__main__.py": main,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {package}.__main__:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return f"{package}-{version}-py3-none-any.whl", buffer.getvalue()


SPEAKER = """\
import sys


def main():
    exec(sys.argv[1], {"sys": sys})


if __name__ == "__main__":
    main()
"""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The index, serving, with uv pointed at it and an empty cache of uv's."""
    wheels = dict(
        [wheel("dsk-test-speaker", "1.0", SPEAKER), wheel("dsk-test-quiet", "2.5", "main = print")]
    )
    found = Index(url="", wheels=wheels)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            body, kind = self._page()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # tests end uv in the midst of a wheel
                self.wfile.write(body)

        def _page(self) -> tuple[bytes, str]:
            last = self.path.strip("/").split("/")[-1]
            if last in found.wheels:
                time.sleep(found.seconds_a_wheel)
                return found.wheels[last], "application/octet-stream"
            links = [name for name in found.wheels if name.startswith(last.replace("-", "_"))]
            page = "".join(f'<a href="/files/{name}">{name}</a>' for name in links)
            return page.encode(), "text/html"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", found.url)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    yield found
    server.shutdown()
    server.server_close()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _locked(file: str, sha256: str) -> lock_file.LockedPackage:
    name, version, *_ = file.split("-")
    name = name.replace("_", "-")
    return lock_file.LockedPackage(
        name=name, version=version, file=file, sha256=sha256, via=("dsk",)
    )


@pytest.fixture
def make_stack(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Stack]:
    """Write a matrix with a stack ``tiny``, locked to the index's wheels, and load it.

    ``sha256`` puts another hash into the lock, ``absent`` a package that the index lacks.
    """

    def make(*, sha256: str = "", absent: str = "") -> Stack:
        folder = tmp_path / f"compat{sha256[:4]}{absent}"
        (folder / "stacks").mkdir(parents=True)
        (folder / "locks").mkdir()
        for name in ("gpus.toml", "models.toml"):
            shutil.copy(paths.data() / "compat" / name, folder)
        (folder / "stacks" / "tiny.toml").write_text(STACK, "utf-8")
        locked = [_locked(file, sha256 or _sha256(index.wheels[file])) for file in index.wheels]
        if absent:
            locked.append(_locked(f"{absent}-1.0-py3-none-any.whl", "1" * 64))
        (folder / "locks" / "tiny.txt").write_text(lock_file.dump("tiny", locked), "utf-8")
        monkeypatch.setenv("DSK_COMPAT", str(folder))
        return load_matrix(folder).stack("tiny")

    return make


@pytest.fixture
def stack(make_stack: Callable[..., Stack]) -> Stack:
    """The stack ``tiny`` as it should be."""
    return make_stack()
