"""Inputs: found, opened and checked before anything is started."""

from pathlib import Path

import pymupdf
import pytest

from dsk.errors import InputUnreadable, UsageProblem
from dsk.ocr.inputs import Wish, find
from dsk.ocr.job import Document


def documents(inputs: list[Path], out: Path, pages: str = "1-end") -> list[Document]:
    found, rejected = find(inputs, out, Wish(pages=pages))
    assert rejected == []
    return found


def pdf(file: Path, pages: int = 1, **settings: object) -> Path:
    document = pymupdf.open()
    for _ in range(pages):
        document.new_page(width=100, height=100)
    file.parent.mkdir(parents=True, exist_ok=True)
    document.save(file, **settings)
    return file


def test_a_file_gets_a_folder_of_its_name(tmp_path: Path) -> None:
    (found,) = documents([pdf(tmp_path / "a.b.pdf", 3)], tmp_path / "out", pages="2-end")
    assert (found.folder, found.page_count, found.pages) == (tmp_path / "out/a.b", 3, [2, 3])


def test_a_folder_stands_for_the_files_below_it_in_order(tmp_path: Path) -> None:
    for name in ("in/b.pdf", "in/a.PDF", "in/deep/a.pdf"):
        pdf(tmp_path / name)
    (tmp_path / "in/notes.txt").write_text("no PDF")
    found = documents([tmp_path / "in"], tmp_path / "out")
    assert [str(one.folder.relative_to(tmp_path / "out")) for one in found] == ["a", "b", "deep/a"]


def test_two_of_one_name_do_not_share_a_folder(tmp_path: Path) -> None:
    files = [pdf(tmp_path / "x/a.pdf"), pdf(tmp_path / "y/a.pdf")]
    found = documents(files, tmp_path / "out")
    assert [one.folder.name for one in found] == ["a", "a-2"]


def test_pages_outside_a_document_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"a\.pdf, which has 2"):
        documents([pdf(tmp_path / "a.pdf", 2)], tmp_path, pages="3")


def broken(folder: Path, kind: str) -> Path:
    file = folder / f"{kind}.pdf"
    match kind:
        case "empty":
            file.write_bytes(b"")
        case "text":
            file.write_bytes(b"Dear Sir or Madam, this is not a PDF.")
        case "locked":
            pdf(file, encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="u", owner_pw="o")
        case "bare folder":
            file = folder / "bare"
            file.mkdir()
    return file


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "there is no file"),
        ("empty", "is empty"),
        ("text", "is not a PDF file"),
        ("locked", "is encrypted"),
        ("bare folder", "there is no PDF file in"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_to_do(tmp_path: Path, kind: str, said: str) -> None:
    file = broken(tmp_path, kind)
    with pytest.raises(InputUnreadable, match=said) as caught:
        documents([file], tmp_path / "out")
    assert str(file) in caught.value.what
    assert caught.value.do


def test_a_file_with_only_an_owners_password_is_read(tmp_path: Path) -> None:
    file = pdf(tmp_path / "a.pdf", encryption=pymupdf.PDF_ENCRYPT_AES_256, owner_pw="o")
    assert documents([file], tmp_path)[0].page_count == 1
