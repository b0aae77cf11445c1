"""The hostile corpus through the whole of `dsk run`, read by a server that says hostile things."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pymupdf
import pytest
from tests.hostile import corpus, pdf_files
from tests.hostile.answers import ANSWERS, EMPTY, LOOPED
from tests.pipeline.running import processes_with

from dsk.errors import PagesDegraded
from dsk.ocr.documents.inputs import InputOptions, resolve
from dsk.ocr.results.output_folders import OutputFolders

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL import Image
    from tests.fake_server import Fake
    from tests.hostile.corpus import Ends, Hostile

    Fakes = Callable[..., Fake]

FILES = corpus.EVERYTHING
MOST_PAGES = 10_000


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A run that has ended. ``left`` are its processes that have not."""

    code: int
    stderr: str
    out: Path
    left: list[str]
    before: dict[str, str]
    after: dict[str, str]


def run(place: Path, *arguments: object, stdin: bytes = b"") -> Ended:
    """Run `dsk run` in a folder of its own, where everything it could touch is watched."""
    for name in ("work", "home", "temporary", "out"):
        (place / name).mkdir(exist_ok=True)
    before = tree(place)
    done = subprocess.run(
        [sys.executable, "-m", "dsk", "run", *map(str, arguments), "-o", str(place / "out")],
        env=os.environ | {"HOME": str(place / "home"), "TMPDIR": str(place / "temporary")},
        cwd=place / "work",
        input=stdin,
        capture_output=True,
        check=False,
        timeout=600,
    )
    return Ended(
        code=done.returncode,
        stderr=done.stderr.decode(),
        out=place / "out",
        left=processes_with(f"TMPDIR={place / 'temporary'}"),
        before=before,
        after=tree(place),
    )


def tree(place: Path) -> dict[str, str]:
    """Everything below a folder, its output folder apart, with what is in it."""
    return {
        str(file.relative_to(place)): digest(file)
        for file in sorted(place.rglob("*"))
        if file.relative_to(place).parts[0] != "out"
    }


def digest(file: Path) -> str:
    if file.is_symlink():
        return f"to {file.readlink()}"
    return "" if file.is_dir() else hashlib.sha256(file.read_bytes()).hexdigest()


def records(folder: Path) -> list[dict[str, Any]]:
    # Not splitlines(), which also ends a line where a page prints U+2028.
    lines = (folder / "pages.jsonl").read_text("utf-8").rstrip("\n").split("\n")
    return sorted((json.loads(line) for line in lines), key=lambda record: int(record["page"]))


@pytest.fixture(scope="module")
def everything(
    fake: Fakes, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Ended, dict[bytes, Ends]]:
    """One run over the whole corpus; how each file and its pages ended, by its name."""
    place = tmp_path_factory.mktemp("hostile")
    (place / "in").mkdir()
    files = [one.write(place / "in") for one in FILES]
    secret = place / "secret.txt"
    secret.write_text(pdf_files.PASSWORD)
    server = fake(says=lambda image: "words", keeps=False)
    ended = run(
        place, "pdf", "-", "--server", server.url, "--password-file", secret,
        "--max-pages", MOST_PAGES, "--render-seconds", 20,
        stdin=b"\0".join(os.fsencode(file) for file in files),
    )  # fmt: skip
    print(ended.stderr)
    # The same names get the same folders.
    limits = InputOptions(password_file=secret).limits
    options = InputOptions(password_file=secret, limits=limits)
    allocate = OutputFolders(ended.out).allocate
    documents, rejected = resolve(files, ended.out, options, allocate)
    found: dict[bytes, Ends] = {os.fsencode(one.path.name): one.status for one in rejected}
    for document in documents:
        name = os.fsencode(document.path.name)
        if document.page_count > MOST_PAGES:
            found[name] = "refused"
            continue
        found[name] = tuple(str(record["status"]) for record in records(document.folder))
    return ended, found


@pytest.mark.parametrize("hostile", FILES, ids=lambda one: os.fsdecode(one.name[:30]))
def test_each_file_and_page_ends_as_it_has_to(
    everything: tuple[Ended, dict[bytes, Ends]], hostile: Hostile
) -> None:
    _, found = everything
    ends = hostile.ends
    if len(ends) > MOST_PAGES:
        ends = "refused"
    assert found[hostile.name] == ends


def test_the_run_ends_with_the_code_for_pages_that_are_not_whole(
    everything: tuple[Ended, dict[bytes, Ends]],
) -> None:
    ended, found = everything
    assert ended.code == 11
    for name, ends in found.items():
        if isinstance(ends, str) and name.isascii() and name.decode().isprintable():
            assert name.decode() in ended.stderr


def test_run_json_says_what_became_of_each_input(
    everything: tuple[Ended, dict[bytes, Ends]],
) -> None:
    ended, found = everything
    said = json.loads((ended.out / "run.json").read_text("utf-8"))
    whole = [ends for ends in found.values() if isinstance(ends, str)]
    assert sorted(one["status"] for one in said["rejected"]) == sorted(whole)
    pages = Counter(end for ends in found.values() if not isinstance(ends, str) for end in ends)
    assert said["pages"] == pages
    assert len(said["documents"]) + len(said["rejected"]) == len(found) == len(FILES)


def test_nothing_outside_the_output_folder_is_touched(
    everything: tuple[Ended, dict[bytes, Ends]],
) -> None:
    ended, _ = everything
    assert ended.after == ended.before
    for file in ended.out.rglob("*"):
        assert not file.is_symlink()
        assert file.name.isprintable()
        assert not file.name.startswith(".")


def test_no_process_outlives_the_run(everything: tuple[Ended, dict[bytes, Ends]]) -> None:
    assert everything[0].left == []


def test_the_last_of_20000_blank_pages_are_reached(fake: Fakes, tmp_path: Path) -> None:
    file = tmp_path / "blank.pdf"
    file.write_bytes(pdf_files.blank_pages(20_000))
    server = fake(says=lambda image: "words")
    ended = run(tmp_path, "pdf", file, "--pages", "19990-end", "--server", server.url)
    numbers = [record["page"] for record in records(tmp_path / "out/blank")]
    assert numbers == list(range(19_990, 20_001)), ended.stderr


@pytest.fixture(scope="module")
def answered(fake: Fakes, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A run over a document of which each page is answered with one of the hostile answers."""
    place = tmp_path_factory.mktemp("answers")
    document = pymupdf.open()
    for number in range(len(ANSWERS)):
        page = document.new_page(width=100, height=100)
        page.draw_rect((0, 0, 100, 50), color=None, fill=(number / 255, 0, 1))
    document.save(place / "book.pdf")

    def says(image: Image.Image) -> str:
        red, *_ = image.getpixel((0, 0))  # type: ignore[misc]
        return ANSWERS[red]

    return run(place, "pdf", place / "book.pdf", "--server", fake(says=says).url)


def test_hostile_answers_do_nothing(answered: Ended) -> None:
    assert answered.code == PagesDegraded.exit_code, answered.stderr
    assert answered.after == answered.before
    assert answered.left == []


def test_hostile_answers_are_all_in_the_ledger(answered: Ended) -> None:
    found = records(answered.out / "book")
    states = [
        "empty" if at in EMPTY else "looped" if at in LOOPED else "ok" for at in range(len(ANSWERS))
    ]
    assert [record["status"] for record in found] == states
    for at, (record, answer) in enumerate(zip(found, ANSWERS, strict=True)):
        text = answer.encode("utf-8", "replace").decode()
        # What repeats itself is kept once.
        assert record["text"] == text or (at in LOOPED and text.startswith(record["text"]))
