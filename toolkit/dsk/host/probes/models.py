"""Probe of the hub's cache: each model's revisions, missing files, patched code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from dsk import models
from dsk.host.facts import CachedModel, Models, Snapshot

if TYPE_CHECKING:
    from pathlib import Path

_INDEX: Final = "model.safetensors.index.json"
_NEEDED: Final = ("config.json", "tokenizer.json", "tokenizer_config.json", _INDEX)


def look() -> Models:
    """Return the state of every model in the hub's cache."""
    default = models.default()
    others = {
        model.id: _cached(model.hub) for model in models.profiles().values() if model is not default
    }
    return Models(**dict(_cached(default.hub)), others=others)


def _cached(hub: str) -> CachedModel:
    from dsk.transformers_patch import caches

    owner, name = hub.split("/")
    folders = [cache / f"models--{owner}--{name}" for cache in caches.default_caches()]
    folder = next((path for path in folders if path.is_dir()), None)
    if folder is None:
        return CachedModel()
    snapshots = sorted(path for path in folder.glob("snapshots/*") if path.is_dir())
    main = _text(folder / "refs" / "main")
    patched, outdated = _patched(snapshots)
    return CachedModel(
        snapshots=tuple(
            Snapshot(revision=path.name, main=path.name == main, missing=_missing(path))
            for path in snapshots
        ),
        # The hub's library and `dsk model fetch` name unfinished downloads so.
        partial=sum(
            len(list(folder.glob(f"blobs/*{suffix}"))) for suffix in (".incomplete", ".dsk-part")
        ),
        patched=patched,
        outdated=outdated,
    )


def _missing(snapshot: Path) -> tuple[str, ...]:
    """Return the needed files that are missing or empty; a dangling link counts as missing."""
    names = [*_NEEDED, *sorted(_shards(snapshot / _INDEX))]
    return tuple(name for name in names if not _has(snapshot / name))


def _has(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _shards(index: Path) -> set[str]:
    try:
        shards = json.loads(index.read_bytes())["weight_map"].values()
    except (OSError, ValueError, KeyError, AttributeError):
        return set()
    return set(map(str, shards))


def _patched(snapshots: list[Path]) -> tuple[int, int]:
    """Return how many files of code are patched, by this dsk and by another."""
    from dsk.transformers_patch import detection

    files = [file for path in snapshots for file in path.glob("*.py") if file.is_file()]
    marks = [mark[0] for file in files if (mark := detection.read_header(file.read_bytes()))]
    if not marks:  # the next import takes 0.4 s
        return 0, 0
    from dsk.transformers_patch import rewrite

    ours = marks.count(rewrite.revision())
    return ours, len(marks) - ours


def _text(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
