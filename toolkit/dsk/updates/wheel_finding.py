"""The result of one static check of a stack's wheels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# "mended": the wheel has the fault, and dsk corrects it. "unknown": it could not be looked at.
Result = Literal["right", "mended", "fault", "unknown"]


@dataclass(frozen=True, kw_only=True)
class WheelFinding:
    """The result of a check, and the evidence for it in words."""

    check: str
    result: Result
    text: str

    @property
    def line(self) -> str:
        """The finding in a line, the result first where it is not right."""
        mark = "" if self.result == "right" else f"{self.result.upper()}: "
        return f"{self.check}: {mark}{self.text}"
