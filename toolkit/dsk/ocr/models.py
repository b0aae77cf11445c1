"""Where a model lies on this machine: a folder, or a hub's name in the local cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dsk.errors import MatrixInvalid

if TYPE_CHECKING:
    from dsk.compat import Matrix


def model_folder(name: str, matrix: Matrix) -> Path:
    """The folder of a model; nothing is downloaded.

    Args:
        name: a folder, or the hub's name of a model that the matrix knows.

    Raises:
        MatrixInvalid: the model is not here, or its folder has no configuration or no weights.
    """
    folder = Path(name)
    if not folder.is_dir():
        folder = _cached(name, matrix)
    for needed, what in (("config.json", "config.json"), ("*.safetensors", "weights")):
        if not any(folder.glob(needed)):
            message = f"the model folder {folder} has no {what}"
            raise MatrixInvalid(
                message, do="name a whole one; dsk eyechart model makes a test model"
            )
    return folder.resolve()


def _cached(name: str, matrix: Matrix) -> Path:
    """The snapshot of a known model in the hub's cache, at the revision that the matrix pins."""
    model = next((model for model in matrix.models.values() if model.hub == name), None)
    if model is None:
        known = ", ".join(model.hub for model in matrix.models.values())
        message = f"there is no model folder {name}"
        raise MatrixInvalid(message, do=f"check the path, or name {known}")
    folder = _hub_cache() / f"models--{name.replace('/', '--')}" / "snapshots" / model.revision
    if not folder.is_dir():
        message = f"{name} is not on this machine"
        raise MatrixInvalid(message, do=f"hf download {name} --revision {model.revision}")
    return folder


def _hub_cache() -> Path:
    """huggingface_hub's cache folder, by the same variables."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache)
    home = os.environ.get("HF_HOME")
    return (Path(home) if home else Path.home() / ".cache" / "huggingface") / "hub"
