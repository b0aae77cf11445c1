"""Hash-locked environments in the user's cache: created atomically, found, removed."""

from __future__ import annotations

import contextlib
import datetime as dt
import platform
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ValidationError

from dsk import __version__, console, paths
from dsk.errors import EngineMissing, VerificationFailed
from dsk.file_lock import LockHeldError, locked_file
from dsk.package_index import uv_program
from dsk.runtime import install
from dsk.runtime.interpreters import find_python

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.matrix import Stack
    from dsk.runtime.install import Progress

_RECORD: Final = "dsk-environment.json"
_PARTIAL: Final = ".partial-"


class EnvironmentRecord(BaseModel):
    """Contents and origin of an environment, written into it before it gets its name."""

    stack: str
    lock_sha256: str
    python: str
    dsk: str
    created: dt.datetime
    versions: dict[str, str]


class Environment(BaseModel):
    """Complete environment."""

    path: Path
    record: EnvironmentRecord

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.path / "bin" / "python"


def folder() -> Path:
    """Return the folder of all environments."""
    return paths.cache() / "envs"


def path_of(stack: Stack) -> Path:
    """Return the path of a stack's environment, existing or not; it depends on the lock."""
    return folder() / f"{stack.id}-{stack.lock_sha256()[:16]}"


def find(stack: Stack) -> Environment | None:
    """Return a stack's environment; None if there is none for the current lock."""
    return _read(path_of(stack))


def require(stack: Stack) -> Environment:
    """Return a stack's environment.

    Raises:
        EngineMissing: it has not been created.
    """
    environment = find(stack)
    if environment is None:
        what = f"there is no environment for stack '{stack.id}'"
        raise EngineMissing(what, do=f"dsk env create --stack {stack.id}")
    return environment


def present() -> list[Environment]:
    """Return all environments, by their names."""
    paths = sorted(folder().glob("*")) if folder().is_dir() else []
    return [environment for path in paths if (environment := _read(path))]


def create(stack: Stack, *, progress: Progress) -> Environment:
    """Create a stack's environment from its lock, unless it exists already.

    Args:
        stack: a stack with a lock.
        progress: called with the number of installed packages, of all packages, and the step.

    Raises:
        EngineMissing: no Python of the stack's version, no uv, no network, or the disk is full.
        VerificationFailed: what was installed is not what the lock says.
        MatrixInvalid: the stack has no lock.
    """
    final = path_of(stack)
    if existing := _read(final):
        return existing
    _refuse_other_platform(stack)
    with _writable(folder()), locked(final, progress):
        if existing := _read(final):  # another process created it while this one waited
            return existing
        _remove_partial(mine=final)
        # It is filled under another name and renamed when it is complete and checked: a killed
        # create leaves nothing that looks like an environment.
        partial = folder() / f"{final.name}{_PARTIAL}{secrets.token_hex(4)}"
        partial.mkdir()  # not mkdtemp, which lets its owner alone read it, whatever the umask
        try:
            _fill(partial, stack, progress)
            _discard(final)
            partial.rename(final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return require(stack)


def remove(environment: Environment) -> None:
    """Remove an environment; it is renamed first, so that it never exists in part."""
    with locked(environment.path, progress=lambda *_: None):
        _discard(environment.path)


def _fill(partial: Path, stack: Stack, progress: Progress) -> None:
    uv = uv_program()
    python = find_python(stack.python, uv=uv)
    install.make_venv(partial, python, uv)
    install.install(partial, stack.lock_file, uv, progress)
    versions = install.installed_versions(partial)
    _compare(install.locked_versions(stack.lock_file), versions)
    record = EnvironmentRecord(
        stack=stack.id,
        lock_sha256=stack.lock_sha256(),
        python=str(python),
        dsk=__version__,
        created=dt.datetime.now(dt.UTC).replace(microsecond=0),
        versions=versions,
    )
    (partial / _RECORD).write_text(record.model_dump_json(indent=2) + "\n", "utf-8")


def _compare(pinned: dict[str, str], installed: dict[str, str]) -> None:
    for name in sorted(pinned | installed):
        if pinned.get(name) != installed.get(name):
            what = (
                f"{name} is {installed.get(name, 'missing')} in the new environment, "
                f"{pinned.get(name, 'absent')} in the lock"
            )
            raise VerificationFailed(what, do="report it with the lock's name")


def _read(path: Path) -> Environment | None:
    """Return the environment at a path; None if it is incomplete or its Python was removed."""
    try:
        record = EnvironmentRecord.model_validate_json((path / _RECORD).read_bytes())
    except (OSError, ValidationError):
        return None
    environment = Environment(path=path, record=record)
    # bin/python is a link to the interpreter that made it, which an update may have removed.
    complete = _PARTIAL not in path.name and environment.python.exists()
    return environment if complete else None


def _refuse_other_platform(stack: Stack) -> None:
    machine = f"{platform.system()} {platform.machine()}"
    if machine != f"Linux {stack.arch}":
        what = f"stack '{stack.id}' is locked for Linux {stack.arch}, this is {machine}"
        raise EngineMissing(what, do="use such a machine")


@contextlib.contextmanager
def _writable(cache: Path) -> Iterator[None]:
    """Make the cache folder; turn an OSError in the block, such as a full disk, into our own."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the cache folder {cache} cannot be written ({error.strerror})"
        raise EngineMissing(what, do="choose another one with DSK_CACHE") from error
    try:
        yield
    except OSError as error:
        raise install.installation_error(str(error)) from error


@contextlib.contextmanager
def locked(path: Path, progress: Progress) -> Iterator[None]:
    """Lock an environment's path against other processes."""

    def on_wait(reason: str) -> None:
        progress(0, 0, f"waiting: another dsk is creating this environment ({reason})")

    with locked_file(path, on_wait=on_wait, warn=console.warn):
        yield


def _remove_partial(*, mine: Path) -> None:
    """Remove what killed creates left, except where another process is creating right now."""
    for partial in folder().glob(f"*{_PARTIAL}*"):
        owner = partial.with_name(partial.name.split(_PARTIAL)[0])
        if owner == mine:  # this process holds its lock
            shutil.rmtree(partial, ignore_errors=True)
            continue
        with (
            contextlib.suppress(LockHeldError),
            locked_file(owner, wait=False, warn=console.warn),
        ):
            shutil.rmtree(partial, ignore_errors=True)


def _discard(path: Path) -> None:
    if not path.exists():
        return
    # Renaming is atomic, deleting 6 GB is not: a killed removal must not leave half an environment.
    doomed = Path(tempfile.mkdtemp(prefix=path.name + _PARTIAL, dir=path.parent))
    path.replace(doomed / "old")
    shutil.rmtree(doomed, ignore_errors=True)
