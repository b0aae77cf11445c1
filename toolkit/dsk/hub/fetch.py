"""Download of a revision from the hub: resumed after a break, each file checked by its hash."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import shutil
import sys
import time
from typing import TYPE_CHECKING, Final, NoReturn

from pydantic import ValidationError

from dsk import console
from dsk.errors import EngineMissing, UsageProblem, VerificationFailed
from dsk.file_lock import locked_file
from dsk.hub import store
from dsk.hub.store import ListedFile, RevisionRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_REVISION: Final = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*")
_PAUSE: Final = 1.0  # seconds before a broken transfer is resumed
# Breaks without a further byte after which a transfer fails; huggingface_hub retries as well.
_TRIES: Final = 4
_SPARE: Final = 1 << 28  # bytes that are left free on the disk


def fetch(hub: str, revision: str, *, report: Callable[[str], None]) -> RevisionRecord:
    """Fetch a model's revision into huggingface_hub's cache, and check every byte.

    Files in the cache are hashed and kept; a partial file is resumed, even in another process.

    Args:
        hub: the model, owner/name.
        revision: a commit, a branch or a tag.
        report: called with each file.

    Raises:
        UsageProblem: the hub has no such model or revision, or denies access.
        EngineMissing: the hub cannot be reached, the transfer broke off, or the disk is full.
        VerificationFailed: a file differs from the hub's list.
    """
    if not _REVISION.fullmatch(revision):
        what = f"'{revision}' is not a revision"
        raise UsageProblem(what, do="name a commit, a branch or a tag")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        what = "HF_HUB_OFFLINE is set, and fetching needs the network"
        raise EngineMissing(what, do="unset it for this command")
    with _translated_errors(hub, revision):
        record = _listed(hub, revision)
    blobs = store.storage(hub) / "blobs"
    _ensure_space(record, blobs)
    for file in record.files:
        report(f"{file.path} ({file.size / 1e6:.1f} MB)")
        _ensure_file(record, file, blobs)
    faults = store.faults(record, hashes=False)
    if faults:
        what = f"{hub} is incomplete: {'; '.join(faults)}"
        raise VerificationFailed(what, do="run dsk model fetch again")
    store.keep(record, revision)
    return record


def _listed(hub: str, revision: str) -> RevisionRecord:
    """Return the files of the revision as the hub lists them."""
    from huggingface_hub import HfApi

    info = HfApi(endpoint=_endpoint()).model_info(hub, revision=revision, files_metadata=True)
    today = dt.datetime.now(dt.UTC).date()
    try:
        files = tuple(
            ListedFile(
                path=sibling.rfilename,
                size=sibling.size or 0,
                digest=sibling.lfs.sha256 if sibling.lfs else sibling.blob_id or "",
            )
            for sibling in info.siblings or ()
        )
        return RevisionRecord(hub=hub, commit=info.sha or "", fetched=today, files=files)
    except ValidationError as error:
        what = f"the hub lists files of {hub} without their hashes"
        raise VerificationFailed(what, do="set HF_ENDPOINT to another mirror") from error


def _ensure_space(record: RevisionRecord, blobs: Path) -> None:
    # Partial files of earlier attempts count for what they have.
    missing = sum(
        file.size - _size(_part(blobs, file))
        for file in record.files
        if not (blobs / file.digest).is_file()
    )
    try:
        blobs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the cache folder {blobs} cannot be created ({error.strerror})"
        raise UsageProblem(what, do="set HF_HUB_CACHE to a writable folder") from error
    free = shutil.disk_usage(blobs).free
    if missing + _SPARE > free:
        what = f"{record.hub} needs {missing / 1e9:.1f} GB more, {free / 1e9:.1f} GB are free"
        raise EngineMissing(what, do="set HF_HUB_CACHE to a folder on another disk")


def _ensure_file(record: RevisionRecord, file: ListedFile, blobs: Path) -> None:
    """Ensure that a file is in the cache, with the right bytes, under its name in the snapshot."""
    from huggingface_hub import hf_hub_download

    blob = blobs / file.digest
    if blob.is_file() and store.digest(blob, file) != file.digest:
        blob.unlink()  # damaged on the disk, or by another program
    if not blob.is_file():
        _transfer(record, file, _part(blobs, file))
        _part(blobs, file).replace(blob)
    with _translated_errors(record.hub, record.commit):
        # The bytes are in the cache: this only links them into huggingface_hub's snapshot folder.
        hf_hub_download(record.hub, file.path, revision=record.commit, endpoint=_endpoint())


def _transfer(record: RevisionRecord, file: ListedFile, part: Path) -> None:
    """Fetch the rest of a partial file, resuming after breaks, and check the whole.

    Raises:
        EngineMissing: no further byte came in several tries; the partial file is kept.
        VerificationFailed: the whole file is wrong; it is deleted.
    """
    # Not left to huggingface_hub: it resumes within a call, but its releases differ in what they
    # keep after it.
    # Two processes that fetch the same model must not append to the same file.
    with locked_file(part, warn=console.warn):
        tries = _TRIES
        while _size(part) < file.size or not part.exists():
            before = _size(part)
            try:
                _resume(record, file, part)
            except _transport() as error:
                tries = _TRIES if _size(part) > before else tries - 1
                if not tries:
                    raise _broken_off(file, part, error) from error
                time.sleep(_PAUSE)
        if _size(part) != file.size:
            _refuse(file, part, f"{_size(part)} bytes")
        if (digest := store.digest(part, file)) != file.digest:
            _refuse(file, part, f"the hash {digest}")


def _refuse(file: ListedFile, part: Path, received: str) -> NoReturn:
    part.unlink()
    what = f"{file.path} came with {received}; the hub lists {file.size} bytes, {file.digest}"
    raise VerificationFailed(
        what, do="run dsk model fetch again; if it persists, report it to the hub's operator"
    )


def _resume(record: RevisionRecord, file: ListedFile, part: Path) -> None:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils._headers import build_hf_headers

    url = hf_hub_url(record.hub, file.path, revision=record.commit, endpoint=_endpoint())
    # A compressed transfer has no length, so it could not be resumed.
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    with part.open("ab") as stream:
        http_get(
            url,
            stream,
            resume_size=_size(part),
            headers=headers,
            expected_size=file.size,
            displayed_filename=file.path,
        )


def _broken_off(file: ListedFile, part: Path, error: Exception) -> EngineMissing:
    # The texts of HTTP errors can be very long.
    reason = " ".join(str(error).split())[:160]
    what = f"{file.path} broke off after {_size(part)} of {file.size} bytes ({reason})"
    return EngineMissing(what, do="run dsk model fetch again to resume")


@contextlib.contextmanager
def _translated_errors(hub: str, revision: str) -> Iterator[None]:
    """Turn the hub's refusals and the network's failures into errors of dsk."""
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except GatedRepoError as error:
        what = f"access to {hub} has to be requested"
        raise UsageProblem(what, do="request it on its hub page, then set HF_TOKEN") from error
    except RevisionNotFoundError as error:
        what = f"{hub} has no revision '{revision}'"
        raise UsageProblem(what, do="check --revision") from error
    except RepositoryNotFoundError as error:
        what = f"the hub has no model {hub}, or hides it from you"
        raise UsageProblem(what, do="check the name, or set HF_TOKEN") from error
    except _transport() as error:
        reason = " ".join(str(error).split())[:200]
        what = f"the hub cannot be reached for {hub} ({reason})"
        raise EngineMissing(what, do="check the network, or set HF_ENDPOINT to a mirror") from error


def _transport() -> tuple[type[Exception], ...]:
    """Return the exceptions of a failed transfer."""
    # huggingface_hub's releases use requests, whose errors are OSErrors, httpx or httpx2.
    clients = (sys.modules.get(name) for name in ("httpx", "httpx2"))
    return (OSError, *(client.HTTPError for client in clients if client))


def _part(blobs: Path, file: ListedFile) -> Path:
    return blobs / f"{file.digest}.dsk-part"


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _endpoint() -> str | None:
    """Return the present ``HF_ENDPOINT``."""
    # huggingface_hub reads it only once, when it is imported.
    return os.environ.get("HF_ENDPOINT") or None
