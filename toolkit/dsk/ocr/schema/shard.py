"""A shard: one of the parts that the pages of a run are divided into, each read on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field

from dsk.errors import UsageProblem
from dsk.frozen import Frozen

if TYPE_CHECKING:
    from pathlib import Path


class Shard(Frozen):
    """A shard of a run."""

    number: Annotated[int, Field(ge=1)]
    """1-based."""
    count: Annotated[int, Field(ge=1)]
    """Number of shards that the run has."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shard of a text such as ``2/8``.

        Raises:
            UsageProblem: it is not of that form, or there is no such shard.
        """
        number, slash, count = text.partition("/")
        if not (slash and _is_number(number) and _is_number(count)):
            what = f"--shard takes a number and how many there are, such as 2/8, not {text!r}"
            raise UsageProblem(what, do="shards are counted from 1")
        if not 1 <= int(number) <= int(count):
            what = f"there is no shard {text}"
            do = f"shards are counted from 1 to {count}: add 1 to an index that begins with 0"
            raise UsageProblem(what, do=do)
        return cls(number=int(number), count=int(count))

    def __str__(self) -> str:
        """Return the text that `parse` takes."""
        return f"{self.number}/{self.count}"

    def folder(self, out: Path) -> Path:
        """Return the shard's own folder below the output folder of the run."""
        return out / f"shard-{self.number}-of-{self.count}"


def _is_number(text: str) -> bool:
    # Not int(): it takes signs, spaces and other scripts' digits. Nine digits are plenty.
    return text.isascii() and text.isdigit() and len(text) < 10
