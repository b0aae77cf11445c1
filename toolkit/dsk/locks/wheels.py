"""What locked files are and say of themselves, read over the index once and kept in the cache."""

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
from dsk.locks.http_ranges import opened
from dsk.locks.resolve import files_of
from dsk.package_index import client, failure_reason

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.locks.lock_file import Locked
    from dsk.locks.resolve import File
    from dsk.matrix.stack import Stack

LINKED: Final = ("torch", "torchvision", "torchaudio", "vllm", "flash-attn")
"""The packages whose libraries are looked into for the CUDA that they were linked with."""

_CUDA: Final = re.compile(rb"lib(?:cudart|nvrtc)(?:[.-][0-9a-f]{4,16})?\.so\.(\d{2})")
_METADATA: Final = re.compile(r"[^/]+\.dist-info/METADATA")
_LARGEST: Final = 1 << 20
"""Compressed bytes of a library that is looked into: each wheel has several smaller ones."""
_AT_ONCE: Final = 16
_TRIES: Final = 3


class Wheel(Frozen):
    """A wheel's own metadata.

    Args:
        file: its name on the index.
        name: as it writes it.
        version: likewise.
        requires_python: a specifier; empty where it asks nothing.
        requires: its Requires-Dist lines.
        cuda: major versions of the CUDA libraries that its own libraries name.
    """

    file: str
    name: str
    version: str
    requires_python: str
    requires: tuple[str, ...]
    cuda: tuple[int, ...]


def of_lock(stack: Stack) -> dict[str, Wheel | None]:
    """The metadata of each locked package by its name; None where no file has the locked hash.

    What was read once comes from the cache, without a network. The bytes are the index's word:
    `dsk matrix verify` hashes whole wheels.

    Raises:
        MatrixInvalid: there is no lock, or it is not one.
        EngineMissing: the index cannot be reached.
    """
    locked = lock_file.parse(stack.lock_file)
    known: dict[str, Wheel | None] = {one.name: _cached(one.sha256) for one in locked}
    missing = [one for one in locked if known[one.name] is None]
    if missing:
        known |= _fetched(stack, missing)
    return known


def archives_of(stack: Stack) -> dict[str, str | None]:
    """The name of the index's file with each source's sha256, by package; None where none has it.

    What was found once comes from the cache, without a network.

    Raises:
        EngineMissing: the index cannot be reached.
    """
    known = {source.package: _cached_name(source.sha256) for source in stack.sources}
    missing = [source for source in stack.sources if known[source.package] is None]
    if missing:
        offered = files_of(stack, {one.package: stack.pins[one.package] for one in missing})
        by_hash = {file.sha256: file.name for files in offered.values() for file in files}
        for source in missing:
            if name := by_hash.get(source.sha256):
                write_atomically(_archive(source.sha256), name + "\n")
                known[source.package] = name
    return known


def _fetched(stack: Stack, missing: list[Locked]) -> dict[str, Wheel | None]:
    offered = files_of(stack, {one.name: one.version for one in missing})
    by_hash = {file.sha256: file for files in offered.values() for file in files}

    def fetch(one: Locked) -> Wheel | None:
        file = by_hash.get(one.sha256)
        return _read(network, file, linked=one.name in LINKED) if file else None

    with client() as network, ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip((one.name for one in missing), pool.map(fetch, missing), strict=True))


def _read(network: httpx.Client, file: File, *, linked: bool) -> Wheel:
    """A wheel's metadata, from the file beside it or from inside it; put into the cache."""
    for tries_left in reversed(range(_TRIES)):
        try:
            text, cuda = _outside_in(network, file, linked=linked)
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
    write_atomically(_place(file.sha256), wheel.model_dump_json(indent=1) + "\n")
    return wheel


def _outside_in(
    network: httpx.Client, file: File, *, linked: bool
) -> tuple[bytes, tuple[int, ...]]:
    """A wheel's METADATA and CUDA majors, opening it only where that is needed."""
    beside = None if linked else _beside(network, file)
    return (beside, ()) if beside is not None else _inside(network, file, linked=linked)


def _beside(network: httpx.Client, file: File) -> bytes | None:
    """The metadata file that an index keeps beside a wheel (PEP 658), if it does."""
    answer = network.get(f"{file.url}.metadata")
    if answer.status_code in (httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND):
        return None
    return answer.raise_for_status().content


def _inside(network: httpx.Client, file: File, *, linked: bool) -> tuple[bytes, tuple[int, ...]]:
    """A wheel's METADATA, and the CUDA majors that its smaller libraries name."""
    with opened(network, file.url) as stream, zipfile.ZipFile(stream) as packed:
        metadata = next(name for name in packed.namelist() if _METADATA.fullmatch(name))
        libraries = [
            member
            for member in packed.infolist()
            if linked and ".so" in member.filename and member.compress_size < _LARGEST
        ]
        found = {int(major) for member in libraries for major in _CUDA.findall(packed.read(member))}
        return packed.read(metadata), tuple(sorted(found))


def _cached(sha256: str) -> Wheel | None:
    try:
        return Wheel.model_validate_json(_place(sha256).read_bytes())
    except (OSError, ValidationError):
        return None


def _cached_name(sha256: str) -> str | None:
    try:
        return _archive(sha256).read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _archive(sha256: str) -> Path:
    return paths.cache() / "archives" / f"{sha256}.txt"


def _place(sha256: str) -> Path:
    return paths.cache() / "wheels" / f"{sha256}.json"
