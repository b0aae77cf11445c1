"""What the launcher asks of the runner, and what the runner tells it: the two sides' one language.

The launcher runs on any Python with dsk's own dependencies, the runner in a stack's environment;
between them goes a job, as a file, and events, as lines of JSON.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator, TypeAdapter

from dsk.filenames import printable
from dsk.frozen import Frozen
from dsk.ocr.schema.filetypes import Kind
from dsk.ocr.schema.formats import DEFAULT_FORMATS, Compat
from dsk.ocr.schema.limits import DEFAULT_LIMITS, Limits
from dsk.ocr.schema.page_record import How, Status


def _packed(path: Path) -> str | dict[str, str]:
    """A path for JSON, which is UTF-8 where names of files may be any bytes."""
    try:
        return os.fsencode(path).decode()
    except UnicodeDecodeError:
        return {"hex": os.fsencode(path).hex()}


def _unpacked(value: Any) -> Path:
    return Path(os.fsdecode(bytes.fromhex(value["hex"])) if isinstance(value, dict) else value)


AnyPath = Annotated[Path, PlainValidator(_unpacked), PlainSerializer(_packed, when_used="json")]
"""A path of any bytes, which JSON brings back as it was."""


class Document(Frozen):
    """A document to read: its pages (1-based), and the folder that its outputs go to."""

    path: AnyPath
    folder: AnyPath
    """Its own: its name is safe, and no other document's of the run."""
    kind: Kind = "pdf"
    page_count: int
    pages: list[int]
    sha256: str = ""
    """Of the file, in hexadecimal."""
    password_file: AnyPath | None = None
    """Whose first line is the password; the password itself is written nowhere."""

    @property
    def stem(self) -> str:
        """What the names of its outputs begin with: its folder's name."""
        return self.folder.name

    @property
    def name(self) -> str:
        """The file's name, as it may be shown."""
        return printable(self.path.name)


class Rejected(Frozen):
    """An input of which nothing is read."""

    path: AnyPath
    status: Literal["unreadable", "refused"]
    """``refused``: beyond a limit."""
    reason: str


class Server(Frozen):
    """An OpenAI-compatible server that reads, and what it was seen to serve."""

    url: str
    model: str
    whitelist: tuple[int, ...]
    """Ids of the tokens that the n-gram guard lets repeat."""


class Job(Frozen):
    """A whole run."""

    out: AnyPath = Path()
    """The output folder, which all documents' folders are below."""
    documents: list[Document]
    rejected: list[Rejected] = Field(default_factory=list)
    limits: Limits = DEFAULT_LIMITS
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
    engines: int = 1
    """How many of them read at once, each with these settings."""
    prompt: str
    mode: str = "gundam"
    """The resolution; see `dsk.models.deepseek_ocr.resolutions.MODES`."""
    dpi: int
    max_tokens: int
    ngram_size: int
    ngram_window: int
    formats: frozenset[str] = DEFAULT_FORMATS
    """What is written of each document; see `dsk.ocr.schema.formats`."""
    compat: Compat = ""
    patch: bool
    """Whether a checkpoint's own code is patched for the transformers at hand."""
    fixed_tokens: int | None = None
    """For measuring: how many tokens answers have on average, their ends not heeded."""
    attempts: int = 3
    """Readings that a page may take; see `dsk.ocr.pipeline.retry_policy`."""
    workers: int | None = None
    """Processes that render; None for as many as fit the machine."""
    overwrite: bool = False
    """Whether what an earlier run has read is thrown away."""
    retry_failed: bool = False
    """Whether pages that an earlier run could not read whole are read again."""


class Starting(Frozen):
    """What the runner is busy with before the first page."""

    event: Literal["starting"] = "starting"
    what: str


class PageDone(Frozen):
    """A page has its final state."""

    event: Literal["page"] = "page"
    document: str
    page: int
    status: Status
    how: How = "asked"
    attempts: int = 0
    tokens: int = 0
    taken_over: bool = False
    """It was read by an earlier run."""


class Moving(Frozen):
    """Where the pages are, about once a second."""

    event: Literal["moving"] = "moving"
    rendering: int
    ready: int
    """Waiting for the engine."""
    reading: int
    writing: int
    """Documents that are read and not yet written."""
    seconds: float
    """Since the first page was sent to the engine."""
    pages: int
    tokens: int
    """Read by the engine since then."""
    waits_for: Literal["engine start", "rendering", "engine", "writing"]
    """What everything else waits for: the bottleneck."""


class Warned(Frozen):
    """Something that the user should know of."""

    event: Literal["warned"] = "warned"
    message: str


class Failed(Frozen):
    """The runner cannot go on; the exit code is of the error's kind."""

    event: Literal["failed"] = "failed"
    message: str


class Died(Frozen):
    """The engine ended while it was loading, or again and again; its log says why."""

    event: Literal["died"] = "died"
    code: int


Event = Annotated[
    Starting | PageDone | Moving | Warned | Failed | Died, Field(discriminator="event")
]
EVENTS: TypeAdapter[Starting | PageDone | Moving | Warned | Failed | Died] = TypeAdapter(Event)
"""Reads one line of the runner's."""
