"""Digests of base images: what each tag resolves to now, compared with the recorded digest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dsk.errors import EngineMissing
from dsk.matrix.digests import tag_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dsk.images.registry import Registry
    from dsk.matrix import Stack


@dataclass(frozen=True, kw_only=True)
class TagLookup:
    """A tag's present digest compared with the recorded one.

    ``same``, ``new`` and ``moved``: the registry has the tag. ``tag gone``: it is deleted, and the
    recorded digest can still be pulled. ``gone``: neither can. ``silent``: no answer.
    """

    tag: str
    state: Literal["same", "new", "moved", "tag gone", "gone", "silent"]
    digest: str | None
    """The digest to record."""
    summary: str

    @property
    def lost(self) -> bool:
        """True if the recorded image cannot be pulled any more, by tag or by digest."""
        return self.state == "gone"


def tags(stacks: Iterable[Stack]) -> list[str]:
    """Return the tags that stacks' images are built on, each once."""
    references = [
        tag_of(reference)
        for stack in stacks
        if stack.image
        for reference in (stack.image.runtime, stack.image.devel)
        if reference
    ]
    return list(dict.fromkeys(references))


def look_up(
    wanted: Iterable[str], known: dict[str, str], registry: Registry
) -> Iterator[TagLookup]:
    """Look tags up in their registries.

    Args:
        wanted: image references with tags.
        known: the recorded digests by tag.
        registry: the client.
    """
    for tag in wanted:
        before = known.get(tag)
        try:
            yield _compared(tag, before, registry)
        except EngineMissing as error:
            yield TagLookup(tag=tag, state="silent", digest=before, summary=str(error))


def _compared(tag: str, before: str | None, registry: Registry) -> TagLookup:
    now = registry.digest(tag)
    if now and now == before:
        return TagLookup(tag=tag, state="same", digest=now, summary=f"{now}, as recorded")
    if now and before is None:
        return TagLookup(tag=tag, state="new", digest=now, summary=now)
    old_resolves = before is not None and registry.digest(tag, at=before) is not None
    if now:
        still = "which still resolves" if old_resolves else "which no longer resolves"
        return TagLookup(
            tag=tag, state="moved", digest=now, summary=f"{now}; it was {before}, {still}"
        )
    if old_resolves:
        summary = f"the tag is gone from its registry; {before}, recorded of it, still resolves"
        return TagLookup(tag=tag, state="tag gone", digest=before, summary=summary)
    summary = "the tag is gone from its registry"
    summary += f", and {before}, recorded of it, no longer resolves" if before else ""
    return TagLookup(tag=tag, state="gone", digest=before, summary=summary)
