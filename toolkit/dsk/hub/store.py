"""The hub's cache on this machine: what a revision consists of, and whether all of it is here."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, ValidationError

from dsk.files import write_atomically
from dsk.frozen import Frozen

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_CHUNK: Final = 1 << 20


class Listed(Frozen):
    """A file as the hub lists it.

    Args:
        path: below the model's folder.
        size: in bytes.
        digest: of a large file its SHA-256, of another its SHA-1 as a blob of git's.
    """

    path: Annotated[str, Field(min_length=1)]
    size: Annotated[int, Field(ge=0)]
    digest: Annotated[str, Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]


class RevisionRecord(Frozen):
    """A revision that was fetched whole and checked: what it consists of."""

    hub: str
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    fetched: dt.date
    files: tuple[Listed, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


def cache() -> Path:
    """huggingface_hub's cache folder, by the same variables."""
    if named := os.environ.get("HF_HUB_CACHE"):
        return Path(named)
    home = os.environ.get("HF_HOME")
    return (Path(home) if home else Path.home() / ".cache" / "huggingface") / "hub"


def storage(hub: str) -> Path:
    """The folder of everything that the cache has of a model."""
    return cache() / f"models--{hub.replace('/', '--')}"


def snapshot(hub: str, commit: str) -> Path:
    """The model's folder at a commit; it need not be there."""
    return storage(hub) / "snapshots" / commit


def commit_of(hub: str, revision: str) -> str | None:
    """The commit that a revision meant when it was fetched; a commit means itself."""
    if _COMMIT.fullmatch(revision):
        return revision
    try:
        found = _reference(hub, revision).read_text("utf-8").strip()
    except OSError:
        return None
    return found if _COMMIT.fullmatch(found) else None


def keep(record: RevisionRecord, revision: str) -> None:
    """Write down what was fetched, and which commit the revision was."""
    write_atomically(_place(record.hub, record.commit), record.model_dump_json(indent=1) + "\n")
    if revision != record.commit:
        write_atomically(_reference(record.hub, revision), record.commit)


def recorded(hub: str, commit: str) -> RevisionRecord | None:
    """What a commit consists of, if it was fetched by `dsk model fetch`."""
    try:
        return RevisionRecord.model_validate_json(_place(hub, commit).read_bytes())
    except (OSError, ValidationError):
        return None


def faults(record: RevisionRecord, *, hashes: bool) -> list[str]:
    """What is not as it was fetched, each in a line; sizes are looked at, and hashes if asked."""
    folder = snapshot(record.hub, record.commit)
    found = []
    for file in record.files:
        place = folder / file.path
        if not place.is_file():
            found.append(f"{file.path} is missing")
        elif (size := place.stat().st_size) != file.size:
            found.append(f"{file.path} has {size} bytes instead of {file.size}")
        elif hashes and (other := digest(place, file)) != file.digest:
            found.append(f"{file.path} has the hash {other} instead of {file.digest}")
    return found


def digest(place: Path, listed: Listed) -> str:
    """A file's hash, of the kind that the hub lists for it."""
    # SHA-1 is git's choice, and only for small files; nothing here is signed with it.
    kind = hashlib.sha256() if len(listed.digest) == 64 else hashlib.sha1(usedforsecurity=False)
    if len(listed.digest) == 40:
        kind.update(b"blob %d\0" % place.stat().st_size)
    with place.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            kind.update(piece)
    return kind.hexdigest()


def _place(hub: str, commit: str) -> Path:
    return storage(hub) / ".dsk" / f"{commit}.json"


def _reference(hub: str, revision: str) -> Path:
    return storage(hub) / "refs" / revision
