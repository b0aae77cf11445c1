"""Profile of the model that test models replace: their dimensions come from it."""

from __future__ import annotations

from typing import Final

from dsk import models

PROFILE: Final = models.default()
RECORD: Final = PROFILE.record
# Cells in a row of a chart that fills the default view: one cell is one vision token.
SIDE: Final = PROFILE.default_resolution.cells
