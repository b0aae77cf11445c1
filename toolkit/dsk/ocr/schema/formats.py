"""Compatibility of outputs with the files of the model's own scripts."""

from __future__ import annotations

from typing import Literal

# `official`: write the files of the model's own scripts instead of the formats of dsk.
Compat = Literal["", "official"]
