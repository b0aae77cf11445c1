"""Check that vLLM has every name that dsk's plugin imports from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk import paths
from dsk.updates.own_imports import missing
from dsk.updates.wheel_finding import WheelFinding

if TYPE_CHECKING:
    from dsk.updates.checks.subject import Subject

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
    files = [
        file
        for package in folders
        for file in sorted((paths.PACKAGE.joinpath(*package.split(".")[1:])).rglob("*.py"))
    ]
    absent = missing(subject.vllm, "vllm", files)
    if absent:
        return WheelFinding(check=NAME, result="fault", text=f"vLLM lacks {', '.join(absent)}")
    text = f"vLLM has all that {', '.join(folders)} imports"
    return WheelFinding(check=NAME, result="right", text=text)
