"""Models of the DeepSeek-OCR family: one table of ``models.toml`` and one folder here for each."""

from __future__ import annotations

import difflib
import functools
import importlib
from typing import TYPE_CHECKING, Final

from dsk import paths
from dsk.errors import MatrixInvalid, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from dsk.models.base import ModelProfile

# Names the model of commands that have no --model.
VARIABLE: Final = "DSK_MODEL"


def profiles() -> Mapping[str, ModelProfile]:
    """Return every model's profile by its id, in the order of ``models.toml``.

    Raises:
        MatrixInvalid: ``models.toml`` is not valid, or a model has no folder here.
    """
    return _profiles(paths.compat())


def profile(model_id: str) -> ModelProfile:
    """Return the profile of a model.

    Raises:
        UsageProblem: there is no model with this id.
    """
    if model_id not in profiles():
        raise _unknown(model_id)
    return profiles()[model_id]


def default() -> ModelProfile:
    """Return the profile of the first model of ``models.toml``."""
    return next(iter(profiles().values()))


def find(name: str) -> ModelProfile | None:
    """Return the profile of a model by its id, hub id, name or alias; None if there is none.

    Case, spaces, hyphens and underscores do not matter.
    """
    from dsk.matrix.models import normalized_name

    return _spellings().get(normalized_name(name))


def by_name(name: str) -> ModelProfile:
    """Return the profile of a model by its id, hub id, name or alias, as `find` does.

    Raises:
        UsageProblem: no model is called so; the message has the nearest name and all ids.
    """
    from dsk.matrix.models import normalized_name

    if model := find(name):
        return model
    near = difflib.get_close_matches(normalized_name(name), _spellings(), n=1)
    raise _unknown(name, f"did you mean {_spellings()[near[0]].id}? " if near else "")


def find_architecture(names: Iterable[str] | None) -> ModelProfile | None:
    """Return the profile of the first of these class names that is a model's; None if none is.

    Args:
        names: a configuration's ``architectures``, which may be None.
    """
    known = {model.record.architecture: model for model in profiles().values()}
    return next((known[name] for name in names or () if name in known), None)


def for_architecture(architecture: str) -> ModelProfile:
    """Return the profile of the model that has this class name in its ``config.json``.

    Raises:
        UsageProblem: no model has it.
    """
    if model := find_architecture([architecture]):
        return model
    known = ", ".join(f"{model.record.architecture} ({model.id})" for model in profiles().values())
    message = f"no model has the architecture '{architecture}'"
    raise UsageProblem(message, do=f"known are {known}")


def _spellings() -> dict[str, ModelProfile]:
    return {text: model for model in profiles().values() for text in model.record.spellings}


def _unknown(name: str, nearest: str = "") -> UsageProblem:
    return UsageProblem(f"no such model '{name}'", do=f"{nearest}known are {', '.join(profiles())}")


@functools.cache
def _profiles(compat: Path) -> dict[str, ModelProfile]:
    # pydantic and the matrix take 0.1 s to import: `dsk --help` and the like do without.
    from dsk.matrix.load import load_models

    made: dict[str, ModelProfile] = {}
    for model_id, record in load_models(compat).items():
        folder = model_id.replace("-", "_")
        try:
            module = importlib.import_module(f"{__name__}.{folder}.profile")
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith(f"{__name__}.{folder}"):
                raise
            what = f"{compat / 'models.toml'}, key '{model_id}': found no code for this model"
            raise MatrixInvalid(what, do=f"add the folder dsk/models/{folder}") from error
        made[model_id] = module.PROFILE_CLASS(record=record)
    return made
