"""Documents are opened in a process of its own, which may hang or crash."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pymupdf
import pytest
from tests.pipeline import running

from dsk.errors import EngineMissing, InputUnreadable
from dsk.ocr.documents.base import InputRefused
from dsk.ocr.documents.validation import Validator
from dsk.ocr.schema.limits import Limits


@pytest.fixture
def page(tmp_path: Path) -> Path:
    document = pymupdf.open()
    document.new_page()
    document.save(tmp_path / "page.pdf")
    return tmp_path / "page.pdf"


def of_objects(file: Path, count: int) -> Path:
    """A damaged PDF that takes long to mend."""
    with file.open("wb") as stream:
        stream.write(b"%PDF-1.7\n")
        for number in range(count):
            stream.write(b"%d 0 obj<</A[1 2 3]>>endobj\n" % (number % 8_000_000))
    return file


def test_a_file_that_does_not_open_in_time_is_refused_and_the_next_one_opens(
    page: Path, tmp_path: Path
) -> None:
    slow = of_objects(tmp_path / "slow.pdf", 4_000_000)
    with Validator(Limits(render_seconds=1), None) as validator:
        with pytest.raises(InputRefused, match="--render-seconds") as caught:
            validator.validate(slow)
        assert caught.value.limit == "render_seconds"
        assert validator.validate(page).page_count == 1


def test_a_reader_that_crashes_takes_only_its_file_with_it(page: Path) -> None:
    with Validator(Limits(), None) as validator:
        validator.validate(page)
        assert validator._child is not None
        validator._child.process.kill()
        validator._child.process.wait()
        said = r"its reader crashed with status 137 \(SIGKILL"
        with pytest.raises(InputUnreadable, match=said):
            validator.validate(page)
        assert validator.validate(page).kind == "pdf"


def test_documents_open_where_memory_is_limited_from_outside(page: Path) -> None:
    program = (
        "import pathlib, sys\n"
        "from dsk.ocr.documents.validation import Validator\n"
        "from dsk.ocr.schema.limits import Limits\n"
        "with Validator(Limits(), None) as validator:\n"
        "    print(validator.validate(pathlib.Path(sys.argv[1])).page_count)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, page],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_reader_that_cannot_start_is_not_the_documents_fault(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'MemoryError: no room' >&2\nexit 3\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    with (
        Validator(Limits(), None) as validator,
        pytest.raises(EngineMissing, match=r"did not start \(status 3: MemoryError: no room\)"),
    ):
        validator.validate(page)


def test_ctrl_c_ends_the_checking_and_its_process(page: Path, tmp_path: Path) -> None:
    slow = of_objects(tmp_path / "slow.pdf", 4_000_000)
    run = [sys.executable, "-m", "dsk", "run", "pdf", slow, page, "-o", tmp_path / "out"]
    with subprocess.Popen(
        [*map(str, run), "--stack", "cpu"], stderr=subprocess.PIPE, text=True
    ) as process:
        while not (readers := running.children(process, "dsk.ocr.documents.validation")):
            assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert not any(Path(f"/proc/{reader}").exists() for reader in readers)
