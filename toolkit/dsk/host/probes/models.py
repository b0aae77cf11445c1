"""The model in the hub's cache: whole or not, which revision, its code patched or not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from dsk.host.facts import Models, Snapshot
from dsk.matrix import load_matrix

if TYPE_CHECKING:
    from pathlib import Path

_INDEX: Final = "model.safetensors.index.json"
_NEEDED: Final = ("config.json", "tokenizer.json", "tokenizer_config.json", _INDEX)
_MODEL: Final = "deepseek-ocr"


def look() -> Models:
    """What the hub's cache holds of the model that dsk is for."""
    from dsk.transformers_patch import caches

    owner, name = load_matrix().model(_MODEL).hub.split("/")
    kept = [place / f"models--{owner}--{name}" for place in caches.default_caches()]
    folder = next((one for one in kept if one.is_dir()), None)
    if folder is None:
        return Models()
    snapshots = sorted(one for one in folder.glob("snapshots/*") if one.is_dir())
    main = _text(folder / "refs" / "main")
    patched, outdated = _patched(snapshots)
    return Models(
        snapshots=tuple(
            Snapshot(revision=one.name, main=one.name == main, missing=_missing(one))
            for one in snapshots
        ),
        partial=sum(
            len(list(folder.glob(f"blobs/*{end}"))) for end in (".incomplete", ".dsk-part")
        ),
        patched=patched,
        outdated=outdated,
    )


def _missing(snapshot: Path) -> tuple[str, ...]:
    """Files that are not there, or empty; a link to a blob that is gone is not there."""
    names = [*_NEEDED, *sorted(_shards(snapshot / _INDEX))]
    return tuple(name for name in names if not _has(snapshot / name))


def _has(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _shards(index: Path) -> set[str]:
    try:
        named = json.loads(index.read_bytes())["weight_map"].values()
    except (OSError, ValueError, KeyError, AttributeError):
        return set()
    return set(map(str, named))


def _patched(snapshots: list[Path]) -> tuple[int, int]:
    """How many files of its code are patched, by this dsk and by another."""
    from dsk.transformers_patch import detection

    files = [file for one in snapshots for file in one.glob("*.py") if file.is_file()]
    marks = [mark[0] for file in files if (mark := detection.patched_from(file.read_bytes()))]
    if not marks:  # what follows takes 0.4 s to import
        return 0, 0
    from dsk.transformers_patch import rewrite

    ours = marks.count(rewrite.revision())
    return ours, len(marks) - ours


def _text(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
