"""Releases of transformers with which the patch is proved, from the recorded evidence."""

from __future__ import annotations

import functools
import json
import os
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from packaging.version import Version

from dsk import paths
from dsk.transformers_patch import folders

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EVIDENCE: Final = "transformers-patch.json"
# Set once the warning is printed: the processes that this one starts inherit it.
_WARNED: Final = "_DSK_PATCH_WARNED"
_CHECKS: Final = ("config", "tokenizer", "saves the original")


def proved() -> Mapping[str, tuple[str, ...]]:
    """Return the proved releases of each model, oldest first; empty without evidence."""
    return _proved(paths.compat() / "evidence" / EVIDENCE)


@functools.cache
def _proved(file: Path) -> Mapping[str, tuple[str, ...]]:
    try:
        evidence = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    releases: dict[str, list[str]] = {}
    for result in evidence["results"]:
        for model, numbers in result.get("models", {}).items():
            if is_right(numbers, evidence["allowed difference"]):
                releases.setdefault(model, []).append(result["transformers"])
    return {model: tuple(sorted(found, key=Version)) for model, found in releases.items()}


def is_right(numbers: Mapping[str, Any], allowed: float) -> bool:
    """Return True if one model's results on one release are those of the reference.

    Args:
        numbers: the model's results, see ``tests/integration/patch/matrix.py``.
        allowed: the largest difference of logits that is no difference.
    """
    parts = [part for kind in ("eager", "sdpa") for part in numbers.get(kind, {}).values()]
    return all(numbers[check] for check in _CHECKS) and all(
        part["tokens equal"] and part["steps equal"] and part["largest difference"] <= allowed
        for part in parts
    )


def newest() -> str | None:
    """Return the newest release with which every proved model is proved; None without evidence."""
    common = set.intersection(*map(set, proved().values())) if proved() else set()
    return max(common, key=Version, default=None)


def newer(release: str) -> str | None:
    """Return a line about a release that is newer than the newest proved one; None for others."""
    limit = newest()
    if limit is None or Version(release) <= Version(limit):
        return None
    return (
        f"transformers {release} is newer than {limit}, the newest with which the patch of the "
        "model's code is proved: compare what it reads with what it read there"
    )


def warn_of_newer() -> None:
    """Print the line about a newer release on stderr, once in a process and all that it starts."""
    try:
        line = newer(metadata.version("transformers"))
    except metadata.PackageNotFoundError:  # a source tree on the path
        return
    if line and os.environ.get(_WARNED) != line:
        os.environ[_WARNED] = line
        folders.warn(line)


def standing(release: str) -> str:
    """Return a line about one release: proved, newer than any proved one, or not tried."""
    if line := newer(release):
        return line
    lacking = [model for model, releases in proved().items() if release not in releases]
    if not lacking and proved():
        return f"transformers {release} is proved with every model"
    models = ", ".join(lacking) or "any model"
    return f"transformers {release} has not been tried with {models}; releases around it have"
