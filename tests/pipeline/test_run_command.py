"""`dsk run`: what is wrong is said in one line, with its exit code, before anything is started."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pymupdf
import pytest

from dsk.runtime import environments

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def page(tmp_path: Path) -> Path:
    document = pymupdf.open()
    for _ in range(3):
        document.new_page(width=100, height=100)
    document.save(tmp_path / "page.pdf")
    return tmp_path / "page.pdf"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["DeepseekOCRForCausalLM"]}')
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "eyechart.json").write_text("{}")  # a test model is not warned of as unpinned
    return folder


def dsk(*arguments: object, cache: Path) -> tuple[int, str, str]:
    """Run the real command; its exit code, output and errors."""
    done = subprocess.run(
        [sys.executable, "-m", "dsk", *map(str, arguments)],
        env=os.environ | {"DSK_CACHE": str(cache), "HF_HUB_CACHE": str(cache / "hub")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def one_line(stderr: str) -> str:
    (line,) = stderr.strip().splitlines()
    assert line.startswith("error: ")
    return line


def test_bad_input_is_said_in_one_line_with_its_exit_code(
    page: Path, model: Path, tmp_path: Path
) -> None:
    text = tmp_path / "letter.pdf"
    text.write_text("Dear Sir")
    empty = tmp_path / "empty.pdf"
    empty.write_bytes(b"")
    bare = tmp_path / "bare"
    bare.mkdir()
    good = ["--model", model, "--stack", "cpu"]
    for arguments, code, said in [
        ([tmp_path / "no.pdf", *good], 12, "there is no file"),
        ([text, *good], 12, "is not a PDF file"),
        ([empty, *good], 12, "is empty"),
        ([page, *good, "--pages", "2-9"], 2, "which has 3: choose within 1-3"),
        ([page, *good, "--prompt", "markdwon"], 2, "there is no prompt 'markdwon'"),
        ([page, *good, "--max-tokens", "9000"], 2, "an answer of 9000 tokens does not fit"),
        ([page, "--model", model, "--stack", "cpuu"], 2, "'cpuu'"),
        ([page, "--model", bare, "--stack", "cpu"], 3, "has no config.json"),
        ([page, "--model", "nobody/nothing", "--stack", "cpu"], 2, "no model folder"),
        ([page, "--model", "deepseek-orc", "--stack", "cpu"], 2, "did you mean deepseek-ocr?"),
        ([page, *good], 7, "dsk env create --stack cpu"),
    ]:
        found = dsk("run", "pdf", *arguments, "-o", tmp_path / "out", cache=tmp_path / "cache")
        assert found[0] == code, found
        assert said in one_line(found[2])


def test_an_output_folder_that_cannot_be_written_to_is_refused(
    page: Path, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    arguments = [page, "--model", model, "--stack", "cpu", "-o", tmp_path / "file" / "out"]
    code, _, stderr = dsk("run", "pdf", *arguments, cache=tmp_path / "cache")
    assert code == 2
    assert "cannot be written to" in one_line(stderr)


def test_a_dry_run_says_what_would_be_read_and_starts_nothing(
    page: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    arguments = [page, "--model", model, "--stack", "cpu", "--runtime", "in-place", "--dry-run"]
    code, stdout, stderr = dsk(
        "run", "pdf", *arguments, "--pages", "2-end", "-o", tmp_path / "out",
        cache=tmp_path / "cache",
    )  # fmt: skip
    assert (code, stderr) == (0, "")
    assert "2 of 3 pages at 144 dpi" in stdout
    assert "stack   cpu (vLLM V1, cpu)" in stdout
    assert environments.present() == []
    assert list((tmp_path / "out").iterdir()) == []
