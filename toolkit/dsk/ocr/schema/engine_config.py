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


class Placement(Frozen):
    """The engines that read at once on this host."""

    engines: int = 1
