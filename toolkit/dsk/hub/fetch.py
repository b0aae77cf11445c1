"""Download of a revision from the hub: resumed after a break, each file checked by its hash."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import shutil
import socket
import time
from typing import TYPE_CHECKING, Final, NoReturn

from dsk import console, own_image
from dsk.errors import EngineMissing, UsageProblem, VerificationFailed
from dsk.file_lock import locked_file
from dsk.filenames import printable
from dsk.hub import store
from dsk.hub.client import HubClient, HubRefused
from dsk.hub.listing import pinned, read_listing
from dsk.hub.store import ListedFile, RevisionRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from dsk.file_pins import FilePin

_REVISION: Final = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*")
_PAUSE: Final = 1.0  # seconds before a broken transfer is resumed
# Breaks without a further byte after which a transfer fails.
_TRIES: Final = 4
_SHOWN: Final = 10_000_000  # bytes of a file whose transfer is worth a bar
_SPARE: Final = 1 << 28  # bytes that are left free on the disk
_UNAUTHORIZED: Final = (401, 404)
# Option of a container that may use the hub, which images of dsk keep away from.
_ONLINE: Final = "-e HF_HUB_OFFLINE=0"
_OWN_CACHE: Final = f"{own_image.OWN_CACHE} {_ONLINE}"
_ANOTHER: Final = "do not use this mirror; set HF_ENDPOINT to another one"


def fetch(
    hub: str,
    revision: str,
    *,
    pins: Mapping[str, FilePin] | None = None,
    report: Callable[[str], None],
) -> RevisionRecord:
    """Fetch a model's revision into huggingface_hub's cache, and check every byte.

    Files in the cache are hashed and kept; a partial file is resumed, even in another process. A
    file without a pinned hash is checked against the hub's list, which is kept: a later fetch of
    the same commit has to bring the same.

    Args:
        hub: the model, owner/name.
        revision: a commit, a branch or a tag.
        pins: the files to fetch, by path, with what is known of them; None for all files.
        report: called with each file.

    Raises:
        UsageProblem: the hub has no such model or revision, or denies access.
        EngineMissing: the hub cannot be reached, the transfer broke off, or the disk is full.
        VerificationFailed: the hub lists or sends something else than was pinned or listed.
    """
    if not _REVISION.fullmatch(revision):
        what = f"'{printable(revision)}' is not a revision"
        raise UsageProblem(what, do="name a commit, a branch or a tag")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        what = "HF_HUB_OFFLINE is set, and fetching needs the network"
        unset = own_image.advice("unset it for this command", _ONLINE)
        raise EngineMissing(what, do=unset)
    with HubClient() as client:
        with _translated_errors(hub, revision):
            content = client.listing(hub, revision)
        commit, files = read_listing(content, hub, revision)
        if pins is not None:
            files = pinned(files, pins, hub)
        _ensure_as_before(hub, commit, files)
        blobs = store.storage(hub) / "blobs"
        _ensure_space(hub, files, blobs)
        fetched = []
        for file in files:
            report(f"{file.path} ({file.size / 1e6:.1f} MB)")
            pin = (pins or {}).get(file.path)
            sha256 = _ensure_file(client, hub, commit, file, pin.sha256 if pin else None)
            fetched.append(file.model_copy(update={"sha256": sha256}))
    today = dt.datetime.now(dt.UTC).date()
    record = RevisionRecord(hub=hub, commit=commit, fetched=today, files=tuple(fetched))
    if faults := store.faults(record, hashes=False):
        what = f"{hub} is incomplete: {'; '.join(faults)}"
        raise VerificationFailed(what, do="run dsk model fetch again")
    store.keep(record, revision)
    return record


def _ensure_as_before(hub: str, commit: str, files: tuple[ListedFile, ...]) -> None:
    """Check that the hub lists what it listed when the same commit was fetched before."""
    earlier = store.recorded(hub, commit)
    known = {file.path: (file.size, file.digest) for file in earlier.files} if earlier else {}
    for file in files:
        if known.get(file.path, (file.size, file.digest)) != (file.size, file.digest):
            what = f"the hub lists {file.path} of {hub} differently than when it was fetched"
            raise VerificationFailed(what, do=_ANOTHER)


def _ensure_space(hub: str, files: tuple[ListedFile, ...], blobs: Path) -> None:
    # Partial files of earlier attempts count for what they have.
    missing = sum(
        max(file.size - _size(_part(blobs, file)), 0)
        for file in files
        if not (blobs / file.digest).is_file()
    )
    try:
        blobs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the cache folder {blobs} cannot be created ({error.strerror})"
        raise UsageProblem(
            what, do=own_image.advice("set HF_HUB_CACHE to a writable folder", _OWN_CACHE)
        ) from error
    free = shutil.disk_usage(blobs).free
    if missing + _SPARE > free:
        what = f"{hub} needs {missing / 1e9:.1f} GB more, {free / 1e9:.1f} GB are free"
        raise EngineMissing(what, do="set HF_HUB_CACHE to a folder on another disk")


def _ensure_file(
    client: HubClient, hub: str, commit: str, file: ListedFile, pin: str | None
) -> str:
    """Ensure that a file is in the cache, with the right bytes, under its name in the snapshot.

    Returns:
        The SHA-256 of its content.

    Raises:
        VerificationFailed: it is not what was pinned.
    """
    blobs = store.storage(hub) / "blobs"
    blob, part = blobs / file.digest, _part(blobs, file)
    # Two processes that fetch the same model must not append to the same file; the later one finds
    # what the earlier one has brought.
    with locked_file(part, warn=console.warn):
        if blob.is_symlink() or (blob.is_file() and store.digest(blob, file) != file.digest):
            blob.unlink()  # damaged on the disk, or by another program
        if not blob.is_file():
            _transfer(client, hub, commit, file, part)
            part.replace(blob)
        sha256 = file.digest if file.is_large else store.sha256(blob)
        if pin is not None and sha256 != pin:
            blob.unlink()
            what = f"{file.path} of {hub} has the hash {sha256} instead of the pinned {pin}"
            raise VerificationFailed(what, do=_ANOTHER)
        try:
            store.link(hub, commit, file)
        except OSError as error:
            what = f"{file.path} cannot be put into the cache ({error.strerror})"
            raise UsageProblem(
                what, do=own_image.advice("set HF_HUB_CACHE to another folder", _OWN_CACHE)
            ) from error
    return sha256


def _transfer(client: HubClient, hub: str, commit: str, file: ListedFile, part: Path) -> None:
    """Fetch the rest of a partial file, resuming after breaks, and check the whole.

    Raises:
        EngineMissing: no further byte came in several tries; the partial file is kept.
        VerificationFailed: the whole file is wrong; it is deleted.
    """
    if part.is_symlink():
        part.unlink()  # nothing is written to where it leads
    tries = _TRIES
    while _size(part) < file.size or not part.exists():
        before = _size(part)
        try:
            with part.open("ab") as stream, _progress(file) as show:
                client.download(hub, commit, file.path, stream, size=file.size, progress=show)
        except _transport() as error:
            tries = _TRIES if _size(part) > before else tries - 1
            if not tries:
                raise _broken_off(file, part, error) from error
            time.sleep(_PAUSE)
        else:
            if _size(part) <= before:  # an answer that was shorter than it had to be
                tries -= 1
                if not tries:
                    raise _broken_off(file, part, OSError("it sends no more"))
    if _size(part) != file.size:
        _refuse(file, part, f"more than {file.size} bytes")
    if (digest := store.digest(part, file)) != file.digest:
        _refuse(file, part, f"the hash {digest}")


@contextlib.contextmanager
def _progress(file: ListedFile) -> Iterator[Callable[[int], None]]:
    """Yield a function that shows the bytes of a large file that have come, on a terminal."""
    if not console.err().is_terminal or file.size < _SHOWN:
        yield lambda _: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console.err(), transient=True) as bar:
        task = bar.add_task("", total=file.size)
        yield lambda received: bar.update(task, completed=received)


def _refuse(file: ListedFile, part: Path, received: str) -> NoReturn:
    part.unlink()
    what = f"{file.path} came with {received}; the hub lists {file.size} bytes, {file.digest}"
    raise VerificationFailed(
        what, do="run dsk model fetch again; if it persists, report it to the hub's operator"
    )


def _broken_off(file: ListedFile, part: Path, error: Exception) -> EngineMissing:
    # The texts of HTTP errors can be very long.
    reason = printable(" ".join(str(error).split())[:160])
    what = f"{file.path} broke off after {_size(part)} of {file.size} bytes ({reason})"
    return EngineMissing(what, do="run dsk model fetch again to resume")


@contextlib.contextmanager
def _translated_errors(hub: str, revision: str) -> Iterator[None]:
    """Turn the hub's refusals and the network's failures into errors of dsk."""
    try:
        yield
    except HubRefused as error:
        if error.code == "GatedRepo":
            what = f"access to {hub} has to be requested"
            raise UsageProblem(what, do="request it on its hub page, then set HF_TOKEN") from error
        if error.code == "RevisionNotFound":
            what = f"{hub} has no revision '{revision}'"
            raise UsageProblem(what, do="check --revision") from error
        if error.code == "RepoNotFound" or error.status in _UNAUTHORIZED:
            what = f"the hub has no model {hub}, or hides it from you"
            raise UsageProblem(what, do="check the name, or set HF_TOKEN") from error
        what = f"the hub does not list the files of {hub} ({error})"
        raise EngineMissing(what, do="try again later, or set HF_ENDPOINT to a mirror") from error
    except _transport() as error:
        reason = printable(" ".join(str(error).split())[:200])
        what = f"the hub cannot be reached for {hub} ({reason})"
        do = "check the network, or set HF_ENDPOINT to a mirror"
        if all(name == "lo" for _, name in socket.if_nameindex()):  # docker run --network none
            do = own_image.advice(do, "--network bridge", _ONLINE)
        raise EngineMissing(what, do=do) from error


def _transport() -> tuple[type[Exception], ...]:
    """Return the exceptions of a failed transfer."""
    import httpx

    return (OSError, HubRefused, httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)


def _part(blobs: Path, file: ListedFile) -> Path:
    return blobs / f"{file.digest}.dsk-part"


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0
