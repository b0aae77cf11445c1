"""Choices of what outputs hold: the official scripts' files, and texts of the documents' own."""

from __future__ import annotations

from typing import Literal

# `official`: write the files of the model's own scripts instead of the formats of dsk.
Compat = Literal["", "official"]

# ``auto`` takes a page's own text where no attempt to read it came out whole, ``only`` asks the
# model for no page, and ``never`` leaves that text alone.
TextLayer = Literal["auto", "only", "never"]
