"""Folders of patched remote code: named by what is in them, whole from the moment they exist."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dsk import paths
from dsk.errors import UsageProblem
from dsk.transformers_patch import detection

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "dsk_"
MANIFEST: Final = "dsk-patch.json"


@dataclass(frozen=True, kw_only=True)
class Folder:
    """One repository's code, patched.

    Args:
        path: where it lies; the files have their own names, originals are beside them.
        changed: how many files were rewritten.
        unknown: a line for each file that was left alone though it looks like the model's.
    """

    path: Path
    changed: int
    unknown: tuple[str, ...]


def patched(sources: Mapping[str, tuple[bytes, Path]], modules: Path) -> Folder:
    """The folder for these files, made if it is not there.

    Many processes may ask at once and any of them may be killed: one makes the folder under a
    lock, beside its place, and renames it. Where ``modules`` cannot be written to, the folder lies
    in dsk's cache, or in the temporary folder.

    Args:
        sources: name in the repository to content and place.
        modules: the ``transformers_modules`` folder of transformers' cache.

    Raises:
        UsageProblem: no place can be written to.
    """
    originals = {name: original(source, path) for name, (source, path) in sources.items()}
    listing = json.dumps(
        [revision(), *sorted((n, detection.sha256(s)) for n, s in originals.items())]
    )
    name = PREFIX + detection.sha256(listing.encode())[:16]
    places = [modules, paths.cache() / modules.name, *_temporary(modules.name)]
    for place in places:
        if (place / name / MANIFEST).is_file():
            return _read(place / name)
    root = next((place for place in places if writable(place)), None)
    if root is None:
        what = f"no folder for patched remote code: none of {', '.join(map(str, places))}"
        raise UsageProblem(what, do="name one that can be written to with DSK_CACHE")
    from filelock import FileLock

    with FileLock(root / f".{name}.lock"):
        if not (root / name / MANIFEST).is_file():
            _make(root / name, originals, {n: path for n, (_, path) in sources.items()})
    return _read(root / name)


def revision() -> str:
    """What rewriting writes, as a short hash; see `rewrite.revision`."""
    # Read, not imported: a folder that exists is served without LibCST.
    return detection.sha256(Path(__file__).with_name("rewrite.py").read_bytes())[:12]


def original(source: bytes, path: Path) -> bytes:
    """The file as it was published: itself, or what a patched file has beside it."""
    mark = detection.patched_from(source)
    if mark is None:
        return source
    beside = path.with_name(path.name + detection.BESIDE)
    return beside.read_bytes() if beside.is_file() else source


def left_alone(path: Path, source: bytes, why: str) -> str:
    """The line for a file that is not touched."""
    return _line(str(path), detection.sha256(source), why)


def _line(path: str, sha256: str, why: str) -> str:
    from importlib.metadata import version

    release = version("transformers")
    return f"{path} (sha256 {sha256}) is left as it is on transformers {release}: {why}"


def _make(folder: Path, originals: Mapping[str, bytes], places: Mapping[str, Path]) -> None:
    from dsk.transformers_patch import rewrite

    for leftover in folder.parent.glob(f".{folder.name}-*"):  # of a maker that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    unknown, changed = [], 0
    for name, source in originals.items():
        result = source
        try:
            result = rewrite.rewritten(source) if not detection.patched_from(source) else source
        except rewrite.UnknownShape as problem:
            unknown.append([str(places[name]), detection.sha256(source), str(problem)])
        file = unfinished / name
        if result != source:
            changed += 1
            _write(file.with_name(file.name + detection.BESIDE), source)
        _write(file, result)
    for package in {unfinished, *(p.parent for p in unfinished.rglob("*.py"))}:
        (package / "__init__.py").touch()
    manifest = {"changed": changed, "unknown": unknown}
    _write(unfinished / MANIFEST, json.dumps(manifest, indent=1).encode())
    unfinished.chmod(0o755)
    if folder.exists():  # without its manifest: not ours, or damaged
        shutil.rmtree(folder)
    unfinished.rename(folder)


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _read(folder: Path) -> Folder:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    unknown = tuple(_line(*entry) for entry in manifest["unknown"])
    return Folder(path=folder, changed=manifest["changed"], unknown=unknown)


def _temporary(name: str) -> list[Path]:
    """A folder of ours in the temporary folder; none where somebody else could put code there."""
    mine = Path(tempfile.gettempdir()) / f"dsk-{os.getuid()}"
    try:
        mine.mkdir(mode=0o700, exist_ok=True)
        found = mine.lstat()
    except OSError:
        return []
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return [mine / name] if ours and not found.st_mode & 0o022 else []


def writable(folder: Path) -> bool:
    """Whether files can be made there. A folder nobody may write to is not, for root either."""
    nearest = folder
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.stat().st_mode & 0o222:
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".dsk-"):
            return True
    except OSError:
        return False
