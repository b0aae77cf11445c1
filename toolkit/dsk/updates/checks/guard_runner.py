"""Check that the model runner which a GPU takes accepts the guard that dsk names to the engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import dsk
from dsk.updates.wheel_finding import WheelFinding
from dsk.vllm_plugin.guard.acceptance import interfaces_of, judge, read_model_runner
from dsk.vllm_plugin.releases import NATIVE_GUARD

if TYPE_CHECKING:
    from dsk.updates.checks.subject import Subject

NAME: Final = "guard on a GPU"


def check(subject: Subject) -> WheelFinding:
    """Judge each guard that dsk names for the models, by the sources in vLLM's wheel."""
    if subject.stack.device != "cuda":
        return _right("the stack is not for a GPU")
    release = subject.version
    guards = sorted({support.guard for support in subject.supports if support.guard})
    if not guards:
        return _right("the models attach their guard themselves")
    runner = read_model_runner(subject.vllm.text)
    judged = [
        judge(
            release,
            guard,
            interfaces_of(guard, subject.vllm.text if guard == NATIVE_GUARD else own_source),
            runner,
        )
        for guard in guards
    ]
    if refused := [each.text for each in judged if not each.accepted]:
        return WheelFinding(check=NAME, result="fault", text="; ".join(refused))
    return _right("; ".join(each.text for each in judged))


def own_source(name: str) -> str | None:
    """Return the text of a file of dsk's own by its path from the package's parent."""
    file = Path(dsk.__file__).parent.parent / name
    return file.read_text("utf-8") if file.is_file() else None


def _right(text: str) -> WheelFinding:
    return WheelFinding(check=NAME, result="right", text=text)
