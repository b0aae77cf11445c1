"""Models on this machine: a folder, or a hub id in the local cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsk import console, models
from dsk.errors import MatrixInvalid
from dsk.hub import store

if TYPE_CHECKING:
    from dsk.matrix import Matrix
    from dsk.models.base import ModelProfile


def model_folder(name: str, matrix: Matrix) -> Path:
    """Return the folder of a model, without downloading anything.

    Warn of a model that is neither a pinned revision of the matrix nor a test model.

    Args:
        name: a folder, or the hub id of a model of the matrix; ``@REVISION`` after it names
            another revision than the pinned one.

    Raises:
        MatrixInvalid: the model is not on this machine, or not whole.
    """
    folder = Path(name)
    if not folder.is_dir():
        folder = _cached(name, matrix)
    _ensure_whole(folder, matrix)
    if not _is_pinned(folder, matrix) and not (folder / "eyechart.json").is_file():
        console.warn(
            f"the model {name} is not at a revision that the matrix pins: "
            "what it reads may not be what others read"
        )
    return folder.resolve()


def _ensure_whole(folder: Path, matrix: Matrix) -> None:
    for needed, what in (("config.json", "config.json"), ("*.safetensors", "weights")):
        if not any(folder.glob(needed)):
            _refuse(f"the model folder {folder} has no {what}")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        missing = sorted(name for name in _weight_files(index) if not (folder / name).is_file())
        if missing:
            _refuse(f"the model folder {folder} lacks {', '.join(missing)}")
    # A checkpoint of the hub's cache has a record of its files; a folder of one's own has none.
    hub, commit = _origin(folder)
    record = store.recorded(hub, commit)
    model = next((model for model in matrix.models.values() if model.hub == hub), None)
    if (
        model
        and model.revision == commit
        and (wrong := store.pin_faults(folder.absolute(), model.files))
    ):
        _refuse(f"the model {hub} is not the pinned one: {'; '.join(wrong)}")
    if record and (faults := store.faults(record, hashes=False)):
        _refuse(f"the model {hub} is not whole: {'; '.join(faults)}")


def _weight_files(index: Path) -> set[str]:
    try:
        return set(json.loads(index.read_bytes())["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError) as error:
        what = f"{index} is not an index of weights"
        raise MatrixInvalid(what, do="dsk model fetch") from error


def _refuse(what: str) -> None:
    raise MatrixInvalid(what, do="dsk model fetch; dsk eyechart model makes a test model")


def _is_pinned(folder: Path, matrix: Matrix) -> bool:
    return _origin(folder) in {(model.hub, model.revision) for model in matrix.models.values()}


def _origin(folder: Path) -> tuple[str, str]:
    """Return the hub id and the commit of a folder in the hub's cache; empty for any other."""
    # The hub's client lays models out as models--OWNER--NAME/snapshots/COMMIT.
    path = folder.absolute()
    repository, parent = path.parent.parent.name, path.parent.name
    if parent != "snapshots" or not repository.startswith("models--"):
        return "", ""
    return repository.removeprefix("models--").replace("--", "/", 1), path.name


def _cached(name: str, matrix: Matrix) -> Path:
    """Return the snapshot of a known model in the hub's cache, pinned or of the named revision."""
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


def profile_named(name: str) -> ModelProfile:
    """Return the profile of a model by its folder or hub id; the default one for any other name.

    Raises:
        UsageProblem: no profile has the architecture of the folder's checkpoint.
    """
    if (Path(name) / "config.json").is_file():
        return profile_of(Path(name))
    hub = name.partition("@")[0]
    known = (model for model in models.profiles().values() if model.hub == hub)
    return next(known, models.default())


def profile_of(folder: Path) -> ModelProfile:
    """Return the profile of a checkpoint by its architecture; the default one if it names none.

    Raises:
        UsageProblem: no profile has its architecture.
    """
    architectures = _configuration(folder).get("architectures")
    if isinstance(architectures, list) and architectures:
        return models.for_architecture(str(architectures[0]))
    return models.default()


def mode_of(folder: Path) -> str:
    """Return the resolution that a checkpoint was made for.

    That is its configuration's ``dsk_mode``, which test models have, else the profile's default.
    """
    own = _configuration(folder).get("dsk_mode")
    return str(own) if own else profile_of(folder).default_resolution.name


def _configuration(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    try:
        configuration = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        what = f"{file} is no configuration of a model"
        raise MatrixInvalid(what, do="dsk model fetch") from error
    if not isinstance(configuration, dict):
        what = f"{file} is no configuration of a model"
        raise MatrixInvalid(what, do="dsk model fetch")
    return configuration
