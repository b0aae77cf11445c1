"""Metadata of locked wheels and archives, read from the index once and kept in the cache."""

from __future__ import annotations

import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import httpx
from packaging.metadata import parse_email
from pydantic import ValidationError

from dsk import paths
from dsk.errors import EngineMissing
from dsk.files import write_atomically
from dsk.frozen import Frozen
from dsk.locks import lock_file
from dsk.locks.http_ranges import open_url
from dsk.locks.resolve import best_wheel, files_of, tags_of
from dsk.package_index import client, failure_reason

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.locks.lock_file import LockedPackage
    from dsk.locks.resolve import IndexFile
    from dsk.matrix.stack import Stack

# Packages whose libraries are searched for the CUDA release that they are linked with.
LINKED: Final = ("torch", "torchvision", "torchaudio", "vllm", "flash-attn")

# auditwheel puts a hash into the names of libraries that it copies: libcudart-9335f6a2.so.12.
_CUDA: Final = re.compile(rb"lib(?:cudart|nvrtc)(?:[.-][0-9a-f]{4,16})?\.so\.(\d{2})")
_METADATA: Final = re.compile(r"[^/]+\.dist-info/METADATA")
# Compressed bytes above which a library is not searched: each wheel has several smaller ones.
_LARGEST: Final = 1 << 20
_AT_ONCE: Final = 16
_TRIES: Final = 3


class Wheel(Frozen):
    """A wheel's own metadata.

    Args:
        file: its name on the index.
        name: the package, not normalised.
        version: not normalised.
        requires_python: a specifier; empty if there is none.
        requires: its Requires-Dist lines.
        cuda: major versions of the CUDA libraries that its own libraries name.
    """

    file: str
    name: str
    version: str
    requires_python: str
    requires: tuple[str, ...]
    cuda: tuple[int, ...]


def locked_wheels(stack: Stack) -> dict[str, Wheel | None]:
    """Return the metadata of each locked package by name; None if no file has the locked hash.

    Cached metadata needs no network. Hashes are the index's word here; `dsk matrix verify` hashes
    whole wheels.

    Raises:
        MatrixInvalid: the lock is missing or invalid.
        EngineMissing: the index cannot be reached.
    """
    locked = lock_file.parse(stack.lock_file)
    known: dict[str, Wheel | None] = {package.name: _cached(package.sha256) for package in locked}
    missing = [package for package in locked if known[package.name] is None]
    if missing:
        known |= _fetched(stack, missing)
    return known


def released_wheel(stack: Stack, package: str, version: str) -> Wheel:
    """Return the metadata of the wheel of a release that a stack's oldest host would install.

    Cached metadata needs no network, but which wheel it is does.

    Raises:
        EngineMissing: the index cannot be reached, or has no such release.
        MatrixInvalid: the release has no wheel for the stack.
    """
    file = best_wheel(files_of(stack, {package: version})[package], tags_of(stack), package)
    if cached := _cached(file.sha256):
        return cached
    with client() as network:
        return _read(network, file, linked=package in LINKED)


def archives_of(stack: Stack) -> dict[str, str | None]:
    """Return the index's file name with each source's sha256, by package; None if there is none.

    Cached names need no network.

    Raises:
        EngineMissing: the index cannot be reached.
    """
    known = {source.package: _cached_name(source.sha256) for source in stack.sources}
    missing = [source for source in stack.sources if known[source.package] is None]
    if missing:
        offered = files_of(stack, {each.package: stack.pins[each.package] for each in missing})
        by_hash = {file.sha256: file.name for files in offered.values() for file in files}
        for source in missing:
            if name := by_hash.get(source.sha256):
                write_atomically(_archive_entry(source.sha256), name + "\n")
                known[source.package] = name
    return known


def _fetched(stack: Stack, missing: list[LockedPackage]) -> dict[str, Wheel | None]:
    offered = files_of(stack, {package.name: package.version for package in missing})
    by_hash = {file.sha256: file for files in offered.values() for file in files}

    def fetch(package: LockedPackage) -> Wheel | None:
        file = by_hash.get(package.sha256)
        return _read(network, file, linked=package.name in LINKED) if file else None

    with client() as network, ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(
            zip((package.name for package in missing), pool.map(fetch, missing), strict=True)
        )


def _read(network: httpx.Client, file: IndexFile, *, linked: bool) -> Wheel:
    """Read a wheel's metadata from the index, and cache it."""
    for tries_left in reversed(range(_TRIES)):
        try:
            text, cuda = _contents(network, file, linked=linked)
            break
        except (httpx.HTTPError, zipfile.BadZipFile) as error:
            if not tries_left:
                what = f"the metadata of {file.name} could not be read: {failure_reason(error)}"
                raise EngineMissing(what, do="check the network, or set pip's index-url") from error
    raw, _ = parse_email(text)
    wheel = Wheel(
        file=file.name,
        name=raw.get("name", ""),
        version=raw.get("version", ""),
        requires_python=raw.get("requires_python", ""),
        requires=tuple(raw.get("requires_dist", ())),
        cuda=cuda,
    )
    write_atomically(_wheel_entry(file.sha256), wheel.model_dump_json(indent=1) + "\n")
    return wheel


def _contents(
    network: httpx.Client, file: IndexFile, *, linked: bool
) -> tuple[bytes, tuple[int, ...]]:
    """Return a wheel's METADATA and CUDA majors, opening the wheel only if that is needed."""
    # PEP 658 metadata spares opening the wheel, but tells nothing of the libraries in it.
    beside = None if linked else _beside(network, file)
    return (beside, ()) if beside is not None else _inside(network, file, linked=linked)


def _beside(network: httpx.Client, file: IndexFile) -> bytes | None:
    """Return the metadata file that an index keeps beside a wheel (PEP 658), if it does."""
    answer = network.get(f"{file.url}.metadata")
    # Mirrors on object storage answer 403 where a file does not exist.
    if answer.status_code in (httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND):
        return None
    return answer.raise_for_status().content


def _inside(
    network: httpx.Client, file: IndexFile, *, linked: bool
) -> tuple[bytes, tuple[int, ...]]:
    """Return METADATA from inside a wheel, and the CUDA majors that its smaller libraries name."""
    with open_url(network, file.url) as stream, zipfile.ZipFile(stream) as packed:
        metadata = next(name for name in packed.namelist() if _METADATA.fullmatch(name))
        libraries = [
            member
            for member in packed.infolist()
            # Range requests fetch these members only, of a wheel of hundreds of MB.
            if linked and ".so" in member.filename and member.compress_size < _LARGEST
        ]
        majors = {
            int(major) for member in libraries for major in _CUDA.findall(packed.read(member))
        }
        return packed.read(metadata), tuple(sorted(majors))


def _cached(sha256: str) -> Wheel | None:
    try:
        return Wheel.model_validate_json(_wheel_entry(sha256).read_bytes())
    except (OSError, ValidationError):
        return None


def _cached_name(sha256: str) -> str | None:
    try:
        return _archive_entry(sha256).read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _archive_entry(sha256: str) -> Path:
    return paths.cache() / "archives" / f"{sha256}.txt"


def _wheel_entry(sha256: str) -> Path:
    return paths.cache() / "wheels" / f"{sha256}.json"
