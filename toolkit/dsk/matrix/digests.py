"""Recorded digests of image tags: the file ``digests.toml``, one line a tag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from dsk.files import write_atomically
from dsk.frozen import Frozen
from dsk.matrix.profiles import Text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dsk.matrix.stack import Stack

FILE: Final = "digests.toml"
_HEAD: Final = (
    "# Written by `dsk matrix lock --images`, not to be edited: "
    "what each tag meant when it was asked.\n[digests]\n"
)

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Digests(Frozen):
    """The file ``digests.toml``."""

    digests: dict[Text, Digest] = Field(
        default_factory=dict, description='a table of tags and digests, "sha256:" and 64 hex digits'
    )


class Fallback(Frozen):
    """The model to serve where DeepSeek-OCR cannot run: a table of ``images.toml``."""

    id: Text = Field(description="a name")
    image: Text = Field(description="an image reference with a tag")
    model: Text = Field(description="a hub id, owner/name")


def dump(digests: Mapping[str, str]) -> str:
    """Return the text of ``digests.toml``."""
    # Sorted, so that a new tag is one added line in a diff.
    lines = (f'"{tag}" = "{digest}"\n' for tag, digest in sorted(digests.items()))
    return _HEAD + "".join(lines)


def write(digests: Mapping[str, str], folder: Path) -> None:
    """Write ``digests.toml`` into the matrix's folder."""
    write_atomically(folder / FILE, dump(digests))


def pinned(reference: str, digests: Mapping[str, str]) -> str:
    """Return a reference with its recorded digest appended, if there is one."""
    digest = digests.get(reference)
    return f"{reference}@{digest}" if digest else reference


def with_digests(stack: Stack, digests: Mapping[str, str]) -> Stack:
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
