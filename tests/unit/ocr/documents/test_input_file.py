"""A document's file: a change is noticed however it comes about, and nothing else is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pymupdf
import pytest
from PIL import Image

from dsk.errors import InputUnreadable
from dsk.ocr.documents import inputs
from dsk.ocr.documents.input_file import InputChanged, InputFile, require_planned
from dsk.ocr.documents.opening import open_document
from dsk.ocr.pipeline.page_worker import WriteTask, _OpenDocument, perform
from dsk.ocr.schema.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dsk.ocr.schema.run_plan import Document


def pdf(file: Path, shade: float) -> Path:
    drawn = pymupdf.open()
    for _ in range(3):
        drawn.new_page(width=90, height=90).draw_rect((0, 0, 90, 45), fill=(shade, 0, 0))
    file.write_bytes(drawn.tobytes(no_new_id=True))
    return file


def png(file: Path, shade: float) -> Path:
    Image.new("RGB", (90, 90), (int(255 * shade), 0, 0)).save(file, "PNG")
    return file


WRITERS = {"pdf": pdf, "image": png}


@pytest.fixture(params=WRITERS)
def made(request: pytest.FixtureRequest) -> Callable[[Path, float], Path]:
    return WRITERS[request.param]


def planned(file: Path, out: Path) -> Document:
    (document,), _ = inputs.resolve(
        [file], out, inputs.InputOptions(), lambda parts, *_: out / parts[-1]
    )
    return document


def replace(file: Path, made: Callable[[Path, float], Path]) -> None:
    made(file.with_suffix(".new"), 0.5).replace(file)


def write_in_place(file: Path, made: Callable[[Path, float], Path]) -> None:
    status = file.stat()
    content = made(file.with_suffix(".new"), 0.5).read_bytes()
    with file.open("r+b") as stream:
        stream.write(content)
        stream.truncate()
    # Who replaces it may set the times back.
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES = {"replaced": replace, "written to": write_in_place}


@pytest.mark.parametrize("change", CHANGES)
def test_another_file_is_not_opened(
    tmp_path: Path, made: Callable[[Path, float], Path], change: str
) -> None:
    document = planned(made(tmp_path / "a", 1), tmp_path / "out")
    with open_document(document, DEFAULT_LIMITS) as source:
        source.image(1, 72)
    require_planned(document)
    CHANGES[change](document.path, made)
    with pytest.raises(InputChanged, match="changed while it was read: run the same command"):
        open_document(document, DEFAULT_LIMITS)
    with pytest.raises(InputChanged):
        require_planned(document)


def test_a_page_that_was_rendered_from_other_bytes_is_not_returned(
    tmp_path: Path, made: Callable[[Path, float], Path]
) -> None:
    document = planned(made(tmp_path / "a", 1), tmp_path / "out")
    with open_document(document, DEFAULT_LIMITS) as source:
        source.image(1, 72)
        write_in_place(document.path, made)
        with pytest.raises(InputChanged):
            source.image(1, 72)


def test_a_file_that_is_replaced_stays_itself_for_who_has_it_open(
    tmp_path: Path, made: Callable[[Path, float], Path]
) -> None:
    document = planned(made(tmp_path / "a", 1), tmp_path / "out")
    with open_document(document, DEFAULT_LIMITS) as source:
        before = source.image(1, 72).tobytes()
        replace(document.path, made)
        assert source.image(1, 72).tobytes() == before


def test_equal_bytes_are_no_change(tmp_path: Path, made: Callable[[Path, float], Path]) -> None:
    document = planned(made(tmp_path / "a", 1), tmp_path / "out")
    with open_document(document, DEFAULT_LIMITS) as source:
        document.path.touch()
        document.path.chmod(0o600)
        (tmp_path / "second name").hardlink_to(document.path)
        source.image(1, 72)
    copy = tmp_path / "copy"
    copy.write_bytes(document.path.read_bytes())
    copy.replace(document.path)
    with open_document(document, DEFAULT_LIMITS) as source:
        source.image(1, 72)
    require_planned(document)


def test_a_file_that_changes_while_it_is_planned_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = pdf(tmp_path / "a.pdf", 1)
    real = InputFile.sha256

    def sha256(self: InputFile) -> str:
        replace(file, pdf)
        return real(self)

    monkeypatch.setattr(InputFile, "sha256", sha256)
    with pytest.raises(InputChanged):
        planned(file, tmp_path / "out")


def test_a_file_that_grows_is_hashed_to_its_end_of_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"x" * 100)
    real = os.pread

    def pread(descriptor: int, size: int, position: int) -> bytes:
        with file.open("ab") as stream:
            stream.write(b"x" * 100)
        return real(descriptor, 10, position)

    monkeypatch.setattr(os, "pread", pread)
    with InputFile(file) as opened, pytest.raises(InputChanged):
        opened.sha256()
    assert file.stat().st_size == 100 + 10 * 100


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.pdf"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            path.mkdir()
    with pytest.raises(OSError, match="not a regular file"):
        InputFile(path)
    with pytest.raises(InputUnreadable):
        planned(path, tmp_path / "out")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("formats", [frozenset({"md"}), frozenset({"figures", "html", "layout"})])
def test_of_a_changed_document_no_output_is_written(
    tmp_path: Path, made: Callable[[Path, float], Path], change: str, formats: frozenset[str]
) -> None:
    document = planned(made(tmp_path / "a", 1), tmp_path / "out")
    document.folder.mkdir(parents=True)
    (document.folder / "a.md").write_text("of an earlier run")
    CHANGES[change](document.path, made)
    task = WriteTask(
        document=document,
        out=tmp_path / "out",
        offsets=(),
        formats=formats,
        compat="",
        dpi=72,
        limits=DEFAULT_LIMITS,
    )
    result, _ = perform(task, _OpenDocument())
    assert result.is_changed
    assert "changed while it was read" in result.reason
    assert [file.name for file in document.folder.iterdir()] == ["a.md"]
    assert (document.folder / "a.md").read_text() == "of an earlier run"
