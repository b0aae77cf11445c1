"""Hash-locked environments in the user's cache: each there whole, or not there."""

from __future__ import annotations

import contextlib
import datetime as dt
import platform
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ValidationError

from dsk import __version__, paths
from dsk.errors import EngineMissing, VerificationFailed
from dsk.files import lock_beside
from dsk.package_index import uv_program
from dsk.runtime import install
from dsk.runtime.interpreters import find_python

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.matrix import Stack
    from dsk.runtime.install import Progress

_RECORD: Final = "dsk-environment.json"
_PARTIAL: Final = ".partial-"


class Record(BaseModel):
    """What is known of an environment, written into it before it gets its name."""

    stack: str
    lock_sha256: str
    python: str
    dsk: str
    created: dt.datetime
    versions: dict[str, str]


class Environment(BaseModel):
    """An environment that is there, whole."""

    path: Path
    record: Record

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"


def folder() -> Path:
    """The folder of all environments."""
    return paths.cache() / "envs"


def path_of(stack: Stack) -> Path:
    """Where a stack's environment lies, or would: a changed lock has another place."""
    return folder() / f"{stack.id}-{stack.lock_sha256()[:16]}"


def find(stack: Stack) -> Environment | None:
    """A stack's environment, if it is there for the lock as it is now."""
    return _read(path_of(stack))


def require(stack: Stack) -> Environment:
    """A stack's environment.

    Raises:
        EngineMissing: it has not been created.
    """
    found = find(stack)
    if found is None:
        what = f"there is no environment for stack '{stack.id}'"
        raise EngineMissing(what, do=f"dsk env create --stack {stack.id}")
    return found


def present() -> list[Environment]:
    """All environments that are there, by their names."""
    places = sorted(folder().glob("*")) if folder().is_dir() else []
    return [found for place in places if (found := _read(place))]


def create(stack: Stack, *, progress: Progress) -> Environment:
    """Make a stack's environment from its lock; one that is there already is left as it is.

    It is filled under another name and renamed when it is whole and checked, so a killed create
    leaves nothing that looks like an environment; the next create removes what it did leave.

    Args:
        stack: its lock must be there.
        progress: told how far it is.

    Raises:
        EngineMissing: no Python of the stack's version, no uv, no network, or the disk is full.
        VerificationFailed: what was installed is not what the lock says.
        MatrixInvalid: the stack has no lock.
    """
    final = path_of(stack)
    if found := _read(final):
        return found
    _refuse_other_platform(stack)
    with _made(folder()), held(final, progress):
        if found := _read(final):
            return found
        _sweep(mine=final)
        partial = Path(tempfile.mkdtemp(prefix=final.name + _PARTIAL, dir=folder()))
        try:
            _fill(partial, stack, progress)
            _discard(final)
            partial.chmod(0o755)
            partial.rename(final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return require(stack)


def remove(environment: Environment) -> None:
    """Remove an environment: its name goes first, so that it is never there in part."""
    with held(environment.path, progress=lambda *_: None):
        _discard(environment.path)


def _fill(partial: Path, stack: Stack, progress: Progress) -> None:
    uv = uv_program()
    python = find_python(stack.python, uv=uv)
    install.make_venv(partial, python, uv)
    install.install(partial, stack.lock_file, uv, progress)
    locked = install.locked_versions(stack.lock_file)
    versions = install.installed_versions(partial)
    _compare(locked, versions)
    record = Record(
        stack=stack.id,
        lock_sha256=stack.lock_sha256(),
        python=str(python),
        dsk=__version__,
        created=dt.datetime.now(dt.UTC).replace(microsecond=0),
        versions=versions,
    )
    (partial / _RECORD).write_text(record.model_dump_json(indent=2) + "\n", "utf-8")


def _compare(locked: dict[str, str], installed: dict[str, str]) -> None:
    for name in sorted(locked | installed):
        if locked.get(name) != installed.get(name):
            what = (
                f"{name} is {installed.get(name, 'missing')} in the new environment, "
                f"{locked.get(name, 'absent')} in the lock"
            )
            raise VerificationFailed(what, do="report it with the lock's name")


def _read(place: Path) -> Environment | None:
    """The environment at a place, if it is whole and its Python is still on this machine."""
    try:
        record = Record.model_validate_json((place / _RECORD).read_bytes())
    except (OSError, ValidationError):
        return None
    found = Environment(path=place, record=record)
    whole = _PARTIAL not in place.name and found.python.exists()
    return found if whole else None


def _refuse_other_platform(stack: Stack) -> None:
    machine = f"{platform.system()} {platform.machine()}"
    if machine != f"Linux {stack.host.arch}":
        what = f"stack '{stack.id}' is locked for Linux {stack.host.arch}, this is {machine}"
        raise EngineMissing(what, do="use a machine of that kind")


@contextlib.contextmanager
def _made(place: Path) -> Iterator[None]:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the cache folder {place} cannot be written ({error.strerror})"
        raise EngineMissing(what, do="name another with DSK_CACHE") from error
    try:
        yield
    except OSError as error:
        raise install.why_it_failed(str(error)) from error


@contextlib.contextmanager
def held(place: Path, progress: Progress) -> Iterator[None]:
    """Hold an environment's place, one process at a time; the kernel lets go when we die."""
    from filelock import Timeout

    lock = lock_beside(place)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress(0, 0, "waiting: another dsk is creating this environment")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _sweep(*, mine: Path) -> None:
    """Remove what killed creates left: ours, whose lock we hold, and others' that nobody holds."""
    from filelock import Timeout

    for partial in folder().glob(f"*{_PARTIAL}*"):
        owner = partial.with_name(partial.name.split(_PARTIAL)[0])
        if owner == mine:
            shutil.rmtree(partial, ignore_errors=True)
            continue
        with contextlib.suppress(Timeout), lock_beside(owner).acquire(timeout=0):
            shutil.rmtree(partial, ignore_errors=True)


def _discard(place: Path) -> None:
    if not place.exists():
        return
    doomed = Path(tempfile.mkdtemp(prefix=place.name + _PARTIAL, dir=place.parent))
    place.replace(doomed / "old")
    shutil.rmtree(doomed, ignore_errors=True)
