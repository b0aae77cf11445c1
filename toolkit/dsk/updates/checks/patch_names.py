"""Check that transformers has every name that the patch of the models' remote code imports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk import paths
from dsk.updates.own_imports import missing
from dsk.updates.wheel_finding import WheelFinding

if TYPE_CHECKING:
    from dsk.updates.checks.subject import Subject

NAME: Final = "patch's names"


def check(subject: Subject) -> WheelFinding:
    """Look up what `dsk.transformers_patch.shims` imports from transformers."""
    # Patched files import the shims and nothing else of dsk.
    files = sorted((paths.PACKAGE / "transformers_patch" / "shims").glob("*.py"))
    absent = missing(subject.transformers, "transformers", files)
    if absent:
        return WheelFinding(
            check=NAME, result="fault", text=f"transformers lacks {', '.join(absent)}"
        )
    text = "transformers has all that dsk.transformers_patch.shims imports"
    return WheelFinding(check=NAME, result="right", text=text)
