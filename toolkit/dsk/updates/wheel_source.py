"""The Python sources and compiled kernels inside a wheel, read without installing or importing it.

The wheel is a local file, or one on the index of which ranges are fetched. What was read is kept
in the cache by the wheel's sha256, so that a second check needs no network.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import json
import zipfile
from typing import IO, TYPE_CHECKING, Final, Self, TypeVar

import httpx

from dsk import paths
from dsk.errors import EngineMissing
from dsk.files import write_atomically
from dsk.locks.http_ranges import open_url
from dsk.package_index import client, failure_reason
from dsk.updates import fatbin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NAMES: Final = "names.json"
_KERNELS: Final = "kernels.json"


T = TypeVar("T")


class WheelSource:
    """The contents of one wheel; a context, at the end of which it is closed.

    Args:
        file: the wheel's file name.
        sha256: of the wheel; what was read is kept under it.
        opened: opens the wheel for reading and seeking, when something is not kept yet.
    """

    def __init__(
        self,
        file: str,
        sha256: str,
        opened: Callable[[], contextlib.AbstractContextManager[IO[bytes]]],
    ) -> None:
        self.file = file
        self._folder = paths.cache() / "wheel-sources" / sha256
        self._opened = opened
        self._trees: dict[str, ast.Module | None] = {}
        self._names: frozenset[str] | None = None
        self._archive: zipfile.ZipFile | None = None
        self._failure: EngineMissing | None = None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()
        self._archive = None

    @property
    def names(self) -> frozenset[str]:
        """Names of all files in the wheel.

        Raises:
            EngineMissing: they are not in the cache, and the wheel cannot be read.
        """
        if self._names is None:
            kept = self._kept(_NAMES)
            if kept is None:
                kept = json.dumps(sorted(self._read(zipfile.ZipFile.namelist))).encode()
                self._keep(_NAMES, kept.decode())
            self._names = frozenset(json.loads(kept))
        return self._names

    def tree(self, member: str) -> ast.Module | None:
        """Return the syntax tree of a Python file; None if the wheel has no such file.

        Raises:
            EngineMissing: it is not in the cache, and the wheel cannot be read.
            SyntaxError: this Python cannot parse it.
        """
        if member not in self._trees:
            text = self.text(member)
            self._trees[member] = None if text is None else parsed(text)
        return self._trees[member]

    def text(self, member: str) -> str | None:
        """Return the text of a file; None if the wheel has no such file.

        Raises:
            EngineMissing: it is not in the cache, and the wheel cannot be read.
        """
        if member not in self.names:
            return None
        # A name from a wheel is no path of this machine.
        entry = f"{hashlib.sha256(member.encode()).hexdigest()}.txt"
        kept = self._kept(entry)
        if kept is None:
            kept = self._read(lambda archive: archive.read(member))
            self._keep(entry, kept.decode("utf-8"))
        return kept.decode("utf-8")

    def module(self, name: str) -> tuple[str, ast.Module] | None:
        """Return file and syntax tree of a module by its dotted name; None without one."""
        base = name.replace(".", "/")
        for member in (f"{base}/__init__.py", f"{base}.py"):
            tree = self.tree(member)
            if tree is not None:
                return member, tree
        return None

    def kernels(self, member: str) -> frozenset[int]:
        """Return the compute capabilities, such as 90, that a library has machine code for.

        Raises:
            EngineMissing: they are not in the cache, and the wheel cannot be read.
        """
        kept = self._kept(_KERNELS)
        known: dict[str, list[int]] = json.loads(kept) if kept else {}
        if member not in known:
            known[member] = self._read(lambda archive: _machine_code(archive, member))
            self._keep(_KERNELS, json.dumps(known))
        return frozenset(known[member])

    def _read(self, read: Callable[[zipfile.ZipFile], T]) -> T:
        """Return what is read from the wheel, which stays open for the next time."""
        if self._failure:
            raise self._failure
        try:
            if self._archive is None:
                stream = self._open.enter_context(self._opened())
                self._archive = self._open.enter_context(zipfile.ZipFile(stream))
            return read(self._archive)
        except EngineMissing as failure:
            # uv tries for seconds to reach an index; the next check need not wait for that again.
            self._failure = failure
            raise
        except (httpx.HTTPError, zipfile.BadZipFile, OSError) as error:
            what = f"{self.file} could not be read: {failure_reason(error)}"
            raise EngineMissing(what, do="check the network, or set pip's index-url") from error

    def _kept(self, entry: str) -> bytes | None:
        try:
            return (self._folder / entry).read_bytes()
        except OSError:
            return None

    def _keep(self, entry: str, text: str) -> None:
        write_atomically(self._folder / entry, text)


# The wheels of two stacks, or of two architectures, have many files in common.
@functools.lru_cache(maxsize=256)
def parsed(text: str) -> ast.Module:
    """Return the syntax tree of a Python source, which nobody may change.

    Raises:
        SyntaxError: this Python cannot parse it.
    """
    return ast.parse(text)


def _machine_code(archive: zipfile.ZipFile, member: str) -> list[int]:
    with archive.open(member) as library:
        return sorted(fatbin.machine_code(library))


def local(file: Path) -> WheelSource:
    """Return the contents of a wheel on this machine.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return WheelSource(file.name, sha256, lambda: file.open("rb"))


def remote(file: str, sha256: str, url_of: Callable[[], str]) -> WheelSource:
    """Return the contents of a wheel on the index.

    Args:
        file: its name.
        sha256: its hash by the lock or the index.
        url_of: looks its address up, when something has to be fetched; raises `EngineMissing`.
    """

    @contextlib.contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with client() as network, open_url(network, url_of()) as stream:
            yield stream

    return WheelSource(file, sha256, opened)


def absent(package: str, why: str) -> WheelSource:
    """Return a wheel of which nothing can be read, because it is not known which one it is."""

    def opened() -> contextlib.AbstractContextManager[IO[bytes]]:
        raise EngineMissing(why, do="dsk matrix lock resolves it")

    return WheelSource(package, "unknown", opened)
