"""Safe writing and reading of our own files: atomic, durable, never through a link.

An output folder may be shared, or hold what somebody prepared: a name in it can be a link to
another file, a second name of one, a pipe or a device. Files are therefore opened by a descriptor
of their folder, and only if they are regular files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from dsk.errors import UsageProblem
from dsk.filenames import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Name of a file that is being written; the second form is that of earlier versions.
_UNFINISHED: Final = re.compile(r"\.dsk-(?:[0-9a-f]{16}|[a-z0-9_]{8})")

_LINK: Final = "it is a link, which may lead to another file"
_SPECIAL: Final = "it is not a regular file"
_SECOND_NAME: Final = "it is a hard link: another file name leads to it, too"
_TOO_LARGE: Final = "it is too large for what it should be"
# Bytes of a file that is read at once. The plan of 100,000 documents of 20 pages has 30 MB.
_MAX_READ: Final = 256 << 20

# File systems that cannot fsync a folder answer with one of these.
_NO_FOLDER_SYNC: Final = frozenset(
    {errno.EINVAL, errno.EBADF, errno.EACCES, errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP}
)


def umask() -> int:
    """Return the process's umask."""
    # os.umask() would have to set it, for all threads, to read it.
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022


def open_folder(folder: Path, beneath: Path | None = None, *, create: bool = False) -> int:
    """Return a descriptor of a folder.

    Args:
        folder: the folder.
        beneath: a folder above it, of the user's choice; what lies between must not be a link.
            None follows links, as for a cache.
        create: create what is missing.

    Raises:
        OSError: it is missing, cannot be created, or is a link below ``beneath``.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    if beneath is None:
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder, flags)
    descriptor = os.open(beneath, flags)
    try:
        for part in folder.relative_to(beneath).parts:
            inner = _enter(descriptor, part, flags | os.O_NOFOLLOW, create=create)
            os.close(descriptor)
            descriptor = inner
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _enter(above: int, name: str, flags: int, *, create: bool) -> int:
    if name == os.pardir:
        raise OSError(errno.EINVAL, "its path leads upwards")
    if create:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=above)
            sync_folder(above)
    try:
        return os.open(name, flags, dir_fd=above)
    except OSError as error:
        if stat.S_ISLNK(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, f"{printable(name)} is a link") from error
        raise


def sync_folder(descriptor: int) -> None:
    """Wait until the disk has the names in a folder, where its file system can.

    Raises:
        OSError: the disk failed.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def open_regular(file: Path, flags: int, *, folder: int | None = None) -> int:
    """Return a descriptor of a regular file, opened or created without following a link.

    The umask decides about the mode of a new file, as everywhere.

    Args:
        file: the file; its last component must not be a link.
        flags: of `os.open`.
        folder: a descriptor of its folder, if one is open.

    Raises:
        OSError: it cannot be opened, is a link, a pipe or a device; or it is to be written, and
            has a second name.
    """
    # Without O_NONBLOCK a pipe in its place would wait for a writer; O_TRUNC comes after the check.
    safe = (flags & ~os.O_TRUNC) | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    name = file if folder is None else file.name
    try:
        descriptor = os.open(name, safe, 0o666, dir_fd=folder)
    except OSError as error:
        # ENXIO: a pipe without a reader, or a socket.
        reason = {errno.ELOOP: _LINK, errno.ENXIO: _SPECIAL}.get(error.errno or 0)
        if reason:
            raise OSError(error.errno, reason) from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, _SPECIAL)
        if flags & (os.O_WRONLY | os.O_RDWR):
            if status.st_nlink > 1:
                raise OSError(errno.EMLINK, _SECOND_NAME)
            if flags & os.O_TRUNC:
                os.ftruncate(descriptor, 0)
        os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_regular(file: Path) -> bytes:
    """Return the content of a file of ours.

    Raises:
        OSError: it is missing, is a link, a pipe or a device, or has more than 256 MiB.
    """
    with os.fdopen(open_regular(file, os.O_RDONLY), "rb") as stream:
        content = stream.read(_MAX_READ + 1)
    if len(content) > _MAX_READ:
        raise OSError(errno.EFBIG, _TOO_LARGE)
    return content


