"""Locks between processes: the kernel's, or a lock file where the file system has none.

``flock`` releases a lock when its holder ends, however it ends. Some file systems refuse it: Lustre
without ``-o flock``, NFS without its lock daemon, some FUSE and 9p mounts. There a file that names
its holder stands in; it is removed when the holder is gone from this machine, and only a person can
know of a holder on another one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import platform
import secrets
import stat
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dsk.errors import UsageProblem
from dsk.filenames import printable
from dsk.files import open_regular, read_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Warn = Callable[[str], None]

# Seconds after which a lock file without a whole holder is what a crash left of one.
_UNFINISHED_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.2
_HELD: Final = frozenset({errno.EWOULDBLOCK, errno.EAGAIN})


class LockHeldError(Exception):
    """Another process holds a lock; the message says which, as far as that is known."""


@dataclass(frozen=True, kw_only=True)
class LockHolder:
    """The process that holds a lock file.

    Args:
        host: the name of its machine, or its container's.
        space: what its process ids count in: this boot of the kernel, and the namespace.
        pid: its process id.
        start: its start in clock ticks after boot, since process ids are used again.
    """

    host: str
    space: str
    pid: int
    start: int


@contextmanager
def locked_file(
    path: Path, *, wait: bool = True, on_wait: Warn | None = None, warn: Warn
) -> Iterator[None]:
    """Hold the lock of a path, by a file beside it that stays.

    Args:
        path: what is locked; it need not exist, its folder must.
        wait: wait for another holder.
        on_wait: called before waiting, with the reason.
        warn: called with a line if the file system has no locks.

    Raises:
        LockHeldError: another process holds it, and ``wait`` is False.
        UsageProblem: it cannot be locked at all.
    """
    file = path.with_name(path.name + ".lock")
    try:
        descriptor = open_regular(file, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        what = f"{printable(file)} cannot be opened ({error.strerror})"
        raise UsageProblem(what, do="remove it, or choose another folder") from error
    try:
        with contextlib.ExitStack() as held:
            while True:
                try:
                    held.enter_context(locked(descriptor, file, warn=warn))
                    break
                except LockHeldError as error:
                    if not wait:
                        raise
                    if on_wait:
                        on_wait(str(error))
                        on_wait = None
                time.sleep(_POLL_SECONDS)
            yield
    finally:
        os.close(descriptor)


@contextmanager
def locked(descriptor: int, path: Path, *, warn: Warn | None = None) -> Iterator[None]:
    """Hold the lock of an open file or folder.

    Args:
        descriptor: of the file or the folder.
        path: its path; a lock file is beside a file, and in a folder.
        warn: called with a line if the file system has no locks.

    Raises:
        LockHeldError: another process holds it.
        UsageProblem: the file system has no locks, and no lock file can be written.
    """
    is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
    holder_file = path / LOCK_FILE if is_folder else path.with_name(path.name + _HOLDER_SUFFIX)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            reason = "another process holds it"
            raise LockHeldError(reason) from error
        reason = error.strerror or str(error)
    else:
        try:
            # A process that could not use flock, on another client of the file system, counts too.
            _refuse_living(holder_file)
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        return
    content = _take(holder_file, reason)
    if warn:
        warn(
            f"{printable(path)} has no file locks ({reason}): the lock file "
            f"{printable(holder_file)} stands in for them"
        )
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if read_regular(holder_file) == content:
                holder_file.unlink()


LOCK_FILE: Final = "dsk.lock"
"""Name of the lock file in a folder whose file system has no locks."""
_HOLDER_SUFFIX: Final = ".holder"


def _take(file: Path, reason: str) -> bytes:
    """Create a lock file; return its content."""
    content = json.dumps(asdict(_this_process())).encode() + b"\n"
    # Twice: a stale one is removed, then another process may be first.
    for _ in range(2):
        try:
            descriptor = open_regular(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            _refuse_living(file)
            continue
        except OSError as error:
            what = f"{printable(file.parent)} has no file locks ({reason}), and no lock file can "
            what += f"be written there ({error.strerror})"
            raise UsageProblem(what, do="choose a folder on another disk") from error
        try:
            os.write(descriptor, content)
        finally:
            os.close(descriptor)
        return content
    reason = "another process has just taken it"
    raise LockHeldError(reason)


def _refuse_living(file: Path) -> None:
    """Remove a lock file whose holder has ended; refuse one whose holder may live.

    Raises:
        LockHeldError: its holder lives, or is on another machine.
    """
    try:
        content = read_regular(file)
        age = time.time() - file.lstat().st_mtime
    except FileNotFoundError:
        return
    except OSError as error:
        what = f"the lock file {printable(file)} cannot be read ({error.strerror})"
        raise UsageProblem(what, do="remove it if no other dsk is running") from error
    holder = _parsed(content)
    if holder is None:
        if age < _UNFINISHED_SECONDS:
            reason = "another process has just taken it"
            raise LockHeldError(reason)
    elif (holder.host, holder.space) != (_host(), _space()):
        # Its process cannot be asked for from here.
        reason = (
            f"process {holder.pid} on {printable(holder.host)} holds {printable(file)}; if no dsk "
            f"runs there any more, remove that file"
        )
        raise LockHeldError(reason)
    elif _is_alive(holder):
        reason = f"process {holder.pid} holds it"
        raise LockHeldError(reason)
    _remove(file, content)


def _remove(file: Path, content: bytes) -> None:
    """Remove a stale lock file, unless another process has replaced it meanwhile."""
    # Renamed first: of two processes that find it stale, one gets it.
    doomed = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
    with contextlib.suppress(OSError):
        file.rename(doomed)
        if read_regular(doomed) != content:
            os.link(doomed, file)
        doomed.unlink()


def _parsed(content: bytes) -> LockHolder | None:
    try:
        fields = json.loads(content)
        holder = LockHolder(**fields)
    except (ValueError, TypeError, RecursionError):
        return None
    texts, numbers = (holder.host, holder.space), (holder.pid, holder.start)
    is_valid = all(isinstance(text, str) for text in texts)
    is_valid = is_valid and all(isinstance(number, int) for number in numbers)
    return holder if is_valid and holder.pid > 0 else None


def _this_process() -> LockHolder:
    return LockHolder(host=_host(), space=_space(), pid=os.getpid(), start=_start(os.getpid()) or 0)


def _host() -> str:
    return platform.node()


def _space() -> str:
    """Return what process ids count in: the boot of this kernel, and the namespace."""
    boot = namespace = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return f"{boot} {namespace}"


def _is_alive(holder: LockHolder) -> bool:
    start = _start(holder.pid)
    if start is not None:
        return start == holder.start
    # /proc may be missing, or hide the processes of other users (its option hidepid).
    try:
        os.kill(holder.pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _start(pid: int) -> int | None:
    """Return a process's start in clock ticks after boot; None if /proc does not show it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        # Field 22 of proc(5); the third is the first after the name. A zombie holds nothing, and
        # no process has started before the boot.
        return -1 if fields[0] == "Z" else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None
