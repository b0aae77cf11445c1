"""What a process that opens other people's files is confined to: memory, and no core dumps."""

from __future__ import annotations

import resource
from typing import Final

_MEMORY: Final = 8 << 30
"""Bytes of address space. A page of 250 million pixels takes 2 GB, and a document of 50,000 pages
opens in 0.2 GB."""


def confine() -> None:
    """Confine this process, once what reads documents is loaded: no file pays for that."""
    import dsk.ocr.image_source
    import dsk.ocr.pdf_source  # noqa: F401

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
