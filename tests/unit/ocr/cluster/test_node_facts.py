"""Facts of this machine, as a node gathers them."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from tests.unit.ocr.pipeline.plans import ENGINE, plan

from dsk.ocr.cluster import node_facts
from dsk.ocr.results import manifest
from dsk.ocr.schema.run_plan import Document

if TYPE_CHECKING:
    from pathlib import Path


def test_versions_weights_and_unseen_documents_are_gathered(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "a.pdf").touch()
    documents = [
        Document(path=tmp_path / name, folder=tmp_path / "out", page_count=1, pages=[])
        for name in ("a.pdf", "gone.pdf")
    ]
    engine = ENGINE.model_copy(update={"model": tmp_path})
    facts = node_facts.gather(plan(documents=documents, engine=engine), ["2"])
    assert facts.packages["pydantic"] == metadata.version("pydantic")
    assert facts.weights == manifest.weights_hash(tmp_path)
    assert facts.unseen == (str(tmp_path / "gone.pdf"),)
    assert facts.gpus == ("2",)


def test_a_model_that_is_not_there_has_no_hash(tmp_path: Path) -> None:
    engine = ENGINE.model_copy(update={"model": tmp_path / "gone"})
    assert node_facts.gather(plan(engine=engine)).weights == ""
