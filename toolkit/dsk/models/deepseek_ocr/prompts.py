"""The prompts of DeepSeek-OCR by name."""

from __future__ import annotations

from typing import Final

from dsk import models

_PROFILE: Final = models.profile("deepseek-ocr")

KEPT_TOKENS: Final = _PROFILE.record.kept_tokens
NAMED: Final = _PROFILE.record.prompts
prompt_for = _PROFILE.prompt_for
ungrounded = _PROFILE.ungrounded
