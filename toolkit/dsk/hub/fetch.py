"""Fetching a revision from the hub: resumed where it broke off, each file checked by its hash."""

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

from dsk.errors import EngineMissing, UsageProblem, VerificationFailed
from dsk.files import lock_beside
from dsk.hub import store
from dsk.hub.store import Listed, RevisionRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_REVISION: Final = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*")
_PAUSE: Final = 1.0  # seconds before a transfer that broke off goes on
_TRIES: Final = 4
"""How often a transfer may break off without a byte more; huggingface_hub retries as well."""
_SPARE: Final = 1 << 28  # bytes that are left free on the disk


def fetch(hub: str, revision: str, *, heard: Callable[[str], None]) -> RevisionRecord:
    """Fetch a model's revision whole into huggingface_hub's cache, and check every byte of it.

    What is there already is hashed and kept; a file that broke off goes on where it did, also in
    another process.

    Args:
        hub: the model, owner/name.
        revision: a commit, a branch or a tag.
        heard: told of each file.

    Raises:
        UsageProblem: the hub has no such model or revision, or does not give it to this user.
        EngineMissing: the hub cannot be reached, the transfer broke off, or the disk is too small.
        VerificationFailed: a file is not what the hub lists.
    """
    if not _REVISION.fullmatch(revision):
        what = f"'{revision}' is no revision"
        raise UsageProblem(what, do="name a commit, a branch or a tag")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        what = "HF_HUB_OFFLINE is set, and fetching needs the network"
        raise EngineMissing(what, do="unset it for this command")
    with _told(hub, revision):
        record = _listed(hub, revision)
    blobs = store.storage(hub) / "blobs"
    _see_room(record, blobs)
    for file in record.files:
        heard(f"{file.path} ({file.size / 1e6:.1f} MB)")
        _see_to(record, file, blobs)
    left = store.faults(record, hashes=False)
    if left:
        what = f"{hub} is not whole: {'; '.join(left)}"
        raise VerificationFailed(what, do="dsk model fetch, again")
    store.keep(record, revision)
    return record


def _listed(hub: str, revision: str) -> RevisionRecord:
    """What the hub says that the revision consists of."""
    from huggingface_hub import HfApi

    info = HfApi(endpoint=_endpoint()).model_info(hub, revision=revision, files_metadata=True)
    today = dt.datetime.now(dt.UTC).date()
    try:
        files = tuple(
            Listed(
                path=one.rfilename,
                size=one.size or 0,
                digest=one.lfs.sha256 if one.lfs else one.blob_id or "",
            )
            for one in info.siblings or ()
        )
        return RevisionRecord(hub=hub, commit=info.sha or "", fetched=today, files=files)
    except ValidationError as error:
        what = f"the hub lists files of {hub} without their hashes"
        raise VerificationFailed(what, do="ask another, in HF_ENDPOINT") from error


def _see_room(record: RevisionRecord, blobs: Path) -> None:
    missing = sum(
        file.size - _size(_part(blobs, file))
        for file in record.files
        if not (blobs / file.digest).is_file()
    )
    try:
        blobs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the cache folder {blobs} cannot be made ({error.strerror})"
        raise UsageProblem(what, do="name another with HF_HUB_CACHE") from error
    free = shutil.disk_usage(blobs).free
    if missing + _SPARE > free:
        what = f"{record.hub} takes {missing / 1e9:.1f} GB more, {free / 1e9:.1f} GB are free"
        raise EngineMissing(what, do="name a cache folder on another disk with HF_HUB_CACHE")


def _see_to(record: RevisionRecord, file: Listed, blobs: Path) -> None:
    """Have one file in the cache, with the right bytes, under its name in the snapshot."""
    from huggingface_hub import hf_hub_download

    blob = blobs / file.digest
    if blob.is_file() and store.digest(blob, file) != file.digest:
        blob.unlink()  # the disk or another program spoilt it
    if not blob.is_file():
        _transfer(record, file, _part(blobs, file))
        _part(blobs, file).replace(blob)
    with _told(record.hub, record.commit):
        # The bytes are here: this only gives them their name, as huggingface_hub lays them out.
        hf_hub_download(record.hub, file.path, revision=record.commit, endpoint=_endpoint())


def _transfer(record: RevisionRecord, file: Listed, part: Path) -> None:
    """Fetch what a part lacks, going on after a break, and check the whole.

    huggingface_hub resumes within a call; its releases differ in what they keep beyond it.

    Raises:
        EngineMissing: nothing more came for several tries; the part stays.
        VerificationFailed: it is whole and wrong; the part goes.
    """
    with lock_beside(part):
        tries = _TRIES
        while _size(part) < file.size or not part.exists():
            before = _size(part)
            try:
                _go_on(record, file, part)
            except _transport() as error:
                tries = _TRIES if _size(part) > before else tries - 1
                if not tries:
                    raise _broken_off(file, part, error) from error
                time.sleep(_PAUSE)
        if _size(part) != file.size:
            _refuse(file, part, f"{_size(part)} bytes")
        if (found := store.digest(part, file)) != file.digest:
            _refuse(file, part, f"the hash {found}")


def _refuse(file: Listed, part: Path, said: str) -> NoReturn:
    part.unlink()
    what = f"{file.path} came with {said}; the hub lists {file.size} bytes, {file.digest}"
    raise VerificationFailed(
        what, do="dsk model fetch, again; if it stays so, ask who runs the hub"
    )


def _go_on(record: RevisionRecord, file: Listed, part: Path) -> None:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils._headers import build_hf_headers

    url = hf_hub_url(record.hub, file.path, revision=record.commit, endpoint=_endpoint())
    # Compressed on the way, a file has no size and cannot be resumed.
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


def _broken_off(file: Listed, part: Path, error: Exception) -> EngineMissing:
    reason = " ".join(str(error).split())[:160]
    what = f"{file.path} broke off after {_size(part)} of {file.size} bytes ({reason})"
    return EngineMissing(what, do="dsk model fetch, again: it goes on from there")


@contextlib.contextmanager
def _told(hub: str, revision: str) -> Iterator[None]:
    """The hub's refusals and the network's failures as errors of ours."""
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except GatedRepoError as error:
        what = f"the hub gives {hub} only to those who asked for it"
        raise UsageProblem(what, do="ask on its page, then set HF_TOKEN") from error
    except RevisionNotFoundError as error:
        what = f"{hub} has no revision '{revision}'"
        raise UsageProblem(what, do="check --revision") from error
    except RepositoryNotFoundError as error:
        what = f"the hub has no model {hub}, or does not show it to you"
        raise UsageProblem(what, do="check the name, or set HF_TOKEN") from error
    except _transport() as error:
        reason = " ".join(str(error).split())[:200]
        what = f"the hub cannot be asked for {hub} ({reason})"
        raise EngineMissing(
            what, do="check the network, or name a mirror in HF_ENDPOINT"
        ) from error


def _transport() -> tuple[type[Exception], ...]:
    """What a transfer can fail with: huggingface_hub's releases use requests, httpx or httpx2."""
    clients = (sys.modules.get(name) for name in ("httpx", "httpx2"))
    return (OSError, *(client.HTTPError for client in clients if client))


def _part(blobs: Path, file: Listed) -> Path:
    return blobs / f"{file.digest}.dsk-part"


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _endpoint() -> str | None:
    """``HF_ENDPOINT`` as it is now: huggingface_hub reads it once, when it is imported."""
    return os.environ.get("HF_ENDPOINT") or None
