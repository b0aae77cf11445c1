"""Run plans, pages and answers for tests that start no process."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dsk import models
from dsk.ocr.engines.worker import PageRead
from dsk.ocr.pipeline.page_state import PageState
from dsk.ocr.schema.engine_config import EngineConfig
from dsk.ocr.schema.run_plan import ModelIdentity, RunPlan

ENGINE = EngineConfig(
    kind="V0",
    profile=models.default().id,
    device="cpu",
    model=Path("model"),
    mode="gundam",
    page_format="views",
    patch=True,
)


def plan(**changes: object) -> RunPlan:
    settings: dict[str, object] = {
        "documents": [],
        "stack": "cpu-v0",
        "lock_sha256": "",
        "identity": ModelIdentity(id=ENGINE.profile, name="a model"),
        "engine": ENGINE,
        "prompt": "<image>\n<|grounding|>Convert the document to markdown.",
        "dpi": 144,
        "max_tokens": 100,
        "ngram_size": 20,
        "ngram_window": 50,
        "attempts": 5,
    }
    return RunPlan(**settings | changes)  # type: ignore[arg-type]


def page(number: int = 1) -> PageState:
    document_run: Any = SimpleNamespace(document=SimpleNamespace(name="a.pdf", sha256="00"))
    return PageState(document_run=document_run, number=number)


def answer(text: str, reason: str = "stop", number: int = 1) -> PageRead:
    return PageRead(
        number=number, text=text, finish_reason=reason, tokens=len(text), prompt_tokens=10
    )
