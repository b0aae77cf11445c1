"""Remote code on disk, in a hub's or a modules' cache: its state, its patch, its restoration.

The hook leaves files as they are and needs none of this. Patching files is for environments that
cannot have the hook.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dsk.errors import UsageProblem, VerificationFailed
from dsk.file_lock import locked_file
from dsk.files import write_bytes_atomically
from dsk.transformers_patch import detection, folders

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

State = Literal["patched", "outdated", "to patch", "unknown", "no need"]


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One file of the model's remote code.

    Args:
        path: its path.
        sha256: of the original, as far as that is known.
        state: patched by this dsk, patched by another one, to be patched, of unknown code, or
            without anything to patch.
    """

    path: Path
    sha256: str
    state: State


def default_caches() -> list[Path]:
    """Return the caches of transformers that exist: the hub's and that of modules."""
    # As huggingface_hub and transformers read these variables, without importing them.
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface").expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    modules = Path(os.environ.get("HF_MODULES_CACHE") or home / "modules")
    return [folder for folder in (hub, modules) if folder.is_dir()]


def status(cache: Path) -> list[RemoteFile]:
    """Return the model's files below a folder, in order, without writing anything.

    Raises:
        UsageProblem: there is no such folder.
    """
    from dsk.transformers_patch import rewrite

    files: list[RemoteFile] = []
    for path, source in _model_files(cache):
        mark = detection.read_header(source)
        state: State
        if mark:
            state = "patched" if mark[0] == rewrite.revision() else "outdated"
        else:
            try:
                state = "no need" if rewrite.rewritten(source) == source else "to patch"
            except rewrite.UnknownCode:
                state = "unknown"
        files.append(
            RemoteFile(path=path, sha256=mark[1] if mark else detection.sha256(source), state=state)
        )
    return files


def apply(cache: Path) -> list[RemoteFile]:
    """Patch the model's files below a folder, and keep each original beside its file.

    A link into the hub's blobs is replaced; the blob stays as it is.

    Returns:
        The files that were patched.

    Raises:
        UsageProblem: there is no such folder, or it is not writable.
        VerificationFailed: the file kept beside one that was patched is not its original.
    """
    from dsk.transformers_patch import rewrite

    changing = [file for file in status(cache) if file.state in ("to patch", "outdated")]
    for file in changing:
        original = _original_path(file.path)
        if file.state == "outdated" and not original.exists():
            continue  # transformers' own copy of a patched file: it copies it again
        with _locked_folder(file.path):
            if not original.exists():
                _keep(file.path, original)
            published = original.read_bytes()
            # What is beside the file may be of another release, or not the model's at all.
            _require_original(file.path, published, file.sha256)
            write_bytes_atomically(file.path, rewrite.rewritten(published))
    return changing


def revert(cache: Path) -> list[Path]:
    """Restore the original bytes and links of the patched files below a folder.

    Returns:
        The files that were restored, or removed as copies of a patched file.

    Raises:
        UsageProblem: there is no such folder, or it is not writable.
        VerificationFailed: the file kept beside a patched one is missing, or not its original.
    """
    done: list[Path] = []
    for path, source in _model_files(cache):
        mark, original = detection.read_header(source), _original_path(path)
        if mark is None:
            continue
        if original.exists():
            _require_original(path, original.read_bytes(), mark[1])
        with _locked_folder(path):
            if original.exists():
                original.replace(path)
            elif "transformers_modules" in path.parts:
                path.unlink()  # transformers' own copy of a patched file: it copies it again
            else:
                what = f"{path} is patched, and its original is missing"
                raise VerificationFailed(what, do="remove it; transformers fetches it again")
        done.append(path)
    return done


def _model_files(cache: Path) -> Iterator[tuple[Path, bytes]]:
    if not cache.is_dir():
        what = f"no such folder: {cache}"
        raise UsageProblem(what, do="give a hub cache, a modules cache or a model's folder")
    for folder, _subfolders, names in sorted(os.walk(cache)):
        if folders.PREFIX in folder and (Path(folder) / folders.MANIFEST).is_file():
            continue  # made by the hook
        files = [Path(folder) / name for name in sorted(names) if name.endswith(".py")]
        # By folder: which files belong to the model shows in the files beside them.
        sources = [(path, path.read_bytes()) for path in files if path.is_file()]
        if detection.is_model_code(source for _, source in sources):
            yield from sources


def _require_original(path: Path, published: bytes, sha256: str) -> None:
    if detection.sha256(published) != sha256:
        what = f"{_original_path(path)} is not the original of {path.name} (sha256 {sha256})"
        raise VerificationFailed(what, do="remove both; transformers fetches the file again")


def _original_path(path: Path) -> Path:
    return path.with_name(path.name + detection.ORIGINAL_SUFFIX)


def _keep(path: Path, original: Path) -> None:
    """Give a file or link a second name, so that the original survives whatever happens next."""
    # No copy: a kill in between would leave half an original.
    if path.is_symlink():
        original.symlink_to(path.readlink())
    else:
        original.hardlink_to(path)


@contextmanager
def _locked_folder(path: Path) -> Iterator[None]:
    """Hold the lock of a file's folder; raise a plain error where the folder is read-only."""
    folder = path.parent
    if not folders.writable(folder):
        what = f"{folder} cannot be written to"
        raise UsageProblem(what, do="`dsk patch enable` patches without writing there")
    with locked_file(folder / ".dsk-patch", warn=folders.warn):
        yield


def summary(files: Sequence[RemoteFile]) -> str:
    """Return one line with the number of files in each state."""
    counts = {file.state: 0 for file in files}
    for file in files:
        counts[file.state] += 1
    return ", ".join(f"{count} {state}" for state, count in counts.items()) or "none of the model's"
