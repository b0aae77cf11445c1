"""Check that vLLM has every name that dsk's plugin imports from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk import paths
from dsk.updates.checks.guard_runner import own_source
from dsk.updates.own_imports import missing
from dsk.updates.wheel_finding import WheelFinding
from dsk.vllm_plugin.guard.acceptance import interfaces_of, read_model_runner

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.updates.checks.subject import Subject
    from dsk.vllm_plugin.guard.acceptance import Interface

NAME: Final = "plugin's names"


def check(subject: Subject) -> WheelFinding:
    """Look up what the plugin's package for this release imports from vLLM."""
    supports = subject.supports
    if warning := next((support.warning for support in supports if support.warning), ""):
        text = f"{warning}; releases.py of dsk's plugin needs a row for it"
        return WheelFinding(check=NAME, result="fault", text=text)
    folders = sorted({support.package for support in supports if support.package})
    if not folders:
        text = "vLLM's own models are used" if supports else "it reads none of the models"
        return WheelFinding(check=NAME, result="right", text=text)
    taken = _runner(subject)
    files = [
        file
        for package in folders
        for file in sorted((paths.PACKAGE.joinpath(*package.split(".")[1:])).rglob("*.py"))
        # A guard for the other runner is not loaded.
        if not (interfaces := interfaces_of(_module(file), own_source)) or taken in interfaces
    ]
    absent = missing(subject.vllm, "vllm", files)
    if absent:
        return WheelFinding(check=NAME, result="fault", text=f"vLLM lacks {', '.join(absent)}")
    text = f"vLLM has all that {', '.join(folders)} imports"
    return WheelFinding(check=NAME, result="right", text=text)


def _runner(subject: Subject) -> Interface:
    """Return the model runner that this release takes on the stack's device."""
    # Model Runner V2 needs Triton, which a CPU has not.
    on_gpu = subject.stack.device == "cuda"
    return read_model_runner(subject.vllm.text).taken if on_gpu else "V1"


def _module(file: Path) -> str:
    inside = file.relative_to(paths.PACKAGE.parent).with_suffix("")
    return ".".join(inside.parts)
