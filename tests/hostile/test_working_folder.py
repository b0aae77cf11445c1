"""A folder of downloads may hold Python modules: dsk runs none of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.hostile import pdf_files
from tests.pipeline.test_worker_pool import done, of

from dsk.errors import EngineMissing
from dsk.host.probes.nvidia import query_nvml
from dsk.ocr.documents.validation import Validator
from dsk.ocr.pipeline.page_worker import TextTask
from dsk.ocr.pipeline.worker_pool import WorkerPool
from dsk.ocr.schema.limits import Limits
from dsk.package_index import uv_program
from dsk.runtime.base import InPlaceRuntime
from dsk.runtime.interpreters import find_python

# Names that Python would import from there before its own libraries and the installed packages.
PLANTED = ("json", "select", "PIL", "numpy", "pymupdf", "pydantic", "torch", "vllm", "pynvml")


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that any planted module creates; the working folder is theirs."""
    mark = tmp_path / "mark"
    folder = tmp_path / "downloads"
    (folder / "dsk").mkdir(parents=True)
    (folder / "a.pdf").write_bytes(pdf_files.written(1))
    program = f"open({str(mark)!r}, 'a').write(__name__)\nraise ImportError('planted')\n"
    for file in ("dsk/__init__.py", *(f"{name}.py" for name in PLANTED)):
        (folder / file).write_text(program)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    return mark


def test_a_document_is_validated_beside_planted_modules(mark: Path) -> None:
    with Validator(Limits(), None) as validator:
        assert validator.validate(Path("a.pdf").absolute()).page_count == 1
    assert not mark.exists()


def test_a_document_is_rendered_beside_planted_modules(mark: Path) -> None:
    document = of(Path("a.pdf").absolute(), 1)
    with WorkerPool[int](1) as pool:
        (one,) = done(pool, TextTask(document=document, page=1, limits=Limits()))
    assert one.result.status is None, one.result.reason
    assert not mark.exists()


def test_runner_and_engine_start_beside_planted_modules(mark: Path) -> None:
    for module in ("dsk.ocr.run.runner", "dsk.ocr.engines.worker"):
        with InPlaceRuntime().start(module, ["--no-such-file"]) as child:
            child.wait()
    assert not mark.exists()


def test_the_gpu_is_asked_beside_planted_modules(mark: Path) -> None:
    query_nvml(30)
    assert not mark.exists()


def test_uv_starts_no_python_of_the_working_folder(mark: Path) -> None:
    """Of an environment that lies there, as one that somebody shared."""
    program = Path(".venv/bin/python")
    program.parent.mkdir(parents=True)
    Path(".venv/pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.14\n")
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    with pytest.raises(EngineMissing):
        find_python("3.99", uv=uv_program())
    assert not mark.exists()
