"""`dsk matrix check`: gather what a stack's wheels say, then judge it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from dsk.locks import lock_file, wheels
from dsk.locks.conflicts import DSK, cuda_of, faults

if TYPE_CHECKING:
    from dsk.matrix.stack import Stack


@dataclass(frozen=True, kw_only=True)
class LockCheck:
    """A stack that was checked: what does not agree, and, where all does, that in words."""

    faults: list[str]
    told: str


def check(stack: Stack) -> LockCheck:
    """Hold a stack's lock against its wheels' metadata.

    Raises:
        MatrixInvalid: there is no lock, or it is not one.
        EngineMissing: metadata is not in the cache yet and the index cannot be reached.
    """
    locked = lock_file.parse(stack.lock_file)
    read = wheels.of_lock(stack)
    found = faults(stack, locked, read, wheels.archives_of(stack), metadata.requires(DSK) or ())
    majors = " and ".join(map(str, cuda_of(read)))
    told = f"{len(locked)} packages, every demand holds"
    if stack.overrides:
        told += f" or is one of {len(stack.overrides)} stated overrides"
    return LockCheck(faults=found, told=told + (f"; CUDA {majors} throughout" if majors else ""))
