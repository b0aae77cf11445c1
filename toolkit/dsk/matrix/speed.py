"""Recorded speeds of stacks, from ``compat/evidence/speed``: which of two stacks reads faster."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsk.errors import MatrixInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from dsk.matrix.catalog import Matrix
    from dsk.matrix.stack import Stack


@dataclass(frozen=True, kw_only=True)
class Speed:
    """A recorded run of `dsk bench`.

    Args:
        stack: id of the stack, which may be an earlier version of one.
        gpu: the card's name as its driver has it.
        pages_per_second: from documents to files, with a started engine.
        date: the day of the run.
    """

    stack: str
    gpu: str
    pages_per_second: float
    date: dt.date


def load(matrix: Matrix) -> list[Speed]:
    """Load the recorded speeds of single cards, oldest first.

    Runs on several cards are left out: their pages a second are not those of one.

    Raises:
        MatrixInvalid: a file is not a record of `dsk bench`.
    """
    folder = matrix.folder / "evidence" / "speed"
    found = (speed for file in sorted(folder.glob("*.json")) if (speed := _read(file)))
    return sorted(found, key=lambda speed: speed.date)


def faster(stack: Stack, others: Iterable[Stack], known: Sequence[Speed]) -> list[str]:
    """Return a line for each of the others that read faster than a stack on the same card.

    Args:
        stack: the one to compare with.
        others: stacks that could run in its place.
        known: all recorded speeds, oldest first.
    """
    lines = []
    own = _latest(stack, known)
    for other in others:
        for gpu, speed in _latest(other, known).items():
            mine = own.get(gpu)
            if mine and speed.pages_per_second > mine.pages_per_second:
                # The record may be of an earlier version of the stack.
                lines.append(
                    f"{other.id} is faster: on an {gpu} {speed.stack} read "
                    f"{speed.pages_per_second:.1f} pages a second, {mine.stack} "
                    f"{mine.pages_per_second:.1f}"
                )
    return lines


def _latest(stack: Stack, known: Iterable[Speed]) -> dict[str, Speed]:
    """Return a stack's last speed on each card; that of an earlier version if it has none."""
    versions = {speed.gpu: speed for speed in known if speed.stack.partition("@")[0] == stack.base}
    return versions | {speed.gpu: speed for speed in known if speed.stack == stack.id}


def _read(file: Path) -> Speed | None:
    """Return the speed of a record; None for a run on several cards."""
    try:
        record = json.loads(file.read_bytes())
        if record["machine"].get("gpus", 1) > 1:
            return None
        return Speed(
            stack=record["stack"],
            gpu=record["machine"]["gpu"],
            pages_per_second=float(record["bench"]["dsk"]["pages_per_second"]),
            date=dt.date.fromisoformat(record["date"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{file}: it is no record of dsk bench ({type(error).__name__}: {error})"
        raise MatrixInvalid(what, do="dsk bench writes one") from error
