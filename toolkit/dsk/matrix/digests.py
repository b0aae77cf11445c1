"""Recorded digests of image tags: the file ``digests.toml``, one table a tag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from dsk.files import write_atomically
from dsk.frozen import Frozen
from dsk.matrix.profiles import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from dsk.matrix.stack import Stack

FILE: Final = "digests.toml"
REGISTRY: Final = "the image's registry"
_HEAD: Final = (
    "# The digest that each tag stood for, and where it was read; "
    "`dsk matrix lock --images` asks the registries.\n"
)

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class RecordedDigest(Frozen):
    """The recorded digest of an image's tag: a table of ``digests.toml``."""

    id: Text = Field(description="an image reference with a tag")
    digest: Digest = Field(description='"sha256:" and 64 hex digits')
    source: Text = Field(description="where the digest was read")


def dump(digests: Iterable[RecordedDigest]) -> str:
    """Return the text of ``digests.toml``."""
    # Sorted, so that a new tag is one added table in a diff.
    tables = (
        f'\n["{recorded.id}"]\ndigest = "{recorded.digest}"\nsource = "{recorded.source}"\n'
        for recorded in sorted(digests, key=lambda recorded: recorded.id)
    )
    return _HEAD + "".join(tables)


def write(digests: Iterable[RecordedDigest], folder: Path) -> None:
    """Write ``digests.toml`` into the matrix's folder."""
    write_atomically(folder / FILE, dump(digests))


def pinned(reference: str, digests: Mapping[str, RecordedDigest]) -> str:
    """Return a reference with its recorded digest appended, if there is one."""
    recorded = digests.get(reference)
    return f"{reference}@{recorded.digest}" if recorded else reference


def with_digests(stack: Stack, digests: Mapping[str, RecordedDigest]) -> Stack:
    """Return the stack with its base images pinned to their recorded digests."""
    if stack.image is None or not digests:
        return stack
    images = {
        name: reference and pinned(reference, digests)
        for name, reference in stack.image.model_dump().items()
    }
    return stack.model_copy(update={"image": stack.image.model_copy(update=images)})


def tag_of(reference: str) -> str:
    """Return a reference without its digest."""
    return reference.partition("@")[0]


def digest_of(reference: str) -> str:
    """Return a reference's digest, ``sha256:...``; an empty text if it names a tag only."""
    return reference.partition("@")[2]
