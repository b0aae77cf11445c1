"""Test models in the cache, made by a process of a stack's environment."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING

from dsk import console, models, paths
from dsk.errors import KINDS, DskError
from dsk.eyechart.recipe import Recipe, chart_side
from dsk.file_lock import locked_file
from dsk.processes import output
from dsk.runtime.base import runtime_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dsk.matrix import Stack
    from dsk.models.base import ModelProfile


def is_complete(folder: Path) -> bool:
    """Return True if a folder holds a complete test model."""
    # Its configuration is written last.
    return (folder / "config.json").is_file()


def tiny_model(profile: ModelProfile | None = None, side: int | None = None) -> Recipe:
    """Return the recipe of the tiny model of `dsk demo`, probes and tests.

    Args:
        profile: the model that it replaces; None is the default one.
        side: cells in a row of the charts that it reads; None fills the model's default view.
    """
    profile = profile or models.default()
    return Recipe(profile=profile, side=chart_side(profile, side))


def folder_of(recipe: Recipe) -> Path:
    """Return the folder of the test model that `cached` makes, existing or not."""
    # Other code, or another profile, makes another model: their hash is in the name.
    maker = hashlib.sha256()
    for package in ("eyechart", "models"):
        for source in sorted((paths.PACKAGE / package).rglob("*.py")):
            maker.update(source.read_bytes())
    maker.update((paths.compat() / "models.toml").read_bytes())
    made_from = f"{recipe.profile.id}-{recipe.size}-{recipe.side}-{recipe.seed}"
    return paths.cache() / "models" / f"eyechart-{made_from}-{maker.hexdigest()[:12]}"


def cached(
    stack: Stack, recipe: Recipe, *, runtime: str = "venv", progress: Callable[[str], None]
) -> Path:
    """Return a test model in the cache, as `dsk demo` and probes use them; make it if missing.

    Args:
        stack: the stack whose torch makes it.
        recipe: of the test model.
        runtime: see `make`.
        progress: called with "3/4" and the like as charts are encoded.

    Raises:
        EngineMissing: the environment does not exist.
        DskError: the model could not be written; the reason is on stderr.
    """
    # One process makes it and the others wait: writing it again would change the weights under an
    # engine that has them mapped into memory.
    folder = folder_of(recipe)
    if not is_complete(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked_file(folder, warn=console.warn):
            if not is_complete(folder):
                make(folder, stack, recipe, runtime=runtime, progress=progress)
    return folder


def make(
    folder: Path,
    stack: Stack,
    recipe: Recipe,
    *,
    runtime: str = "venv",
    progress: Callable[[str], None],
) -> None:
    """Write a test model in a stack's environment.

    Args:
        folder: the folder to write; see `dsk.eyechart.checkpoint.write`.
        stack: the stack whose torch makes it.
        recipe: of the test model.
        runtime: the kind of runtime with the stack's torch; see `dsk.runtime.base.runtime_for`.
        progress: called with "3/4" and the like as charts are encoded.

    Raises:
        EngineMissing: the environment does not exist.
        DskError: the model could not be written; the reason is on stderr.
    """
    arguments: list[str | Path] = [folder.absolute(), recipe.profile.id, recipe.size]
    arguments += [str(recipe.side), str(recipe.seed)]
    with runtime_for(stack, runtime).start(
        "dsk.eyechart", arguments, stdout=subprocess.PIPE
    ) as child:
        for line in output.lines(child.process):
            if line is not None:
                progress(line.strip())
        code = child.wait()
    if code != 0:
        kind = next((kind for kind in KINDS if kind.exit_code == code), DskError)
        message = f"the test model was not written to {folder}"
        raise kind(message, do="see the error above")
