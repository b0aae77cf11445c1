"""Unlimited-OCR: the family's rules, for requests of one image."""

from __future__ import annotations

from dsk.models.tiled import TiledProfile


class UnlimitedOcrProfile(TiledProfile):
    """The profile of Unlimited-OCR.

    The published code cuts no image of a request that has several: dsk sends each page alone.
    """


PROFILE_CLASS = UnlimitedOcrProfile
