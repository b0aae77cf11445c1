"""What the launcher asks of the runner, and what the runner tells it: the two sides' one language.

The launcher runs on any Python with dsk's own dependencies, the runner in a stack's environment;
between them goes a job, as a file, and events, as lines of JSON.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Document(_Frozen):
    """A document to read: its pages (1-based), and the folder that its outputs go to."""

    path: Path
    folder: Path
    page_count: int
    pages: list[int]


class Server(_Frozen):
    """An OpenAI-compatible server that reads, and what it was seen to serve."""

    url: str
    model: str
    whitelist: tuple[int, ...]
    """Ids of the tokens that the n-gram guard lets repeat."""


class Job(_Frozen):
    """A whole run."""

    documents: list[Document]
    model: Path | None
    """The model's folder; None where servers read."""
    stack: str
    """``server`` where servers read."""
    engine: Literal["V0", "V1", "server"]
    device: Literal["cuda", "cpu"]
    lock_sha256: str
    servers: tuple[Server, ...] = ()
    settings: dict[str, Any]
    """The engine's settings, from the stack."""
    prompt: str
    dpi: int
    max_tokens: int
    ngram_size: int
    ngram_window: int
    patch: bool
    """Whether a checkpoint's own code is patched for the transformers at hand."""


class Starting(_Frozen):
    """What the runner is busy with before the first page."""

    event: Literal["starting"] = "starting"
    what: str


class PageDone(_Frozen):
    """A page has its final state."""

    event: Literal["page"] = "page"
    document: str
    page: int
    status: str
    tokens: int


class Failed(_Frozen):
    """The runner cannot go on; the exit code is of the error's kind."""

    event: Literal["failed"] = "failed"
    message: str


Event = Annotated[Starting | PageDone | Failed, Field(discriminator="event")]
EVENTS: TypeAdapter[Starting | PageDone | Failed] = TypeAdapter(Event)
"""Reads one line of the runner's."""
