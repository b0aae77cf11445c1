"""The resolutions of DeepSeek-OCR by name."""

from __future__ import annotations

from typing import Final

from dsk import models
from dsk.models.base import Resolution as Mode

__all__ = ["MODES", "Mode", "mode_named"]

_PROFILE: Final = models.profile("deepseek-ocr")

MODES: Final = _PROFILE.resolutions
mode_named = _PROFILE.resolution
