"""Shards of a run: read apart, merged, and the same files as of one run over all pages."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.pipeline import books, running

from dsk.errors import UsageProblem
from dsk.ocr.results import job_file, ledger
from dsk.ocr.run import execution, shards
from dsk.ocr.run.merging import Merge
from dsk.ocr.schema.page_record import Status
from dsk.ocr.schema.shard import Shard

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.ocr.schema.events import Event, Listener
    from dsk.ocr.schema.run_plan import Document, RunPlan

PAGES = (3, 1, 1, 5)
COUNT = 3


class StubExecutor:
    """The runner with a stub engine."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def require(self) -> None:
        pass

    def execute(self, plan: RunPlan, listener: Listener) -> bool:
        del listener
        code, _ = running.run(plan, self._place)
        assert code in (0, 13), code
        return code == 0


def write_books(folder: Path) -> list[Path]:
    folder.mkdir()
    source = random.Random(8)
    files = []
    for number, pages in enumerate(PAGES):
        colours = [(source.randrange(256), source.randrange(256), 0) for _ in range(pages)]
        files.append(books.write(folder / f"book-{number}.pdf", colours))
    return files


def read(plan: RunPlan, place: Path, shard: Shard | None = None) -> bool:
    """Read a run, or a shard of it."""
    if shard:
        out = shard.folder(plan.out)
        documents = [
            document.model_copy(update={"folder": out / document.folder.name})
            for document in shards.part(plan.documents, shard)
        ]
        plan = plan.model_copy(
            update={
                "out": out,
                "documents": documents,
                "shard": shard,
                "inputs_sha256": shards.inputs_hash(plan.documents),
            }
        )
    plan.out.mkdir(parents=True, exist_ok=True)
    return execution.execute(plan, StubExecutor(place), lambda _: None)


def merged(out: Path) -> tuple[bool, list[Event]]:
    events: list[Event] = []
    return Merge(out).run(events.append), events


def plan_for(files: list[Path], out: Path, place: Path) -> RunPlan:
    return running.plan_for(files, out, place / "model")


@dataclass(frozen=True)
class Prepared:
    """A run over all pages, and a folder in which the shards of the same run are read."""

    plan: RunPlan
    alone: RunPlan


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    place = tmp_path_factory.mktemp("shards")
    files = write_books(place / "books")
    prepared = Prepared(
        plan_for(files, place / "out", place), plan_for(files, place / "alone", place)
    )
    read(prepared.alone, place)
    for number in range(1, COUNT + 1):
        assert read(prepared.plan, place, Shard(number=number, count=COUNT))
    # The machine that merges need not have the model.
    (place / "model" / "config.json").unlink()
    return prepared


@pytest.fixture
def prepared(once: Prepared, tmp_path: Path) -> Prepared:
    """Those folders, with the shards at another place."""
    out = tmp_path / "out"
    shutil.copytree(once.plan.out, out)
    documents = [
        document.model_copy(update={"folder": out / document.folder.name})
        for document in once.plan.documents
    ]
    update = {"out": out, "documents": documents}
    return Prepared(once.plan.model_copy(update=update), once.alone)


def test_merged_shards_are_the_files_of_one_run(prepared: Prepared) -> None:
    plan = prepared.plan
    is_whole, events = merged(plan.out)
    assert is_whole
    assert len(events) == sum(PAGES)
    assert_same_files(prepared)
    assert merged(plan.out)[0]
    job = job_file.read(plan.out)
    assert [document.pages for document in job.documents] == [
        tuple(document.pages) for document in plan.documents
    ]
    assert not any(document.left for document in job_file.progress(plan.out, job))


def assert_same_files(prepared: Prepared) -> None:
    for document, expected in zip(prepared.plan.documents, prepared.alone.documents, strict=True):
        assert files_of(document) == files_of(expected)


def files_of(document: Document) -> dict[str, bytes]:
    """The files of a document; of its ledger and manifest what does not name times or records."""
    found = {}
    for file in sorted(document.folder.rglob("*")):
        if not file.is_file():
            continue
        content = file.read_bytes()
        if file.name == "pages.jsonl":
            records = [json.loads(line) for line in content.splitlines()]
            kept = {one["page"]: {**one, "timings": 0, "crc32": 0} for one in records}
            content = json.dumps(sorted(kept.items())).encode()
        found[str(file.relative_to(document.folder))] = content
    return found


