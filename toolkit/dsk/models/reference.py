"""References to models: what a user names with ``--model``, resolved the same way everywhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dsk import console, models, own_image
from dsk.errors import MatrixInvalid, UsageProblem
from dsk.hub import store
from dsk.models import folder as folders

if TYPE_CHECKING:
    from dsk.models.base import ModelProfile


@dataclass(frozen=True, kw_only=True)
class ModelReference:
    """A model that a user named: a revision of one of the profiles, or a folder.

    Args:
        profile: of the model.
        revision: a commit, branch or tag of the hub; the pinned commit by default, "" for a folder.
        folder: the folder that was named; None for a model of the hub.
    """

    profile: ModelProfile
    revision: str
    folder: Path | None = None

    @property
    def is_pinned(self) -> bool:
        """True if the revision is the one that the matrix pins."""
        return self.revision == self.profile.record.reference

    @property
    def fetch_command(self) -> str:
        """Command that fetches the model."""
        return fetch_command(self.profile.id, "" if self.is_pinned else self.revision)

    def __str__(self) -> str:
        """Return what messages call it: the folder, or the hub id with a revision of one's own."""
        if self.folder:
            return str(self.folder)
        return self.profile.hub + ("" if self.is_pinned else f"@{self.revision}")

    def locate(self) -> Path:
        """Return the folder of the model on this machine, without downloading anything.

        Warn of a model that is neither a pinned revision of the matrix nor a test model.

        Raises:
            MatrixInvalid: the model is not on this machine, or not whole.
        """
        folder = self.folder or self._cached()
        folders.ensure_whole(folder, fetch=self.fetch_command)
        if not folders.is_pinned(folder) and not folders.is_test_model(folder):
            console.warn(
                f"the model {self} is not at a revision that the matrix pins: "
                "what it reads may not be what others read"
            )
        return folder.resolve()

    def _cached(self) -> Path:
        """Return the model's folder in the hub's cache."""
        hub = self.profile.hub
        commit = store.commit_of(hub, self.revision)
        folder = store.snapshot(hub, commit or "")
        if commit is None or not folder.is_dir():
            what = f"{self} is not on this machine"
            raise MatrixInvalid(what, do=self.fetch_command)
        return folder


def fetch_command(model_id: str, revision: str = "") -> str:
    """Return the command that fetches a model, at its pinned revision or another one."""
    named = f" --revision {revision}" if revision else ""
    arguments = f"model fetch{option_of(model_id)}{named}"
    image = own_image.around()
    if image and image.container != "kubernetes":
        # Images keep away from the hub unless they are told otherwise.
        return image.start(arguments, "-e HF_HUB_OFFLINE=0")
    return f"dsk {arguments}"


def option_of(model_id: str) -> str:
    """Return the option that names a model in a command, after a blank.

    It is empty for the model that the command would take without it.
    """
    variable = os.environ.get(models.VARIABLE)
    taken = models.find(variable) if variable else models.default()
    # A command may be for another shell, where the variable is not set.
    needless = taken is not None and model_id == taken.id == models.default().id
    return "" if needless else f" --model {model_id}"


def resolve(name: str | None) -> ModelReference:
    """Return the model that a user names.

    A folder wins over a model of the same name, so that a name means one thing in a folder; a name
    with a slash and no owner, such as ``./name``, is always a folder.

    Args:
        name: a folder, or the id, hub id, name or alias of a model of the matrix, where
            ``@REVISION`` may follow; None is the default model.

    Raises:
        UsageProblem: there is no such model or folder, or the folder holds no model that dsk knows.
        MatrixInvalid: the folder has no valid ``config.json``.
    """
    if name is None:
        return _of_hub(models.default(), "")
    folder = Path(name)
    if folder.is_dir():
        return _of_folder(folder)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        what = f"there is no model folder {name}"
        do = f"check the path, or name one of {', '.join(models.profiles())}"
        raise UsageProblem(what, do=own_image.advice(do, *own_image.mount_of(folder)))
    model, at, revision = name.partition("@")
    if at and not revision:
        what = f"'{name}' names no revision"
        raise UsageProblem(what, do=f"write {model}@REVISION, or {model} for the pinned one")
    try:
        return _of_hub(models.by_name(model), revision)
    except UsageProblem as unknown:
        if "/" not in name:
            raise
        # It may be meant for a path as well as for a hub id.
        what = f"there is no model folder {name}, and no model of that hub id"
        raise UsageProblem(what, do=unknown.do) from unknown


def recognized(name: str) -> ModelProfile | None:
    """Return the profile of a model that another program names: by a name, or by its folder's path.

    Args:
        name: what a server calls the model, or the path that it was loaded from.
    """
    path = Path(name)
    hub, _ = folders.origin(path)
    return next(filter(None, map(models.find, (name, hub, path.name))), None)


def _of_hub(profile: ModelProfile, revision: str) -> ModelReference:
    return ModelReference(profile=profile, revision=revision or profile.record.reference)


def _of_folder(folder: Path) -> ModelReference:
    if not (folder / "config.json").is_file():
        what = f"the model folder {folder} has no config.json"
        known = ", ".join(model.hub for model in models.profiles().values())
        raise MatrixInvalid(
            what, do=f"name the folder of a model, or a model by its hub id: {known}"
        )
    return ModelReference(profile=folders.profile_of(folder), revision="", folder=folder)
