"""Models of the DeepSeek-OCR family: one table of ``models.toml`` and one folder here for each."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING

from dsk import paths
from dsk.errors import MatrixInvalid, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dsk.models.base import ModelProfile


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
    return _first(model_id, lambda model: model.id == model_id)


def default() -> ModelProfile:
    """Return the profile of the first model of ``models.toml``."""
    return next(iter(profiles().values()))


def by_name(name: str) -> ModelProfile:
    """Return the profile of a model by its id, its hub id or its name; case does not matter.

    Raises:
        UsageProblem: no model is called so.
    """
    wanted = name.casefold()
    return _first(
        name,
        lambda model: wanted in {text.casefold() for text in (model.id, model.hub, model.name)},
    )


def for_architecture(architecture: str) -> ModelProfile:
    """Return the profile of the model that has this class name in its ``config.json``.

    Raises:
        UsageProblem: no model has it.
    """
    return _first(architecture, lambda model: model.record.architecture == architecture)


def _first(name: str, fits: Callable[[ModelProfile], bool]) -> ModelProfile:
    for model in profiles().values():
        if fits(model):
            return model
    message = f"no such model '{name}'"
    raise UsageProblem(message, do=f"known are {', '.join(profiles())}")


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
