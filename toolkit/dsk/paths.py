"""Where data lies: the one module that knows the checkout, the wheel and the cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import platformdirs

PACKAGE: Final = Path(__file__).resolve().parent
CHECKOUT: Final = PACKAGE.parents[1]
"""The repository's root, when dsk runs from a checkout; see `in_checkout`."""


def in_checkout() -> bool:
    """Whether this dsk runs from its repository, not from an installed wheel."""
    return (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "compat").is_dir()


def data() -> Path:
    """The folder that holds ``compat`` and ``templates``."""
    return CHECKOUT if in_checkout() else PACKAGE / "_data"


def compat() -> Path:
    """The compatibility matrix. ``DSK_COMPAT`` names another one, for tests and experiments."""
    other = os.environ.get("DSK_COMPAT")
    return Path(other) if other else data() / "compat"


def templates() -> Path:
    """The jinja2 templates."""
    return data() / "templates"


def cache() -> Path:
    """The user's cache folder for dsk (environments, test models); ``DSK_CACHE`` overrides it."""
    override = os.environ.get("DSK_CACHE")
    return Path(override) if override else platformdirs.user_cache_path("dsk")
