"""The hub's cache on this machine: the files of a revision, and their check."""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, ValidationError

from dsk.file_pins import FilePath
from dsk.files import write_atomically
from dsk.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dsk.file_pins import FilePin

COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_CHUNK: Final = 1 << 20
# All other files are hashed whenever a model is loaded: code among them, some 11 MB in all.
_WEIGHTS: Final = ".safetensors"


class ListedFile(Frozen):
    """A file as the hub lists it.

    Args:
        path: below the model's folder.
        size: in bytes.
        digest: SHA-256 of a large file (LFS); git's blob SHA-1 of any other.
        sha256: of the bytes that were fetched; empty for a file that is only listed.
    """

    path: FilePath
    size: Annotated[int, Field(ge=0)]
    digest: Annotated[str, Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""

    @property
    def is_large(self) -> bool:
        """True if the hub lists it by its SHA-256."""
        return len(self.digest) == 64


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
    if COMMIT.fullmatch(revision):
        return revision
    try:
        commit = _reference(hub, revision).read_text("utf-8").strip()
    except OSError:
        return None
    return commit if COMMIT.fullmatch(commit) else None


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


def link(hub: str, commit: str, file: ListedFile) -> None:
    """Link a file in the cache's blobs into the revision's folder, as huggingface_hub does.

    Raises:
        OSError: the folder cannot be written to, or leads elsewhere.
    """
    folder = snapshot(hub, commit)
    target = folder / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    # A link planted in the folder would have us write through it.
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target.parent))
    blob = os.path.relpath(storage(hub) / "blobs" / file.digest, target.parent)
    if target.is_symlink() and str(target.readlink()) == blob:
        return
    new = target.with_name(f".dsk-{os.getpid()}-{target.name}")
    new.unlink(missing_ok=True)
    new.symlink_to(blob)
    new.replace(target)


def faults(record: RevisionRecord, *, hashes: bool) -> list[str]:
    """Return the files that are missing or changed, each in a line, by size and hash.

    Args:
        record: what was fetched.
        hashes: True for the hashes of all files; else of all but the weights.
    """
    folder = snapshot(record.hub, record.commit)
    lines = []
    for file in record.files:
        path = folder / file.path
        if not path.is_file():
            lines.append(f"{file.path} is missing")
        elif (size := path.stat().st_size) != file.size:
            lines.append(f"{file.path} has {size} bytes instead of {file.size}")
        elif (hashes or not file.path.endswith(_WEIGHTS)) and (
            other := digest(path, file)
        ) != file.digest:
            lines.append(f"{file.path} has the hash {other} instead of {file.digest}")
    return lines


def pin_faults(folder: Path, pins: Mapping[str, FilePin]) -> list[str]:
    """Return the files of a folder in the hub's cache, weights apart, that are not the pinned ones.

    Whoever fetched them. A file that `dsk patch` replaced is no link into the cache any more, and
    is left out.
    """
    return [
        f"{path} has not the hash that models.toml pins"
        for path, pin in pins.items()
        if pin.sha256
        and not path.endswith(_WEIGHTS)
        and (file := folder / path).is_symlink()
        and file.is_file()
        and sha256(file) != pin.sha256
    ]


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(path: Path, listed: ListedFile) -> str:
    """Return a file's hash, of the kind that the hub lists for it."""
    # SHA-1 is git's choice, and only for small files; nothing here is signed with it.
    if listed.is_large:
        return sha256(path)
    hasher = hashlib.sha1(usedforsecurity=False)
    hasher.update(b"blob %d\0" % path.stat().st_size)  # git's header of a blob
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def _record_file(hub: str, commit: str) -> Path:
    return storage(hub) / ".dsk" / f"{commit}.json"


def _reference(hub: str, revision: str) -> Path:
    return storage(hub) / "refs" / revision
