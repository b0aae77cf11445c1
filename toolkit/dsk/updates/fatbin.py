"""Compute capabilities of the machine code in a CUDA library, from its fat binaries."""

from __future__ import annotations

import mmap
import shutil
import struct
import tempfile
from typing import IO, Final

# NVIDIA publishes no description of this format; LLVM and cuobjdump read these fields so. A
# container has magic, version, header size and the size of what follows; each entry in it has
# kind, header size, size of its content and, at byte 28, the compute capability as a whole number.
_MAGIC: Final = struct.pack("<I", 0xBA55ED50)
_CONTAINER: Final = struct.Struct("<IHHQ")
_ENTRY: Final = struct.Struct("<HHIQ12xI")
_MACHINE_CODE: Final = 2  # 1 is PTX, which a driver has yet to compile
_LATEST: Final = 999  # no capability is above it: other bytes with the magic number are left out


def machine_code(library: IO[bytes]) -> set[int]:
    """Return the compute capabilities, 90 for 9.0, of all machine code in a library.

    Args:
        library: its bytes, read once from the start.
    """
    with tempfile.TemporaryFile() as unpacked:
        # A library of 100 MB is mapped, not held in memory.
        shutil.copyfileobj(library, unpacked, 1 << 20)
        unpacked.flush()
        if not unpacked.tell():
            return set()
        with mmap.mmap(unpacked.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _capabilities(content)


def _capabilities(content: mmap.mmap) -> set[int]:
    found: set[int] = set()
    at = content.find(_MAGIC)
    while at >= 0:
        end = at + len(_MAGIC)
        if at + _CONTAINER.size <= len(content):
            _, _, header, size = _CONTAINER.unpack_from(content, at)
            entry, after = at + header, at + header + size
            if header >= _CONTAINER.size and after <= len(content):
                found |= _entries(content, entry, after)
                end = max(end, after)
        at = content.find(_MAGIC, end)
    return found


def _entries(content: mmap.mmap, at: int, after: int) -> set[int]:
    found: set[int] = set()
    while at + _ENTRY.size <= after:
        kind, _, header, size, capability = _ENTRY.unpack_from(content, at)
        if header < _ENTRY.size:
            break
        if kind == _MACHINE_CODE and 0 < capability <= _LATEST:
            found.add(capability)
        at += header + size
    return found
