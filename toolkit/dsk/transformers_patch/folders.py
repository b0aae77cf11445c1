"""Folders of patched remote code, named by a hash of their contents and created atomically."""

from __future__ import annotations

import functools
import json
import os
import secrets
import shutil
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dsk import paths
from dsk.errors import UsageProblem
from dsk.file_lock import locked_file
from dsk.filenames import printable
from dsk.files import open_folder, sync_folder
from dsk.transformers_patch import detection

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "dsk_"
MANIFEST: Final = "dsk-patch.json"


@dataclass(frozen=True, kw_only=True)
class PatchedFolder:
    """Patched code of one repository.

    Args:
        path: the folder; the files have their own names, with the originals beside them.
        changed: the number of rewritten files.
        unknown: a message for each file that was not patched though it looks like the model's.
    """

    path: Path
    changed: int
    unknown: tuple[str, ...]


def patched_folder(sources: Mapping[str, tuple[bytes, Path]], modules: Path) -> PatchedFolder:
    """Return the folder for these files, which is made if it does not exist.

    It is in ``modules``, or in dsk's cache or the temporary folder if that is not writable.

    Args:
        sources: content and path of the files, by their names in the repository.
        modules: the ``transformers_modules`` folder of transformers' cache.

    Raises:
        UsageProblem: none of these folders is writable.
    """
    originals = {name: original(source, path) for name, (source, path) in sources.items()}
    listing = json.dumps(
        [
            revision(),
            *sorted((file, detection.sha256(source)) for file, source in originals.items()),
        ]
    )
    name = PREFIX + detection.sha256(listing.encode())[:16]
    parents = [modules, paths.cache() / modules.name, *_temporary(modules.name)]
    for parent in parents:
        if (parent / name / MANIFEST).is_file():
            return _read(parent / name)
    root = next((parent for parent in parents if writable(parent)), None)
    if root is None:
        what = (
            f"no folder for patched remote code is writable: none of {', '.join(map(str, parents))}"
        )
        raise UsageProblem(what, do="choose a writable folder with DSK_CACHE")
    # Each of an engine's processes may come here at the same time.
    with locked_file(root / f".{name}", warn=warn):
        if not (root / name / MANIFEST).is_file():
            _make(root / name, originals, {file: path for file, (_, path) in sources.items()})
    return _read(root / name)


@functools.cache
def warn(message: str) -> None:
    """Print a warning on stderr, once a process."""
    # Not through logging: a script that loads the model may not have configured it. Nor through
    # rich, which a stack's environment may not have.
    print(f"dsk: {printable(message)}", file=sys.stderr)


def revision() -> str:
    """Return the same as `rewrite.revision`."""
    # Read, not imported: an existing folder is used without importing LibCST.
    return detection.sha256(Path(__file__).with_name("rewrite.py").read_bytes())[:12]


def original(source: bytes, path: Path) -> bytes:
    """Return the file as published: itself, or the original beside a patched file."""
    if detection.read_header(source) is None:
        return source
    kept = path.with_name(path.name + detection.ORIGINAL_SUFFIX)
    return kept.read_bytes() if kept.is_file() else source


def unpatched_message(path: Path, source: bytes, reason: str) -> str:
    """Return the message about a file that is not patched."""
    return _message(str(path), detection.sha256(source), reason)


def _message(path: str, sha256: str, reason: str) -> str:
    from importlib.metadata import version

    release = version("transformers")
    return f"{path} (sha256 {sha256}) is not patched for transformers {release}: {reason}"


def _make(folder: Path, originals: Mapping[str, bytes], origins: Mapping[str, Path]) -> None:
    from dsk.transformers_patch import rewrite

    for leftover in folder.parent.glob(f".{folder.name}-*"):  # by a killed process
        shutil.rmtree(leftover, ignore_errors=True)
    unfinished = folder.parent / f".{folder.name}-{secrets.token_hex(4)}"
    unfinished.mkdir()
    unknown, changed = [], 0
    for name, source in originals.items():
        result = source
        try:
            result = rewrite.rewritten(source) if not detection.read_header(source) else source
        except rewrite.UnknownCode as problem:
            unknown.append([str(origins[name]), detection.sha256(source), str(problem)])
        file = unfinished / name
        if result != source:
            changed += 1
            _write(file.with_name(file.name + detection.ORIGINAL_SUFFIX), source)
        _write(file, result)
    for package in {unfinished, *(file.parent for file in unfinished.rglob("*.py"))}:
        (package / "__init__.py").touch()  # so that relative imports work
    # It marks the folder as ours and complete.
    manifest = {"changed": changed, "unknown": unknown}
    _write(unfinished / MANIFEST, json.dumps(manifest, indent=1).encode())
    if folder.exists():  # without a manifest: damaged, or not made by dsk
        shutil.rmtree(folder)
    unfinished.rename(folder)
    _sync(folder.parent)


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync(folder: Path) -> None:
    descriptor = open_folder(folder)
    try:
        sync_folder(descriptor)
    finally:
        os.close(descriptor)


def _read(folder: Path) -> PatchedFolder:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    unknown = tuple(_message(*entry) for entry in manifest["unknown"])
    return PatchedFolder(path=folder, changed=manifest["changed"], unknown=unknown)


def _temporary(name: str) -> list[Path]:
    """Return our folder below the temporary folder; empty if another user could write there."""
    mine = Path(tempfile.gettempdir()) / f"dsk-{os.getuid()}"
    try:
        mine.mkdir(mode=0o700, exist_ok=True)
        status = mine.lstat()  # not stat: another user may have put a link there
    except OSError:
        return []
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    return [mine / name] if ours and not status.st_mode & 0o022 else []


def writable(folder: Path) -> bool:
    """Return True if files can be made in a folder, which is made if it does not exist."""
    nearest = folder
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.stat().st_mode & 0o222:  # read-only on purpose; root could write all the same
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".dsk-"):
            return True
    except OSError:
        return False
