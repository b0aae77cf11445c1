"""Folders of models: their completeness, origin, profile and resolution."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from dsk import models
from dsk.errors import MatrixInvalid, UsageProblem
from dsk.hub import store
from dsk.models import configuration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dsk.models.base import ModelProfile

_REPAIR: Final = "fetch or copy the model again"


def ensure_whole(folder: Path, *, fetch: str) -> None:
    """Check that a folder holds all files of a model; in the hub's cache, also their hashes.

    Args:
        folder: the folder.
        fetch: the command that fetches the model.

    Raises:
        MatrixInvalid: files are missing, or are not those that were fetched or are pinned.
    """
    for fault in _faults(folder):
        raise MatrixInvalid(fault, do=f"{fetch}; dsk eyechart model makes a test model")


def _faults(folder: Path) -> Iterator[str]:
    for needed, what in (("config.json", "config.json"), ("*.safetensors", "weights")):
        if not any(folder.glob(needed)):
            yield f"the model folder {folder} has no {what}"
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        missing = sorted(name for name in _weight_files(index) if not (folder / name).is_file())
        if missing:
            yield f"the model folder {folder} lacks {', '.join(missing)}"
    # A checkpoint of the hub's cache has a record of its files; a folder of one's own has none.
    hub, commit = origin(folder)
    record = store.recorded(hub, commit)
    model = next((model.record for model in models.profiles().values() if model.hub == hub), None)
    if (
        model
        and model.revision == commit
        and (wrong := store.pin_faults(folder.absolute(), model.files))
    ):
        yield f"the model {hub} is not the pinned one: {'; '.join(wrong)}"
    if record and (faults := store.faults(record, hashes=False)):
        yield f"the model {hub} is not whole: {'; '.join(faults)}"


def _weight_files(index: Path) -> set[str]:
    try:
        return set(json.loads(index.read_bytes())["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError) as error:
        what = f"{index} is not an index of weights"
        raise MatrixInvalid(what, do=_REPAIR) from error


def is_pinned(folder: Path) -> bool:
    """Return True if a folder is a pinned revision in the hub's cache."""
    pinned = {(model.hub, model.record.revision) for model in models.profiles().values()}
    return origin(folder) in pinned


def is_test_model(folder: Path) -> bool:
    """Return True if a folder holds a test model of `dsk eyechart model`."""
    return (folder / "eyechart.json").is_file()


def origin(folder: Path) -> tuple[str, str]:
    """Return the hub id and the commit of a folder in the hub's cache; empty for any other."""
    # The hub's client lays models out as models--OWNER--NAME/snapshots/COMMIT.
    path = folder.absolute()
    repository, parent = path.parent.parent.name, path.parent.name
    if parent != "snapshots" or not repository.startswith("models--"):
        return "", ""
    return repository.removeprefix("models--").replace("--", "/", 1), path.name


def profile_of(folder: Path) -> ModelProfile:
    """Return the profile of a checkpoint by its configuration.

    Raises:
        UsageProblem: no profile has its architecture, or which one it is cannot be seen.
    """
    try:
        return configuration.profile_of(_configuration(folder))
    except UsageProblem as unknown:
        what = f"the model folder {folder} is of no model that dsk knows: {unknown.what}"
        raise UsageProblem(what, do=unknown.do) from unknown


def mode_of(folder: Path) -> str:
    """Return the resolution that a checkpoint was made for.

    That is its configuration's ``dsk_mode``, which test models have, else the profile's default.
    """
    own = _configuration(folder).get("dsk_mode")
    return str(own) if own else profile_of(folder).default_resolution.name


def _configuration(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        what = f"{file} is no configuration of a model"
        raise MatrixInvalid(what, do=_REPAIR) from error
    if not isinstance(content, dict):
        what = f"{file} is no configuration of a model"
        raise MatrixInvalid(what, do=_REPAIR)
    return content
