"""Configuration of the engine that reads: made once while planning, used by run and serve alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from dsk.frozen import Frozen

# `views` are uint8 arrays that dsk has cut, `png` is a whole picture.
PageFormat = Literal["views", "png"]


class Server(Frozen):
    """An OpenAI-compatible server that reads, and what it was seen to serve."""

    url: str
    model: str
    whitelist: tuple[int, ...]
    """Ids of the tokens that the n-gram guard lets repeat."""


class EngineConfig(Frozen):
    """Everything an engine is started with.

    ``kind`` is vLLM's engine generation, or ``server`` where pages go to servers over HTTP.
    """

    kind: Literal["V0", "V1", "server"]
    device: Literal["cuda", "cpu"]
    profile: str
    """Id of the model's profile; see `dsk.models`."""
    model: Path | None
    """The model's folder; None where servers read."""
    mode: str
    """The resolution that pages are read at first, by its name in the model's profile."""
    page_format: PageFormat
    package: str | None = None
    """The package of dsk that holds the model for this vLLM; None for vLLM's own model."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """vLLM's engine arguments, by their names in Python."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Variables that this vLLM release needs."""
    patch: bool
    """True if a checkpoint's own code is patched for the transformers at hand."""
    servers: tuple[Server, ...] = ()
    wait_seconds: int = 300
    """The longest that a server may be away or busy before the run goes on without it."""


class CardPlacement(Frozen):
    """Engines that read beside each other on one GPU, or on one MIG instance of it.

    Without a ``device`` they read on what CUDA takes by itself, or on the CPU.
    """

    device: str = ""
    """The GPU's number in PCI order, or the instance's UUID, as ``CUDA_VISIBLE_DEVICES`` has it."""
    number: int | None = None
    """The GPU's number in PCI order, which is that of nvidia-smi."""
    uuid: str = ""
    """Of the GPU, or of the instance."""
    label: str = ""
    """Its name in messages, such as ``GPU 1``."""
    name: str = ""
    """Its model, such as ``NVIDIA H200``."""
    engines: int = Field(default=1, ge=1)
    settings: dict[str, Any] = Field(default_factory=dict)
    """vLLM's engine arguments that differ here from those of the engine's configuration."""

    def __str__(self) -> str:
        """Return its label, and its model if that is known; empty without a label."""
        return f"{self.label} ({self.name})" if self.label and self.name else self.label

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that keep an engine on the card."""
        if not self.device:
            return {}
        # CUDA's own order puts the fastest card first: only in PCI order do numbers agree with
        # NVML, which vLLM asks about the card. vLLM 0.8.5 takes no UUID of a whole GPU.
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": self.device}


class Placement(Frozen):
    """The engines that read at once on this host: one or several on each of its cards."""

    cards: tuple[CardPlacement, ...] = Field(default=(CardPlacement(),), min_length=1)
    starts_at_once: int | None = Field(default=None, ge=1)
    """Engines that may load at the same time; None for all of them."""

    @property
    def engines(self) -> int:
        """Number of all engines."""
        return sum(card.engines for card in self.cards)

    def described(self) -> list[dict[str, Any]]:
        """Return the cards for a manifest: without UUIDs, which name a machine; none if unnamed."""
        return [
            {
                "gpu": card.label.removeprefix("GPU "),
                "name": card.name,
                "engines": card.engines,
                "settings": card.settings,
            }
            for card in self.cards
            if card.device
        ]
