"""The check of a stack's lock against the metadata of its wheels."""

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
    """The result of a check: contradictions, and a summary for when there are none."""

    faults: list[str]
    summary: str


def check(stack: Stack) -> LockCheck:
    """Check a stack's lock against its wheels' metadata.

    Raises:
        MatrixInvalid: the lock is missing or invalid.
        EngineMissing: metadata is not in the cache yet and the index cannot be reached.
    """
    locked = lock_file.parse(stack.lock_file)
    by_name = wheels.locked_wheels(stack)
    own = metadata.requires(DSK) or ()
    found = faults(stack, locked, by_name, wheels.archives_of(stack), own)
    # More than one of them is a fault already.
    majors = " and ".join(map(str, cuda_of(by_name)))
    summary = f"{len(locked)} packages, every requirement is met"
    if stack.overrides:
        summary += f" or is one of {len(stack.overrides)} stated overrides"
    cuda = f"; CUDA {majors} throughout" if majors else ""
    return LockCheck(faults=found, summary=summary + cuda)
