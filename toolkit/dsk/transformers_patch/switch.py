"""Switch that keeps the patch out of a process.

Imported when an interpreter starts, so it imports next to nothing.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # typing is not imported yet when an interpreter starts
if TYPE_CHECKING:
    from collections.abc import Mapping

# Environment variable: any value but an empty one or 0 keeps the patch out of the process.
OFF_SWITCH = "DSK_NO_PATCH"


def switched_off(environ: Mapping[str, str] = os.environ) -> bool:
    """Return True if ``DSK_NO_PATCH`` keeps the patch out."""
    return environ.get(OFF_SWITCH, "0") not in ("", "0")