def open_log(file: Path) -> IO[str]:
    """Open a log anew; what had its name loses the name, and keeps its content.

    Raises:
        UsageProblem: the folder cannot be written to.
    """
    try:
        file.unlink(missing_ok=True)
        descriptor = open_regular(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
    except OSError as error:
        raise _unwritable(file, error) from error
    return os.fdopen(descriptor, "w", encoding="utf-8")


def write_atomically(file: Path, text: str, *, beneath: Path | None = None) -> None:
    """Write UTF-8 text so that readers see the whole old file or the whole new one.

    Raises:
        UsageProblem: the folder cannot be written to.
    """
    write_bytes_atomically(file, text.encode(), beneath=beneath)


def write_bytes_atomically(file: Path, content: bytes, *, beneath: Path | None = None) -> None:
    """Write bytes so that readers see the whole old file or the whole new one.

    Raises:
        UsageProblem: the folder cannot be written to.
    """
    with (
        temporary_beside(file, beneath=beneath, durable=True) as descriptor,
        os.fdopen(os.dup(descriptor), "wb") as stream,
    ):
        stream.write(content)


@contextmanager
def writing_atomically(file: Path, *, beneath: Path | None = None) -> Iterator[IO[bytes]]:
    """Yield a stream to a temporary file, which replaces ``file`` when the block succeeds.

    Raises:
        UsageProblem: the folder cannot be written to, or the disk is full.
    """
    with (
        temporary_beside(file, beneath=beneath) as descriptor,
        os.fdopen(os.dup(descriptor), "wb") as stream,
    ):
        yield stream


@contextmanager
def temporary_beside(
    file: Path, *, beneath: Path | None = None, durable: bool = False
) -> Iterator[int]:
    """Yield the descriptor of a temporary file, which replaces ``file`` on success.

    Args:
        file: the file; a link of its name is replaced, not followed.
        beneath: see `open_folder`.
        durable: wait until the disk has the new name. Without, the caller calls `sync_folder` once
            for many files.

    Raises:
        UsageProblem: the folder cannot be written to.
    """
    name = f".dsk-{secrets.token_hex(8)}"
    with contextlib.ExitStack() as opened:
        try:
            folder = open_folder(file.parent, beneath, create=True)
            opened.callback(os.close, folder)
            descriptor = open_regular(Path(name), os.O_RDWR | os.O_CREAT | os.O_EXCL, folder=folder)
            opened.callback(os.close, descriptor)
        except OSError as error:
            what = f"{printable(file)} cannot be written: {error.strerror}"
            do = "remove it" if error.errno == errno.ELOOP else "choose a folder you may write to"
            raise UsageProblem(what, do=do) from error
        try:
            yield descriptor
            # A rename may reach the disk before the data do: after a power cut the file would be
            # there and empty.
            os.fsync(descriptor)
            os.replace(name, file.name, src_dir_fd=folder, dst_dir_fd=folder)
            if durable:
                sync_folder(folder)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=folder)
            if isinstance(error, OSError):
                raise _unwritable(file, error) from error
            raise


def _unwritable(file: Path, error: OSError) -> UsageProblem:
    what = f"{printable(file)} cannot be written: {error.strerror}"
    return UsageProblem(what, do="fix that, then run the same command again")


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files that a killed process left in a folder and below it."""
    # Links to folders are not followed, and a folder of such a name is somebody's own.
    for parent, _, names in walk(folder):
        for name in names:
            if _UNFINISHED.fullmatch(name):
                with contextlib.suppress(OSError):
                    (parent / name).unlink()


def walk(
    folder: Path, on_error: Callable[[OSError], None] | None = None
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield a folder and each one below it, with the names of its folders and of its other files.

    Like `os.walk`, which before Python 3.12 calls itself for each level: a thousand folders, each
    in the one before, would end the program. Links to folders are named among the folders, and not
    followed.

    Args:
        folder: the folder.
        on_error: called with the error of a folder that cannot be listed.
    """
    left = [folder]
    while left:
        parent = left.pop()
        folders: list[str] = []
        names: list[str] = []
        links: set[str] = set()
        try:
            with os.scandir(parent) as entries:
                for entry in entries:
                    (folders if _is_folder(entry) else names).append(entry.name)
                    if entry.is_symlink():
                        links.add(entry.name)
        except OSError as error:
            if on_error is not None:
                on_error(error)
            continue
        yield parent, folders, names
        # The caller may have taken some away.
        left += [parent / name for name in folders if name not in links]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to what cannot be reached
        return False
