"""`job.json`: the model of a run, which no other model's pages are mixed with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.unit.ocr.pipeline.plans import plan

from dsk.errors import UsageProblem
from dsk.ocr.results import folder_owners, job_file, ledger
from dsk.ocr.results.ledger import Ledger
from dsk.ocr.schema import run_files
from dsk.ocr.schema.page_record import PageRecord, Status
from dsk.ocr.schema.run_plan import Document, ModelIdentity, RunPlan

if TYPE_CHECKING:
    from pathlib import Path

FIRST = ModelIdentity(
    id="one", name="Model One", hub="owner/One", revision="1" * 40, weights="a" * 64
)
SECOND = ModelIdentity(
    id="two", name="Model Two", hub="owner/Two", revision="2" * 40, weights="b" * 64
)
FINE_TUNED = ModelIdentity(id="one", name="Model One", weights="c" * 64)
TEST_MODEL = ModelIdentity(id="one", name="Model One", test_model=True, weights="d" * 64)
SERVED = ModelIdentity(id="one", name="Model One", server_model="prod")


def a_run(out: Path, model: ModelIdentity, *names: str, **settings: object) -> RunPlan:
    documents = [
        Document(
            path=out.parent / f"{name}.pdf",
            folder=out / name,
            page_count=1,
            pages=[1],
            sha256=name * 8,
        )
        for name in names
    ]
    return plan(out=out, identity=model, documents=documents, **settings)


def begin(run: RunPlan) -> None:
    """What every run writes before it reads a page."""
    run.out.mkdir(exist_ok=True)
    for document in run.documents:
        document.folder.mkdir(exist_ok=True)
    folder_owners.write(run.documents, run.out)
    settings = {"settings": "s", "documents": [], "model": run.identity.model_dump()}
    (run.out / run_files.JOB).write_text(json.dumps(settings))


def read_all(run: RunPlan) -> None:
    begin(run)
    for document in run.documents:
        key = ledger.page_key(document.sha256, 1, "s")
        with Ledger(document.folder, {1: key}, overwrite=True) as pages:
            pages.append(PageRecord(key=key, page=1, status=Status.OK, text="x"))


@pytest.mark.parametrize("other", [SECOND, FINE_TUNED, TEST_MODEL])
def test_another_model_is_refused_by_both_names(other: ModelIdentity, tmp_path: Path) -> None:
    out = tmp_path / "out"
    read_all(a_run(out, FIRST, "a"))
    for second in (a_run(out, other, "a"), a_run(out, other, "b")):
        with pytest.raises(UsageProblem) as refused:
            job_file.require_one_model(second)
        assert f"pages that {FIRST} has read" in refused.value.what
        assert f"would read with {other}" in refused.value.what
        assert "another folder with -o" in refused.value.do
        assert "--overwrite" in refused.value.do


@pytest.mark.parametrize("again", [FIRST, FIRST.model_copy(update={"hub": "", "revision": ""})])
def test_the_same_model_goes_on_wherever_it_lies(again: ModelIdentity, tmp_path: Path) -> None:
    out = tmp_path / "out"
    read_all(a_run(out, FIRST, "a"))
    job_file.require_one_model(a_run(out, again, "a", "b"))


def test_of_a_served_model_the_profile_is_compared(tmp_path: Path) -> None:
    out = tmp_path / "out"
    read_all(a_run(out, FIRST, "a"))
    job_file.require_one_model(a_run(out, SERVED, "a"))
    with pytest.raises(UsageProblem, match=r"would read with Model Two \(served as prod\)"):
        job_file.require_one_model(
            a_run(out, SERVED.model_copy(update={"id": "two", "name": "Model Two"}), "a")
        )


def test_a_run_that_overwrites_every_document_changes_the_model(tmp_path: Path) -> None:
    out = tmp_path / "out"
    read_all(a_run(out, FIRST, "a", "b"))
    job_file.require_one_model(a_run(out, SECOND, "a", "b", overwrite=True))
    with pytest.raises(UsageProblem, match=r"or add the documents of .*/b$"):
        job_file.require_one_model(a_run(out, SECOND, "a", overwrite=True))


def test_a_run_that_read_nothing_binds_nobody(tmp_path: Path) -> None:
    out = tmp_path / "out"
    job_file.require_one_model(a_run(out, FIRST, "a"))
    begin(a_run(out, FIRST, "a"))
    job_file.require_one_model(a_run(out, SECOND, "a"))


def test_pages_of_an_earlier_run_count_even_if_the_last_one_read_none(tmp_path: Path) -> None:
    out = tmp_path / "out"
    read_all(a_run(out, FIRST, "a"))
    begin(a_run(out, FIRST, "b"))
    with pytest.raises(UsageProblem, match="holds pages that Model One"):
        job_file.require_one_model(a_run(out, SECOND, "b"))


def test_the_file_of_an_earlier_release_names_no_model(tmp_path: Path) -> None:
    out = tmp_path / "out"
    read_all(a_run(out, FIRST, "a"))
    content = json.loads((out / run_files.JOB).read_text())
    del content["model"]
    (out / run_files.JOB).write_text(json.dumps(content))
    assert job_file.read(out).model is None
    job_file.require_one_model(a_run(out, SECOND, "a"))


def test_a_model_is_described_by_where_it_comes_from() -> None:
    assert str(FIRST) == f"Model One (owner/One@{'1' * 12})"
    assert str(FINE_TUNED) == f"Model One (a folder, weights {'c' * 12})"
    assert str(TEST_MODEL) == f"Model One (a test model, weights {'d' * 12})"
    assert str(SERVED) == "Model One (served as prod)"
