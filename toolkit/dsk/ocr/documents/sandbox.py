"""Confine a process that opens untrusted files: a memory limit, and no core dumps."""

from __future__ import annotations

import resource
from typing import Final

# Bytes of address space. Measured: a page of 250 million pixels takes 2 GB, opening a document of
# 50,000 pages 0.2 GB.
_MEMORY: Final = 8 << 30


def confine() -> None:
    """Limit this process's memory after importing the parsers.

    A lower limit that the process already has (``ulimit -v``) is kept.
    """
    # Imported first, so that the libraries do not count against a document.
    import dsk.ocr.documents.image
    import dsk.ocr.documents.pdf  # noqa: F401

    _, hard_limit = resource.getrlimit(resource.RLIMIT_AS)
    is_unlimited = hard_limit == resource.RLIM_INFINITY
    memory = _MEMORY if is_unlimited else min(_MEMORY, hard_limit)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    # A core dump would be as large as the memory, and hold the document.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
