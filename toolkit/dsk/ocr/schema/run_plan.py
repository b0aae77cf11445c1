"""The plan of a run: made once by the launcher, carried out by the runner in a stack's environment.

It travels as a JSON file; `dsk.ocr.schema.events` come back.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator

from dsk.filenames import printable
from dsk.frozen import Frozen
from dsk.ocr.schema.engine_config import EngineConfig, Placement
from dsk.ocr.schema.filetypes import Kind
from dsk.ocr.schema.formats import Compat, TextLayer
from dsk.ocr.schema.limits import DEFAULT_LIMITS, Limits
from dsk.ocr.schema.shard import Shard


def _packed(path: Path) -> str | dict[str, str]:
    """Return a path as a JSON value."""
    # JSON is UTF-8, and names of files may be any bytes.
    try:
        return os.fsencode(path).decode()
    except UnicodeDecodeError:
        return {"hex": os.fsencode(path).hex()}


def _unpacked(value: Any) -> Path:
    return Path(os.fsdecode(bytes.fromhex(value["hex"])) if isinstance(value, dict) else value)


# A path of any bytes, which JSON brings back as it was.
AnyPath = Annotated[Path, PlainValidator(_unpacked), PlainSerializer(_packed, when_used="json")]


class Document(Frozen):
    """A document to read: its pages (1-based), and the folder that its outputs go to."""

    path: AnyPath
    folder: AnyPath
    """Its own: the name is safe, and no other document of the run has it."""
    kind: Kind = "pdf"
    page_count: int
    pages: list[int]
    sha256: str = ""
    """Of the file, in hexadecimal."""
    stamp: tuple[int, int, int, int, int] | None = None
    """Of the file when it was hashed; see `dsk.ocr.documents.input_file.Stamp`."""
    password_file: AnyPath | None = None
    """Its first line is the password, which is written nowhere else."""

    @property
    def stem(self) -> str:
        """Beginning of the names of its outputs: its folder's name."""
        return self.folder.name

    @property
    def name(self) -> str:
        """Name of the file, safe to print."""
        return printable(self.path.name)


class Rejected(Frozen):
    """An input that is not read, with the reason."""

    path: AnyPath
    status: Literal["unreadable", "refused"]
    """``refused``: beyond a limit."""
    reason: str


class ModelIdentity(Frozen):
    """The model that reads, as manifests name it: the profile, and where its weights come from."""

    id: str
    """Of the profile."""
    name: str
    hub: str = ""
    """Hub id of a model in the hub's cache."""
    revision: str = ""
    """Its commit."""
    test_model: bool = False
    """True for a test model of `dsk eyechart model`."""
    server_model: str = ""
    """The name that the servers give it; nothing else is known of it then."""
    weights: str = ""
    """Hash of its configuration and samples of its weights; empty with servers."""

    def __str__(self) -> str:
        """Return what messages call it."""
        if self.server_model:
            return f"{self.name} (served as {self.server_model})"
        if self.hub:
            return f"{self.name} ({self.hub}@{self.revision[:12]})"
        kind = "a test model" if self.test_model else "a folder"
        return f"{self.name} ({kind}, weights {self.weights[:12]})"

    def is_same_as(self, other: ModelIdentity) -> bool:
        """Return True if two runs read with one model, as far as servers let it be known."""
        is_known = bool(self.weights and other.weights)
        return self.id == other.id and (self.weights == other.weights or not is_known)


class RunPlan(Frozen):
    """Everything that a run has to do, decided before anything is started."""

    out: AnyPath = Path()
    """The output folder, which all documents' folders are below."""
    documents: list[Document]
    shard: Shard | None = None
    """The shard that the documents' pages are; None for all pages that were asked for."""
    inputs_sha256: str = ""
    """Hash of the documents and pages of all shards; empty without them."""
    rejected: list[Rejected] = Field(default_factory=list)
    limits: Limits = DEFAULT_LIMITS
    stack: str
    """``server`` where servers read."""
    lock_sha256: str
    """Empty for servers, and where the engine has other versions than the lock."""
    from_lock: bool = False
    """True if every package of the engine is the lock's."""
    stack_versions: dict[str, str] = Field(default_factory=dict)
    """Versions in the stack's lock of the packages of which the engine has others."""
    identity: ModelIdentity
    engine: EngineConfig
    placement: Placement = Placement()
    cluster: str = ""
    """Address of the Ray cluster whose nodes read, or ``auto``; empty for this machine."""
    prompt: str
    dpi: int
    max_tokens: int
    ngram_size: int
    ngram_window: int
    formats: frozenset[str] = frozenset()
    """Names of the outputs to write; see `dsk.ocr.outputs.registry`."""
    compat: Compat = ""
    fixed_tokens: int | None = None
    """For measuring: how many tokens answers have on average, their ends not heeded."""
    attempts: int = 3
    """Readings that a page may take; see `dsk.ocr.pipeline.retry_policy`."""
    workers: int | None = None
    """Processes that render; None for as many as fit the machine."""
    umask: int | None = None
    """The umask of the runner; None for the one that it has."""
    text_layer: TextLayer = "auto"
    """Use of the text that PDF files carry themselves."""
    overwrite: bool = False
    """True if what an earlier run has read is thrown away."""
    retry_failed: bool = False
    """True if pages that an earlier run could not read whole are read again."""

    def engine_on(self, card: int) -> EngineConfig:
        """Return the configuration of an engine on a card, by its position in the placement."""
        settings = self.engine.settings | self.placement.cards[card].settings
        return self.engine.model_copy(update={"settings": settings})
