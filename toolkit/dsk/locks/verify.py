"""Verification of a lock: every file is fetched from the index and hashed as it streams by."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx

from dsk.errors import EngineMissing, VerificationFailed
from dsk.locks import lock_file
from dsk.locks.resolve import IndexFile, files_of
from dsk.package_index import client, failure_reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.matrix.stack import Stack

_AT_ONCE: Final = 4
_CHUNK: Final = 1 << 20
_TRIES: Final = 3


@dataclass(frozen=True, kw_only=True)
class VerifiedFile:
    """A fetched file that has the locked hash; size in bytes."""

    name: str
    size: int


def verify(stack: Stack) -> Iterator[VerifiedFile]:
    """Fetch every locked wheel and source archive of a stack; nothing is kept on disk.

    Raises:
        MatrixInvalid: the lock is missing or invalid.
        VerificationFailed: the index lacks a file, or gives it other bytes.
        EngineMissing: the index cannot be reached.
    """
    locked = _locked_files(stack)
    offered = files_of(stack, {name: version for name, version, _ in locked})
    by_hash = {file.sha256: file for files in offered.values() for file in files}
    for name, version, sha256 in locked:
        if sha256 not in by_hash:
            what = f"the index has no file of {name} {version} with the locked hash {sha256}"
            raise VerificationFailed(what, do=f"dsk matrix lock {stack.id}")
    with client() as network, ThreadPoolExecutor(_AT_ONCE) as pool:
        running = [pool.submit(_fetch, network, by_hash[sha256]) for _, _, sha256 in locked]
        try:
            for future in as_completed(running):
                yield future.result()
        finally:
            # After the first wrong file no further gigabytes are fetched.
            pool.shutdown(cancel_futures=True)


def _locked_files(stack: Stack) -> list[tuple[str, str, str]]:
    """Return name, version and sha256 of everything that the stack installs."""
    wheels = [
        (package.name, package.version, package.sha256)
        for package in lock_file.parse(stack.lock_file)
    ]
    return wheels + [
        (source.package, stack.pins[source.package], source.sha256) for source in stack.sources
    ]


def _fetch(network: httpx.Client, file: IndexFile) -> VerifiedFile:
    for tries_left in reversed(range(_TRIES)):
        try:
            digest, size = _hash(network, file.url)
            break
        except httpx.HTTPError as error:
            if not tries_left:
                what = f"{file.name} could not be fetched: {failure_reason(error)}"
                raise EngineMissing(what, do="check the network, or set pip's index-url") from error
    if digest != file.sha256:
        what = f"{file.name} has sha256 {digest}, the lock says {file.sha256}"
        raise VerificationFailed(what, do="do not install it; report it to whoever runs the index")
    return VerifiedFile(name=file.name, size=size)


def _hash(network: httpx.Client, url: str) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    # The hash is of the stored file: a server that compresses on the way would change the bytes.
    with network.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer:
        answer.raise_for_status()
        for piece in answer.iter_bytes(_CHUNK):
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest(), size
