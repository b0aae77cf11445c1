"""Base images pinned to digests: what each tag means now, beside what was recorded of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dsk.errors import EngineMissing
from dsk.matrix.digests import tag_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dsk.images.registry import Registry
    from dsk.matrix import Matrix, Stack


@dataclass(frozen=True, kw_only=True)
class TagLookup:
    """A tag: what was recorded of it, what it means now, and what that comes to.

    ``same``, ``new`` and ``moved``: the registry has it. ``tag gone``: it is deleted, and the
    recorded digest can still be pulled. ``gone``: neither can. ``silent``: no answer.
    """

    tag: str
    state: Literal["same", "new", "moved", "tag gone", "gone", "silent"]
    digest: str | None
    """What is to be recorded."""
    said: str

    @property
    def lost(self) -> bool:
        """Whether the image that was recorded cannot be had any more, under no name."""
        return self.state == "gone"


def tags(stacks: Iterable[Stack], matrix: Matrix) -> list[str]:
    """The tags that stacks' images are built on, and that of the fallback, each once."""
    found = [
        tag_of(reference)
        for stack in stacks
        if stack.image
        for reference in (stack.image.runtime, stack.image.devel)
        if reference
    ]
    if matrix.fallback:
        found.append(matrix.fallback.image)
    return list(dict.fromkeys(found))


def looked_up(
    wanted: Iterable[str], known: dict[str, str], registry: Registry
) -> Iterator[TagLookup]:
    """Ask the registries what the tags mean.

    Args:
        wanted: images with their tags.
        known: the digests recorded of tags.
        registry: who is asked.
    """
    for tag in wanted:
        before = known.get(tag)
        try:
            yield _compared(tag, before, registry)
        except EngineMissing as error:
            yield TagLookup(tag=tag, state="silent", digest=before, said=str(error))


def _compared(tag: str, before: str | None, registry: Registry) -> TagLookup:
    now = registry.digest(tag)
    if now and now == before:
        return TagLookup(tag=tag, state="same", digest=now, said=f"{now}, as recorded")
    if now and before is None:
        return TagLookup(tag=tag, state="new", digest=now, said=now)
    old = before is not None and registry.digest(tag, at=before) is not None
    if now:
        still = "which still resolves" if old else "which no longer resolves"
        return TagLookup(
            tag=tag, state="moved", digest=now, said=f"{now}; it was {before}, {still}"
        )
    if old:
        said = f"the tag is gone from its registry; {before}, recorded of it, still resolves"
        return TagLookup(tag=tag, state="tag gone", digest=before, said=said)
    said = "the tag is gone from its registry"
    said += f", and {before}, recorded of it, no longer resolves" if before else ""
    return TagLookup(tag=tag, state="gone", digest=before, said=said)
