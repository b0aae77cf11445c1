"""Where a model lies on this machine: a folder, or a hub's name in the local cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from dsk import console
from dsk.errors import MatrixInvalid
from dsk.hub import store

if TYPE_CHECKING:
    from dsk.matrix import Matrix


def model_folder(name: str, matrix: Matrix) -> Path:
    """The folder of a model; nothing is downloaded.

    A model that is no pinned revision of the matrix, and no test model, is warned of.

    Args:
        name: a folder, or the hub's name of a model that the matrix knows; with ``@REVISION``
            behind it, at another revision than the pinned one.

    Raises:
        MatrixInvalid: the model is not here, or not whole.
    """
    folder = Path(name)
    if not folder.is_dir():
        folder = _cached(name, matrix)
    _ensure_whole(folder)
    if not _is_pinned(folder, matrix) and not (folder / "eyechart.json").is_file():
        console.warn(
            f"the model {name} is not at a revision that the matrix pins: "
            "what it reads may not be what others read"
        )
    return folder.resolve()


def _ensure_whole(folder: Path) -> None:
    for needed, what in (("config.json", "config.json"), ("*.safetensors", "weights")):
        if not any(folder.glob(needed)):
            _refuse(f"the model folder {folder} has no {what}")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        missing = sorted(name for name in _weight_files(index) if not (folder / name).is_file())
        if missing:
            _refuse(f"the model folder {folder} lacks {', '.join(missing)}")
    hub, commit = _origin(folder)
    record = store.recorded(hub, commit)
    if record and (faults := store.faults(record, hashes=False)):
        _refuse(f"the model {hub} is not whole: {'; '.join(faults)}")


def _weight_files(index: Path) -> set[str]:
    try:
        return set(json.loads(index.read_bytes())["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError) as error:
        what = f"{index} is no index of weights"
        raise MatrixInvalid(what, do="dsk model fetch") from error


def _refuse(what: str) -> None:
    raise MatrixInvalid(what, do="dsk model fetch; dsk eyechart model makes a test model")


def _is_pinned(folder: Path, matrix: Matrix) -> bool:
    return _origin(folder) in {(model.hub, model.revision) for model in matrix.models.values()}


def _origin(folder: Path) -> tuple[str, str]:
    """The hub's name and the commit of a folder in the hub's cache; empty for any other."""
    place = folder.absolute()
    named, between = place.parent.parent.name, place.parent.name
    if between != "snapshots" or not named.startswith("models--"):
        return "", ""
    return named.removeprefix("models--").replace("--", "/", 1), place.name


def _cached(name: str, matrix: Matrix) -> Path:
    """The snapshot of a known model in the hub's cache, at the pinned or the named revision."""
    hub, _, revision = name.partition("@")
    model = next((model for model in matrix.models.values() if model.hub == hub), None)
    if model is None:
        known = ", ".join(model.hub for model in matrix.models.values())
        message = f"there is no model folder {name}"
        raise MatrixInvalid(message, do=f"check the path, or name {known}")
    commit = store.commit_of(hub, revision or model.revision)
    folder = store.snapshot(hub, commit or "")
    if commit is None or not folder.is_dir():
        message = f"{name} is not on this machine"
        do = "dsk model fetch" + (f" --revision {revision}" if revision else "")
        raise MatrixInvalid(message, do=do)
    return folder


def mode_of(folder: Path) -> str:
    """The resolution that a model was made for: its configuration's ``dsk_mode``, else Gundam."""
    config = json.loads((folder / "config.json").read_bytes())
    return str(config.get("dsk_mode", "gundam"))
