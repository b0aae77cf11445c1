"""Folders of earlier runs: each document finds its own again, and never another's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dsk.errors import UsageProblem
from dsk.ocr.results import folder_owners
from dsk.ocr.results.output_folders import OutputFolders
from dsk.ocr.schema.run_files import FOLDER_OWNERS, MANIFEST
from dsk.ocr.schema.run_plan import Document


def run(out: Path, *files: Path, below: Path | None = None) -> list[str]:
    """What a run into a folder does before it reads: choose the folders, write them down."""
    folders = OutputFolders(out)
    documents = []
    for file in files:
        sha256 = file.read_text()
        place = (*file.parent.relative_to(below).parts, file.stem) if below else (file.stem,)
        folder = folders.allocate(place, file, sha256)
        documents.append(Document(path=file, folder=folder, page_count=1, pages=[1], sha256=sha256))
    folder_owners.write(documents, out)
    for document in documents:
        document.folder.mkdir(parents=True, exist_ok=True)
    return [str(document.folder.relative_to(out)) for document in documents]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def file(path: Path, content: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content or str(path))
    return path


def test_another_runs_document_of_that_name_keeps_its_folder(tmp_path: Path, out: Path) -> None:
    one, two, three = (file(tmp_path / folder / "report.pdf") for folder in "abc")
    assert run(out, one) == ["report"]
    assert run(out, two) == ["report-2"]
    for _ in range(2):
        assert run(out, one) == ["report"]
        assert run(out, two) == ["report-2"]
    assert run(out, three, two, one) == ["report-3", "report-2", "report"]


def test_a_file_that_has_changed_keeps_its_folder(tmp_path: Path, out: Path) -> None:
    one = file(tmp_path / "a/report.pdf", "first")
    assert run(out, one) == ["report"]
    assert run(out, file(one, "second")) == ["report"]


def test_a_folder_with_a_users_own_files_is_left_to_them(tmp_path: Path, out: Path) -> None:
    file(out / "report/scan.pdf")
    (out / "empty").mkdir()
    one, two = file(tmp_path / "report.pdf"), file(tmp_path / "empty.pdf")
    assert run(out, one, two) == ["report-2", "empty"]
    assert run(out, one) == ["report-2"]


def test_equal_files_are_two_documents(tmp_path: Path, out: Path) -> None:
    one, two = (file(tmp_path / folder / "report.pdf", "same") for folder in "ab")
    assert (run(out, one), run(out, two), run(out, one)) == (["report"], ["report-2"], ["report"])


def test_a_folder_that_is_gone_is_given_out_anew(tmp_path: Path, out: Path) -> None:
    one, two = (file(tmp_path / folder / "report.pdf") for folder in "ab")
    run(out, one)
    run(out, two)
    (out / "report").rmdir()
    assert run(out, two) == ["report-2"]
    assert run(out, file(tmp_path / "c/report.pdf")) == ["report"]
    assert run(out, one) == ["report-3"]


def test_a_file_is_the_same_however_its_folder_is_named(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = file(tmp_path / "a/report.pdf")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    for spelled in (one, Path("a/report.pdf"), Path("link/report.pdf")):
        assert run(out, spelled) == ["report"]


def test_names_of_any_bytes_are_told_apart(tmp_path: Path, out: Path) -> None:
    odd = [tmp_path / os.fsdecode(b"a\xe9"), tmp_path / r"a\xe9", tmp_path / "a\n"]
    files = [file(folder / os.fsdecode(b"r\xff.pdf"), str(n)) for n, folder in enumerate(odd)]
    assert [run(out, one) for one in files] == [["r_"], ["r_-2"], ["r_-3"]]
    assert run(out, *reversed(files)) == ["r_-3", "r_-2", "r_"]


def test_no_document_lies_within_anothers_folder_of_an_earlier_run(
    tmp_path: Path, out: Path
) -> None:
    inner, outer = file(tmp_path / "in/a/images.pdf"), file(tmp_path / "in/a.pdf")
    assert run(out, outer, below=tmp_path / "in") == ["a"]
    assert run(out, inner, below=tmp_path / "in") == ["a-2/images"]
    assert run(out, file(tmp_path / "x/a-2.pdf")) == ["a-2-2"]
    (out / "a").rmdir()
    assert run(out, inner, below=tmp_path / "in") == ["a-2/images"]


@pytest.mark.parametrize("damage", [b"", b"{", b'{"folders": {"report": 5}}', b"[]"])
def test_without_the_list_a_manifest_tells_whose_a_folder_is(
    tmp_path: Path, out: Path, damage: bytes
) -> None:
    one, two = (file(tmp_path / folder / "report.pdf") for folder in "ab")
    run(out, one)
    said = {"document": {"sha256": one.read_text()}}
    (out / "report" / MANIFEST).write_text(json.dumps(said))
    (out / FOLDER_OWNERS).write_bytes(damage)
    assert run(out, two) == ["report-2"]
    assert run(out, one) == ["report"]


def test_a_damaged_manifest_may_be_anyones(tmp_path: Path, out: Path) -> None:
    (out / "report").mkdir()
    (out / "report" / MANIFEST).write_text("{")
    assert run(out, file(tmp_path / "report.pdf")) == ["report-2"]


def test_a_folder_that_another_run_takes_meanwhile_is_refused(tmp_path: Path, out: Path) -> None:
    one, two = (file(tmp_path / folder / "report.pdf") for folder in "ab")
    chosen = OutputFolders(out).allocate(("report",), two, "")
    run(out, one)
    late = Document(path=two, folder=chosen, page_count=1, pages=[1])
    with pytest.raises(UsageProblem, match="another run has just written to"):
        folder_owners.write([late], out)
