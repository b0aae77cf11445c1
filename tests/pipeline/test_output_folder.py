"""`dsk run` into folders that somebody prepared, or whose file system lacks something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pymupdf
import pytest

from dsk.file_lock import LOCK_FILE
from dsk.ocr.schema import run_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fake_server import Fake

    Fakes = Callable[..., Fake]

REFUSALS = ["ENOSYS", "EOPNOTSUPP", "ENOLCK", "EBADF"]
# What a file system without locks does to every process of a run.
WITHOUT_LOCKS = """
import errno, fcntl, os
def flock(descriptor, operation, code=getattr(errno, os.environ["DSK_TEST_FLOCK"])):
    raise OSError(code, os.strerror(code))
fcntl.flock = flock
"""
RED, BLUE = (1, 0, 0), (0, 0, 1)


def pdf(file: Path, colour: tuple[int, int, int] = RED, pages: int = 3) -> Path:
    drawn = pymupdf.open()
    for _ in range(pages):
        drawn.new_page(width=90, height=90).draw_rect((0, 0, 90, 45), color=None, fill=colour)
    drawn.save(file)
    return file


@pytest.fixture
def document(tmp_path: Path) -> Path:
    return pdf(tmp_path / "book.pdf")


def run(
    document: Path, server: Fake, out: Path, *arguments: str, url: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dsk", "run", "pdf", str(document), "-o", str(out)]
    return subprocess.run(
        [*command, "--server", url or server.url, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("code", REFUSALS)
def test_without_locks_a_run_warns_reads_and_is_alone(
    fake: Fakes, document: Path, tmp_path: Path, code: str
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(WITHOUT_LOCKS)
    lockless = {"PYTHONPATH": str(tmp_path / "site"), "DSK_TEST_FLOCK": code}
    out = tmp_path / "out"
    server = fake(seconds=3.0)
    ended: list[subprocess.CompletedProcess[str]] = []
    first = threading.Thread(
        target=lambda: ended.append(run(document, server, out, **lockless)), daemon=True
    )
    first.start()
    deadline = time.monotonic() + 120
    while not (out / LOCK_FILE).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    second = run(document, server, out, **lockless)
    assert second.returncode == 2, second.stderr
    assert "another run writes to" in second.stderr
    first.join()
    assert ended[0].returncode == 0, ended[0].stderr
    assert ended[0].stderr.count("has no file locks") == 1
    assert len((out / "book/pages.jsonl").read_text().splitlines()) == 3
    assert not list(out.rglob("*.lock")) + list(out.rglob("*.holder"))


def test_nothing_is_written_through_what_was_put_into_the_output_folder(
    fake: Fakes, document: Path, tmp_path: Path
) -> None:
    server, out, victim = fake(), tmp_path / "out", tmp_path / "victim"
    folder = out / "book"
    folder.mkdir(parents=True)
    victim.write_text("precious")
    (folder / run_files.LEDGER).symlink_to(victim)
    refused = run(document, server, out)
    assert refused.returncode == 2
    assert "cannot be written (it is a link, which may lead to another file)" in refused.stderr
    (folder / run_files.LEDGER).unlink()
    (folder / run_files.LEDGER).hardlink_to(victim)
    refused = run(document, server, out)
    assert refused.returncode == 2
    assert "hard link" in refused.stderr
    (folder / run_files.LEDGER).unlink()
    os.mkfifo(folder / run_files.LEDGER)
    refused = run(document, server, out)
    assert refused.returncode == 2
    assert "not a regular file" in refused.stderr
    (folder / run_files.LEDGER).unlink()
    (folder / run_files.LEDGER).touch()
    names = ["book.md", "book_det.mmd", "report.html", "book_layouts.pdf"]
    # The refused runs have written some of them.
    (out / "engine.log").unlink(missing_ok=True)
    (out / "engine.log").hardlink_to(victim)
    links = [out / name for name in (run_files.JOB, run_files.SUMMARY, run_files.FOLDER_OWNERS)]
    links += [folder / name for name in (*names, ".dsk-0123456789abcdef")]
    for link in links:
        link.unlink(missing_ok=True)
        link.symlink_to(victim)
    (folder / ".dsk-x").mkdir()
    done = run(document, server, out)
    assert done.returncode == 0, done.stderr
    assert victim.read_text() == "precious"
    assert not any(link.is_symlink() for link in links)
    assert (folder / ".dsk-x").is_dir()
    assert (out / "engine.log").stat().st_ino != victim.stat().st_ino


def test_a_documents_folder_that_is_a_link_is_not_written_to(
    fake: Fakes, document: Path, tmp_path: Path
) -> None:
    (tmp_path / "out/elsewhere").mkdir(parents=True)
    (tmp_path / "out/book").symlink_to("elsewhere")
    refused = run(document, fake(), tmp_path / "out")
    assert refused.returncode == 2
    assert "book is a link" in refused.stderr
    assert list((tmp_path / "out/elsewhere").iterdir()) == []


def test_the_umask_decides_about_all_that_is_written(
    fake: Fakes, document: Path, tmp_path: Path
) -> None:
    before = os.umask(0o077)
    try:
        assert run(document, fake(), tmp_path / "out").returncode == 0
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "out").rglob("*")} == {0}


@pytest.mark.parametrize("change", ["replaced", "written to"])
def test_a_document_that_changes_meanwhile_gets_no_outputs(
    fake: Fakes, document: Path, tmp_path: Path, change: str
) -> None:
    other = pdf(tmp_path / "other.pdf", BLUE)

    def says(image: object) -> str:
        if other.exists():
            if change == "replaced":
                other.replace(document)
            else:
                document.write_bytes(other.read_bytes())
                other.unlink()
        return "text"

    server, out = fake(says=says), tmp_path / "out"
    changed = run(document, server, out)
    assert changed.returncode == 11, changed.stderr
    assert "are incomplete: no" in changed.stderr
    assert "book.pdf changed while it was read" in changed.stderr
    assert {file.name for file in (out / "book").iterdir()} <= {"pages.jsonl", "manifest.json"}
    assert (out / "book/pages.jsonl").read_bytes() == b""
    again = run(document, server, out)
    assert again.returncode == 0, again.stderr
    assert len((out / "book/pages.jsonl").read_text().splitlines()) == 3


def test_a_password_in_a_servers_url_is_nowhere(
    fake: Fakes, document: Path, tmp_path: Path
) -> None:
    server, out = fake(), tmp_path / "out"
    url = server.url.replace("http://", "http://alice:hunter2@")
    done = run(document, server, out, url=url)
    assert done.returncode == 0, done.stderr
    texts = [done.stdout, done.stderr, run(document, server, out, "--dry-run", url=url).stdout]
    texts += [file.read_text("utf-8", "replace") for file in out.rglob("*") if file.is_file()]
    server.die()
    gone = run(document, server, tmp_path / "other", url=url)
    assert gone.returncode != 0
    assert not any("hunter2" in text for text in [*texts, gone.stdout, gone.stderr])
    manifest = json.loads((out / "book/manifest.json").read_text())
    assert manifest["engine"]["settings"]["servers"][0]["url"] == server.url
