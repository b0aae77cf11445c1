"""Sources of engines: the cards that a run reads on, and a connection to an engine on each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dsk.ocr.engines.handle import EngineHandle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dsk.ocr.engines.connection import EngineConnection
    from dsk.ocr.ipc.channel import Channel
    from dsk.ocr.schema.engine_config import CardPlacement, Placement


@dataclass(frozen=True)
class CardJoined:
    """A card can read: a new one, or one whose engine had been lost."""

    card: int
    """Its position among the cards of the run, in the order in which they came."""
    placement: CardPlacement


@dataclass(frozen=True)
class SourceWarning:
    """A message about the source that the user should see."""

    message: str


class EngineSource(Protocol):
    """Where the engines of a run are."""

    renders: bool
    """True if its engines render the pages, which are then sent by their numbers."""

    @property
    def placement(self) -> Placement | None:
        """Cards that are there from the beginning; None if all of them join later."""

    @property
    def channels(self) -> list[Channel]:
        """Channels to wait for, beside those of the engines."""

    def open(self) -> None:
        """Look for cards, from the first page on that is to be read."""

    def start(self, number: int, card: int) -> EngineConnection:
        """Start an engine.

        Args:
            number: its number among the engines of the run, from 1.
            card: the position of its card.

        Raises:
            EngineMissing: it cannot be started.
        """

    def poll(self, channels: Sequence[Channel]) -> Iterator[CardJoined | SourceWarning]:
        """Receive from the source's readable channels.

        Raises:
            DskError: there is no way to any engine, for the reason given.
        """

    def close(self) -> None:
        """Release the cards."""


class LocalEngines:
    """Engines of this machine, each a process; see `EngineSource`.

    Args:
        command: the command that starts an engine.
        file: the plan's file, for the engines.
        placement: the cards.
    """

    renders = False

    def __init__(self, command: Sequence[str | Path], file: Path, placement: Placement) -> None:
        self._command = command
        self._file = file
        self.placement: Placement | None = placement
        self._cards = placement.cards
        self.channels: list[Channel] = []

    def open(self) -> None:
        """See `EngineSource.open`: the cards are known."""

    def start(self, number: int, card: int) -> EngineConnection:
        """See `EngineSource.start`."""
        variables = self._cards[card].environment
        return EngineHandle(self._command, self._file, number, card, variables)

    def poll(self, channels: Sequence[Channel]) -> Iterator[CardJoined | SourceWarning]:
        """See `EngineSource.poll`: no card comes or goes."""
        del channels
        yield from ()

    def close(self) -> None:
        """See `EngineSource.close`: the engines end by themselves."""
