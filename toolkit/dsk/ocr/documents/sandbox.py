"""What a process that opens other people's files is confined to: memory, and no core dumps."""

from __future__ import annotations

import resource
from typing import Final

_MEMORY: Final = 8 << 30
"""Bytes of address space. A page of 250 million pixels takes 2 GB, and a document of 50,000 pages
opens in 0.2 GB."""


def confine() -> None:
    """Confine this process, once what reads documents is loaded: no file pays for that.

    Where it was given less (``ulimit -v``), that stays.
    """
    import dsk.ocr.documents.image
    import dsk.ocr.documents.pdf  # noqa: F401

    _, most = resource.getrlimit(resource.RLIMIT_AS)
    memory = _MEMORY if most == resource.RLIM_INFINITY else min(_MEMORY, most)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
