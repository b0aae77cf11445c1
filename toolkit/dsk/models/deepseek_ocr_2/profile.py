"""DeepSeek-OCR-2: the family's rules as they are; its table has all that is its own."""

from __future__ import annotations

from dsk.models.tiled import TiledProfile


class DeepseekOcr2Profile(TiledProfile):
    """The profile of DeepSeek-OCR-2."""


PROFILE_CLASS = DeepseekOcr2Profile
