"""Remote code on disk, in a hub's or a modules' cache: its state, patched, and put back.

The hook needs none of this, it leaves files as they are. Patching them in place is for
environments that cannot have the hook, and putting them back replaces clearing a cache.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dsk.errors import UsageProblem, VerificationFailed
from dsk.transformers_patch import detection, folders

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

State = Literal["patched", "outdated", "to patch", "unknown", "no need"]


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One file of the model's remote code.

    Args:
        path: where it lies.
        sha256: of the original, where that is known.
        state: patched by this dsk, by another one, not yet, of a shape that is not known, or
            without anything to patch.
    """

    path: Path
    sha256: str
    state: State


def default_caches() -> list[Path]:
    """Where transformers looks: the hub's cache and the modules' cache, those that exist."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface").expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    modules = Path(os.environ.get("HF_MODULES_CACHE") or home / "modules")
    return [place for place in (hub, modules) if place.is_dir()]


def status(cache: Path) -> list[RemoteFile]:
    """The model's files below a folder, in order. Nothing is written.

    Raises:
        UsageProblem: no such folder.
    """
    from dsk.transformers_patch import rewrite

    found: list[RemoteFile] = []
    for path, source in _model_files(cache):
        mark = detection.patched_from(source)
        state: State
        if mark:
            state = "patched" if mark[0] == rewrite.revision() else "outdated"
        else:
            try:
                state = "no need" if rewrite.rewritten(source) == source else "to patch"
            except rewrite.UnknownShape:
                state = "unknown"
        found.append(
            RemoteFile(path=path, sha256=mark[1] if mark else detection.sha256(source), state=state)
        )
    return found


def apply(cache: Path) -> list[RemoteFile]:
    """Patch the model's files below a folder, each original beside its file.

    A file appears whole or not at all; a link into the hub's blobs is replaced, its blob is not
    touched.

    Returns:
        The files that were patched.

    Raises:
        UsageProblem: no such folder, or it cannot be written to.
    """
    from dsk.transformers_patch import rewrite

    done = [file for file in status(cache) if file.state in ("to patch", "outdated")]
    for file in done:
        beside = _beside(file.path)
        if file.state == "outdated" and not beside.exists():
            continue
        with _writing(file.path):
            if not beside.exists():
                _keep(file.path, beside)
            _replace(file.path, rewrite.rewritten(beside.read_bytes()))
    return done


def revert(cache: Path) -> list[Path]:
    """Bring back the very bytes, and the very links.

    A patched copy without its original is transformers' own copy of a patched file, which it makes
    again when it is missing: it is removed.

    Returns:
        The files that were brought back or removed.

    Raises:
        UsageProblem: no such folder, or it cannot be written to.
        VerificationFailed: what lies beside a file is not its original.
    """
    done: list[Path] = []
    for path, source in _model_files(cache):
        mark, beside = detection.patched_from(source), _beside(path)
        if mark is None:
            continue
        if beside.exists() and detection.sha256(beside.read_bytes()) != mark[1]:
            what = f"{beside} is not the original of {path.name} (sha256 {mark[1]})"
            raise VerificationFailed(what, do="remove both; transformers fetches the file again")
        with _writing(path):
            if beside.exists():
                beside.replace(path)
            elif "transformers_modules" in path.parts:
                path.unlink()
            else:
                what = f"{path} is patched and its original is not beside it"
                raise VerificationFailed(what, do="remove it; transformers fetches it again")
        done.append(path)
    return done


def _model_files(cache: Path) -> Iterator[tuple[Path, bytes]]:
    if not cache.is_dir():
        what = f"no such folder: {cache}"
        raise UsageProblem(what, do="name a hub cache, a modules cache or a model's folder")
    for folder, _subfolders, names in sorted(os.walk(cache)):
        if folders.PREFIX in folder and (Path(folder) / folders.MANIFEST).is_file():
            continue  # the hook's own
        files = [Path(folder) / name for name in sorted(names) if name.endswith(".py")]
        sources = [(path, path.read_bytes()) for path in files if path.is_file()]
        if detection.ours(source for _, source in sources):
            yield from sources


def _beside(path: Path) -> Path:
    return path.with_name(path.name + detection.BESIDE)


def _keep(path: Path, beside: Path) -> None:
    """A second name for a file or link: whatever happens next, the original is there."""
    if path.is_symlink():
        beside.symlink_to(path.readlink())
    else:
        beside.hardlink_to(path)


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".dsk-", suffix=".tmp")
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    Path(name).chmod(0o644)
    Path(name).replace(path)


class _writing:  # noqa: N801
    """A lock on a file's folder, and a plain error where the folder is read-only."""

    def __init__(self, path: Path) -> None:
        from filelock import FileLock

        self._folder = path.parent
        self._lock = FileLock(self._folder / ".dsk-patch.lock")

    def __enter__(self) -> None:
        if not folders.writable(self._folder):
            what = f"{self._folder} cannot be written to"
            raise UsageProblem(what, do="`dsk patch enable` patches without writing there")
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def summary(files: Sequence[RemoteFile]) -> str:
    """One line: how many files in which state."""
    counts = {file.state: 0 for file in files}
    for file in files:
        counts[file.state] += 1
    return ", ".join(f"{count} {state}" for state, count in counts.items()) or "none of the model's"
