"""Inputs: found, opened and checked before anything is started."""

import errno
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import pymupdf
import pytest
from PIL import Image

from dsk.errors import InputUnreadable, UsageProblem
from dsk.ocr.documents import validation
from dsk.ocr.documents.inputs import InputOptions, resolve
from dsk.ocr.documents.opening import open_document
from dsk.ocr.results.output_folders import OutputFolders
from dsk.ocr.schema.limits import Limits
from dsk.ocr.schema.run_plan import Document, Rejected


def find(
    inputs: list[Path], out: Path, options: InputOptions
) -> tuple[list[Document], list[Rejected]]:
    return resolve(inputs, out, options, OutputFolders(out).allocate)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open files here: the process that opens them in a run has tests in tests/pipeline."""
    monkeypatch.setattr(
        validation.Validator, "_exchange", lambda _validator, request: validation.reply_to(request)
    )


def documents(inputs: list[Path], out: Path, pages: str = "1-end") -> list[Document]:
    found, rejected = find(inputs, out, InputOptions(pages=pages))
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


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("in/a.pdf", "in/closed/b.pdf"):
        pdf(tmp_path / name)
    actual = os.scandir

    def scandir(folder: str | Path) -> object:
        if Path(folder).name == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return actual(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    found, (rejected,) = find([tmp_path / "in"], tmp_path / "out", InputOptions())
    assert [one.stem for one in found] == ["a"]
    assert rejected.path == tmp_path / "in/closed"
    assert "closed cannot be listed (Permission denied)" in rejected.reason


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
        ("bare folder", "there is no PDF file or image in"),
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


def picture(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file


def names(found: list[Document], out: Path) -> list[str]:
    return [str(one.folder.relative_to(out)) for one in found]


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    good = pdf(tmp_path / "in/b.pdf")
    bad = [broken(tmp_path / "in", kind) for kind in ("empty", "locked", "text")]
    found, rejected = find(
        [tmp_path / "in", tmp_path / "gone.pdf"], tmp_path / "out", InputOptions()
    )
    assert [one.path for one in found] == [good]
    assert [one.path for one in rejected] == [*sorted(bad), tmp_path / "gone.pdf"]
    assert all(one.status == "unreadable" and one.reason for one in rejected)


def test_a_document_without_the_pages_asked_for_does_not_stop_the_others(tmp_path: Path) -> None:
    files = [pdf(tmp_path / "a.pdf", 2), pdf(tmp_path / "b.pdf", 5)]
    found, rejected = find(files, tmp_path / "out", InputOptions(pages="4"))
    assert [one.pages for one in found] == [[4]]
    assert "which has 2" in rejected[0].reason


def test_what_is_no_range_is_said_before_any_file_is_opened(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="not a range"):
        find([tmp_path / "gone.pdf"], tmp_path, InputOptions(pages="x"))


@pytest.mark.parametrize(
    ("limits", "flag"),
    [(Limits(max_pages=2), "--max-pages"), (Limits(max_file_mb=1), "--max-file-mb")],
)
def test_a_file_beyond_a_limit_is_refused_and_the_flag_named(
    tmp_path: Path, limits: Limits, flag: str
) -> None:
    large = pdf(tmp_path / "large.pdf", 3)
    with large.open("ab") as stream:
        stream.write(bytes(2_000_000))
    small = pdf(tmp_path / "small.pdf", 1)
    found, (refused,) = find([large, small], tmp_path / "out", InputOptions(limits=limits))
    assert [one.path for one in found] == [small]
    assert refused.status == "refused"
    assert flag in refused.reason


def test_a_document_says_what_it_is_and_what_is_in_it(tmp_path: Path) -> None:
    files = [pdf(tmp_path / "a.pdf"), picture(tmp_path / "b.pdf")]
    found = documents(files, tmp_path / "out")
    assert [one.kind for one in found] == ["pdf", "image"]
    assert [one.sha256 for one in found] == [
        hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    ]


def test_a_folder_stands_for_the_wanted_kinds_and_a_named_file_for_itself(tmp_path: Path) -> None:
    for name in ("in/a.png", "in/no-suffix", "in/b.jpg"):
        picture(tmp_path / name)
    pdf(tmp_path / "in/c.pdf")
    pdf(tmp_path / "in/hidden-pdf")
    for kind, wanted in [
        ("pdf", ["c", "hidden-pdf"]),
        ("image", ["a", "b", "no-suffix"]),
        ("any", ["a", "b", "c", "hidden-pdf", "no-suffix"]),
    ]:
        options = InputOptions(kind=kind)  # type: ignore[arg-type]
        found, _ = find([tmp_path / "in"], tmp_path / "out", options)
        assert names(found, tmp_path / "out") == wanted
    assert documents([tmp_path / "in/a.png"], tmp_path / "out")[0].kind == "image"


def test_a_pattern_stands_for_what_it_matches(tmp_path: Path) -> None:
    for name in ("x2.pdf", "x1.pdf", "y.pdf", "deep/x3.pdf", "[z].pdf"):
        pdf(tmp_path / name)
    out = tmp_path / "out"
    assert names(documents([tmp_path / "x*.pdf"], out), out) == ["x1", "x2"]
    assert names(documents([tmp_path / "**/x*.pdf"], out), out) == ["x3", "x1", "x2"]
    assert names(documents([tmp_path / "[z].pdf"], out), out) == ["[z]"]
    with pytest.raises(InputUnreadable, match="nothing matches"):
        documents([tmp_path / "q*.pdf"], out)


def test_a_list_names_inputs_a_line_each(tmp_path: Path) -> None:
    files = [pdf(tmp_path / name) for name in ("b.pdf", "[a].pdf", "c d.pdf")]
    (tmp_path / "list.txt").write_text("\n".join(map(str, files)) + "\r\n\n")
    found = documents([Path(f"@{tmp_path}/list.txt")], tmp_path / "out")
    assert [one.path for one in found] == files
    with pytest.raises(UsageProblem, match="the list"):
        documents([Path(f"@{tmp_path}/gone.txt")], tmp_path / "out")


def test_a_list_on_standard_input_may_hold_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / "two\nlines.pdf", tmp_path / os.fsdecode(b"caf\xe9.pdf")]
    for file in files:
        file.write_bytes(pdf(tmp_path / "a.pdf").read_bytes())
    given = b"".join(os.fsencode(file) + b"\0" for file in files)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
    found = documents([Path("-")], tmp_path / "out")
    assert [one.path for one in found] == files
    assert [one.stem for one in found] == ["two_lines", "caf_"]


@pytest.mark.parametrize("draw", [pdf, picture])
def test_a_document_on_standard_input_is_kept_under_a_name_of_its_own(
    draw: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix = ".pdf" if draw is pdf else ".png"
    content = draw(tmp_path / f"a{suffix}").read_bytes()
    out = tmp_path / "out"
    found = []
    for _ in range(2):  # the second time is a run that resumes
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        found += documents([Path("-")], out)
    assert found[0] == found[1]
    assert found[0].path.parent == out
    assert found[0].path.read_bytes() == content
    assert found[0].stem.startswith("stdin-")


def test_standard_input_that_is_too_large_or_neither_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = InputOptions(limits=Limits(max_file_mb=1))
    for content, reason in [
        (b"%PDF-1.7" + bytes(1_000_000), "more than 1 MB"),
        (b"PK\3\4" + bytes(100), "neither a PDF file or an image nor a list of paths"),
        (b"x" * 5000, "neither a PDF file or an image nor a list of paths"),
    ]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        with pytest.raises(InputUnreadable, match=reason):
            find([Path("-")], tmp_path / "out", small)
        assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_name_of_any_bytes_comes_back_from_a_job_file(tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"caf\xe9\n.pdf")
    file.write_bytes(pdf(tmp_path / "a.pdf").read_bytes())
    (document,) = documents([file], tmp_path / "out")
    again = Document.model_validate_json(document.model_dump_json())
    assert again == document
    assert again.path.read_bytes() == file.read_bytes()


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    file = pdf(tmp_path / "in/a.pdf")
    (tmp_path / "link.pdf").symlink_to(file)
    assert len(documents([file, tmp_path / "in", tmp_path / "link.pdf"], tmp_path / "out")) == 1


def outputs(folder: Path) -> None:
    """What a run leaves of a document."""
    pdf(folder / f"{folder.name}_layouts.pdf")
    picture(folder / "images/p0001_01.jpg")
    (folder / "pages.jsonl").touch()


@pytest.mark.parametrize("out", ["in", "in/out"])
@pytest.mark.parametrize("given", ["in", "in/**/*.pdf", "in/*/", "in/**/images"])
def test_what_a_run_wrote_is_not_read_by_the_next(tmp_path: Path, out: str, given: str) -> None:
    pdf(tmp_path / "in/deep/a.pdf")
    picture(tmp_path / "in/deep/images/b.jpg")
    options = InputOptions(kind="image" if "images" in given else "pdf")
    before, _ = find([tmp_path / given], tmp_path / out, options)
    for document in before:
        outputs(document.folder)
    assert find([tmp_path / given], tmp_path / out, options) == (before, [])


def test_a_users_documents_in_the_output_folder_are_read(tmp_path: Path) -> None:
    out = tmp_path / "in/out"
    outputs(out / "a")
    for name in ("b.pdf", "mine/c.pdf"):
        pdf(out / name)
    for given in ("in", "in/**/*.pdf", "in/out"):
        found = documents([tmp_path / given], out)
        assert [one.path for one in found] == [out / "b.pdf", out / "mine/c.pdf"]


def test_a_pattern_that_matches_outputs_alone_matches_nothing(tmp_path: Path) -> None:
    outputs(tmp_path / "out/a")
    with pytest.raises(InputUnreadable, match="what dsk wrote is left out"):
        documents([tmp_path / "out/**/*.pdf"], tmp_path / "out")


def test_an_output_that_is_named_is_read(tmp_path: Path) -> None:
    outputs(tmp_path / "out/a")
    (found,) = documents([tmp_path / "out/a/a_layouts.pdf"], tmp_path / "out")
    assert found.path.name == "a_layouts.pdf"


def test_links_in_a_ring_are_not_followed(tmp_path: Path) -> None:
    pdf(tmp_path / "in/a.pdf")
    (tmp_path / "in/round").symlink_to(tmp_path / "in")
    assert len(documents([tmp_path / "in"], tmp_path / "out")) == 1


def test_a_pipe_is_no_document_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pdf")
    with pytest.raises(InputUnreadable, match="is not a file"):
        documents([tmp_path / "pipe.pdf"], tmp_path / "out")


def test_a_password_opens_what_is_encrypted_and_stays_in_its_file(tmp_path: Path) -> None:
    file = broken(tmp_path, "locked")
    secret = tmp_path / "secret.txt"
    secret.write_text("u\n")
    found, _ = find([file], tmp_path / "out", InputOptions(password_file=secret))
    with open_document(found[0], Limits()) as source:
        assert source.image(1, 72).size == (100, 100)
    secret.write_text("wrong\n")
    with pytest.raises(InputUnreadable, match="the password does not open"):
        find([file], tmp_path / "out", InputOptions(password_file=secret))


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_a_password_file_without_a_password_is_refused(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(UsageProblem, match="password file"):
        find([tmp_path], tmp_path / "out", InputOptions(password_file=tmp_path / "secret"))


def test_what_a_folder_leaves_out_is_named_with_a_count_by_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    pdf(folder / "a.pdf")
    for name in ("b.txt", "sub/c.TXT", "d.docx", "README"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("words")
    os.mkfifo(folder / "pipe.pdf")
    (folder / "gone.pdf").symlink_to("nowhere.pdf")
    (folder / "more").symlink_to(tmp_path)
    assert len(documents([folder], tmp_path / "out")) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "7 entries of the folder" in told
    for kind in ("2 .txt", "1 .docx", "1 without a suffix", "1 pipe, socket or device"):
        assert kind in told
    assert "1 link that leads nowhere" in told
    assert "1 link to a folder" in told


def test_a_folder_of_documents_alone_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pdf(tmp_path / "in" / "a.pdf")
    documents([tmp_path / "in"], tmp_path / "out")
    assert capsys.readouterr().err == ""


def test_pages_are_those_that_each_document_of_a_folder_has(tmp_path: Path) -> None:
    long, short = pdf(tmp_path / "in" / "a.pdf", 30), pdf(tmp_path / "in" / "b.pdf", 2)
    found = documents([tmp_path / "in"], tmp_path / "out", pages="1-20")
    assert [len(document.pages) for document in found] == [20, 2]
    with pytest.raises(UsageProblem, match=r"not in .*b\.pdf, which has 2"):
        find([short], tmp_path / "out", InputOptions(pages="1-20"))
    assert len(documents([long], tmp_path / "out", pages="1-20")[0].pages) == 20
