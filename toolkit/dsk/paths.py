"""Folders of dsk's own data: the checkout, the installed wheel, the user's cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import platformdirs

PACKAGE: Final = Path(__file__).resolve().parent
# The repository's root, when dsk runs from a checkout; see `in_checkout`.
CHECKOUT: Final = PACKAGE.parents[1]


def in_checkout() -> bool:
    """Return True if this dsk runs from its repository, not from an installed wheel."""
    return (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "compat").is_dir()


def data() -> Path:
    """Return the folder that holds ``compat`` and ``templates``."""
    # The wheel carries both folders inside the package, see pyproject.toml.
    return CHECKOUT if in_checkout() else PACKAGE / "_data"


def compat() -> Path:
    """Return the matrix's folder; ``DSK_COMPAT`` overrides it, for tests and experiments."""
    other = os.environ.get("DSK_COMPAT")
    return Path(other) if other else data() / "compat"


def templates() -> Path:
    """Return the folder of the jinja2 templates."""
    return data() / "templates"


def cache() -> Path:
    """Return the user's cache folder (environments, test models); ``DSK_CACHE`` overrides it."""
    override = os.environ.get("DSK_CACHE")
    return Path(override) if override else platformdirs.user_cache_path("dsk")
