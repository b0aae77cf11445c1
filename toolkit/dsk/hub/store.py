"""The hub's cache on this machine: the files of a revision, and their check."""

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


class ListedFile(Frozen):
    """A file as the hub lists it.

    Args:
        path: below the model's folder.
        size: in bytes.
        digest: SHA-256 of a large file (LFS); git's blob SHA-1 of any other.
    """

    path: Annotated[str, Field(min_length=1)]
    size: Annotated[int, Field(ge=0)]
    digest: Annotated[str, Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]


class RevisionRecord(Frozen):
    """The files of a revision that was fetched and checked."""

    hub: str
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    fetched: dt.date
    files: tuple[ListedFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def cache() -> Path:
    """Return huggingface_hub's cache folder, from the same environment variables."""
    if named := os.environ.get("HF_HUB_CACHE"):
        return Path(named)
    home = os.environ.get("HF_HOME")
    return (Path(home) if home else Path.home() / ".cache" / "huggingface") / "hub"


def storage(hub: str) -> Path:
    """Return the cache's folder for a model."""
    return cache() / f"models--{hub.replace('/', '--')}"


def snapshot(hub: str, commit: str) -> Path:
    """Return the model's folder at a commit; it may be missing."""
    return storage(hub) / "snapshots" / commit


def commit_of(hub: str, revision: str) -> str | None:
    """Return the commit of a revision when it was fetched; None if it was not."""
    if _COMMIT.fullmatch(revision):
        return revision
    try:
        commit = _reference(hub, revision).read_text("utf-8").strip()
    except OSError:
        return None
    return commit if _COMMIT.fullmatch(commit) else None


def keep(record: RevisionRecord, revision: str) -> None:
    """Record a fetched revision, and its commit."""
    write_atomically(
        _record_file(record.hub, record.commit), record.model_dump_json(indent=1) + "\n"
    )
    if revision != record.commit:
        write_atomically(_reference(record.hub, revision), record.commit)


def recorded(hub: str, commit: str) -> RevisionRecord | None:
    """Return the record of a commit that `dsk model fetch` fetched, or None."""
    try:
        return RevisionRecord.model_validate_json(_record_file(hub, commit).read_bytes())
    except (OSError, ValidationError):
        return None


def faults(record: RevisionRecord, *, hashes: bool) -> list[str]:
    """Return the files that are missing or changed, each in a line, by size or also by hash."""
    folder = snapshot(record.hub, record.commit)
    lines = []
    for file in record.files:
        path = folder / file.path
        if not path.is_file():
            lines.append(f"{file.path} is missing")
        elif (size := path.stat().st_size) != file.size:
            lines.append(f"{file.path} has {size} bytes instead of {file.size}")
        elif hashes and (other := digest(path, file)) != file.digest:
            lines.append(f"{file.path} has the hash {other} instead of {file.digest}")
    return lines


def digest(path: Path, listed: ListedFile) -> str:
    """Return a file's hash, of the kind that the hub lists for it."""
    # SHA-1 is git's choice, and only for small files; nothing here is signed with it.
    hasher = hashlib.sha256() if len(listed.digest) == 64 else hashlib.sha1(usedforsecurity=False)
    if len(listed.digest) == 40:
        hasher.update(b"blob %d\0" % path.stat().st_size)  # git's header of a blob
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def _record_file(hub: str, commit: str) -> Path:
    return storage(hub) / ".dsk" / f"{commit}.json"


def _reference(hub: str, revision: str) -> Path:
    return storage(hub) / "refs" / revision
