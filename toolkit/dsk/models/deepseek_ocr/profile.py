"""DeepSeek-OCR: the family's rules as they are; its table has all that is its own."""

from __future__ import annotations

from dsk.models.tiled import TiledProfile


class DeepseekOcrProfile(TiledProfile):
    """The profile of DeepSeek-OCR."""


PROFILE_CLASS = DeepseekOcrProfile