def test_more_shards_than_pages_are_merged_too(tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    file = books.write(tmp_path / "books" / "book.pdf", [(1, 2, 0)])
    plan = plan_for([file], tmp_path / "out", tmp_path)
    for number in (1, 2, 3):
        assert read(plan, tmp_path, Shard(number=number, count=3))
    assert merged(plan.out)[0]
    assert (plan.out / "book" / "book.md").exists()


def test_each_page_is_in_one_shard(once: Prepared) -> None:
    documents = once.plan.documents
    every = [(one.name, page) for one in documents for page in one.pages]
    for count in range(1, 30):
        parts = [
            shards.part(documents, Shard(number=number, count=count))
            for number in range(1, count + 1)
        ]
        found = [[(one.name, page) for one in part for page in one.pages] for part in parts]
        assert [page for part in found for page in part] == every
        sizes = [len(part) for part in found]
        assert max(sizes) - min(sizes) <= 1


def test_what_is_missing_is_named(prepared: Prepared, tmp_path: Path) -> None:
    out = prepared.plan.out
    with pytest.raises(UsageProblem, match="there is no shard in"):
        Merge(tmp_path)
    ledger = out / "shard-2-of-3" / "book-2" / "pages.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[:-1]) + lines[-1][:-20])
    with pytest.raises(UsageProblem, match=re.escape("2/3 has 1 page left to read")):
        Merge(out)
    ledger.write_bytes(b"".join(lines))
    (ledger.parent / "manifest.json").unlink()
    with pytest.raises(UsageProblem, match=re.escape("2/3 ended before the files of book-2.pdf")):
        Merge(out)
    ledger.write_bytes(b"".join(lines[:-1]))
    shutil.rmtree(out / "shard-1-of-3")
    with pytest.raises(UsageProblem, match=re.escape("lacks the shard 1/3: read it with --shard")):
        Merge(out)
    done = subprocess.run(
        [sys.executable, "-m", "dsk", "status", out], capture_output=True, text=True, check=True
    )
    for line in ("shard 1/3: not begun", "shard 2/3: 1 page left", "shard 3/3: read"):
        assert line in done.stdout
    assert re.search(r"book-2\.pdf +1 *$", done.stdout, re.MULTILINE), done.stdout
    (out / "shard-1-of-3").mkdir()
    with pytest.raises(UsageProblem, match=re.escape("lacks the shard 1/3: read it with --shard")):
        Merge(out)
    (out / "shard-1-of-2").mkdir()
    with pytest.raises(UsageProblem, match="runs with 2 and 3 shards"):
        Merge(out)


def test_shards_of_different_runs_are_not_merged(prepared: Prepared) -> None:
    folder = prepared.plan.out / "shard-2-of-3"
    plan, settings = shards.read(folder), job_file.read(folder).settings
    changes: list[tuple[dict[str, Any], str, str]] = [
        ({"inputs_sha256": "0" * 64}, settings, "inputs"),
        ({}, "0" * 64, "model, stack or settings"),
        ({"formats": frozenset({"md"})}, settings, "formats"),
    ]
    for change, other, differing in changes:
        changed = plan.model_copy(update=change)
        job_file.write(changed, folder, other)
        shards.write(changed)
        with pytest.raises(UsageProblem, match=f"1/3 and 2/3 differ in their {differing}"):
            Merge(prepared.plan.out)


def test_a_page_that_a_shard_has_read_again_replaces_the_merged_one(prepared: Prepared) -> None:
    out = prepared.plan.out
    part = out / "shard-2-of-3" / "book-2"
    settings = job_file.read(out / "shard-2-of-3").settings
    (plan,) = [one for one in shards.read(out / "shard-2-of-3").documents if one.stem == "book-2"]
    key = ledger.page_key(plan.sha256, 1, settings)
    good = next(ledger.read(part))
    bad = good.model_copy(update={"status": Status.TRUNCATED, "text": "half"})
    with ledger.Ledger(part, {1: key}) as opened:
        opened.append(bad)
    assert not merged(out)[0]
    with ledger.Ledger(part, {1: key}) as opened:
        opened.append(good)
    assert merged(out)[0]
    assert_same_files(prepared)
    with ledger.Ledger(part, {1: key}) as opened:
        opened.append(bad)
    assert merged(out)[0]
    assert_same_files(prepared)


def test_a_killed_merge_goes_on(prepared: Prepared) -> None:
    out = prepared.plan.out
    for pages in range(0, sum(PAGES), 4):
        program = (
            "import os, sys; from pathlib import Path; from dsk.ocr.run.merging import Merge\n"
            "left = [int(sys.argv[2])]\n"
            "def count(event):\n"
            "    left[0] -= 1\n"
            "    if left[0] < 0: os.kill(os.getpid(), 9)\n"
            "Merge(Path(sys.argv[1])).run(count)"
        )
        done = subprocess.run([sys.executable, "-c", program, out, str(pages)], check=False)
        assert done.returncode == -signal.SIGKILL
    assert merged(out)[0]
    assert_same_files(prepared)
    assert not list(out.glob(".dsk-*"))


@pytest.mark.parametrize(
    "text", ["0/3", "4/3", "1", "1/", "/3", "a/b", "-1/3", "1/3/4", "٢/٣", "1/0"]
)
def test_a_text_that_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match="shards are counted from 1"):
        Shard.parse(text)
