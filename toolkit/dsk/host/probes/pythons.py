"""This interpreter, the others on PATH, and dsk's environments."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dsk.host.facts import Environments, Installed, Python
from dsk.host.probes import packages

if TYPE_CHECKING:
    from dsk.runtime.environments import Environment

_MINORS: Final = ("3.10", "3.11", "3.12", "3.13", "3.14")


def this_one() -> Python:
    """The interpreter that runs us, and what a runner started in it would find."""
    there = {name: version for name in packages.WATCHED if (version := _version(name))}
    on, patch = _patch() if "transformers" in there else (False, "")
    return Python(
        release=sys.version_info[:3],
        on_path=tuple(minor for minor in _MINORS if shutil.which(f"python{minor}")),
        packages=there,
        vllm_use_v1=os.environ.get("VLLM_USE_V1"),
        linkage=packages.linkage(Path(sysconfig.get_path("platlib"))) if there else None,
        patch=patch,
        patched=on,
    )


def environments(lock_sha256: str = "") -> Environments:
    """dsk's environments by their own records, and that of one lock by its files too."""
    from dsk.runtime import environments as there

    found = there.present()
    return Environments(
        present=tuple(_installed(one, deep=one.record.lock_sha256 == lock_sha256) for one in found)
    )


def _installed(one: Environment, *, deep: bool) -> Installed:
    from dsk.runtime import install

    record = one.record
    site = install.site_packages(one.path)
    seen = packages.versions(site) if deep else record.versions
    return Installed(
        stack=record.stack,
        lock_sha256=record.lock_sha256,
        packages={name: seen[name] for name in packages.WATCHED if name in seen},
        opened=deep,
        changed=_changed(record.versions, seen),
        edited=packages.edited(site) if deep else {},
        linkage=packages.linkage(site) if deep else None,
    )


def _changed(recorded: dict[str, str], seen: dict[str, str]) -> dict[str, str]:
    """What is not as it was installed, in words; pip itself may have come later."""
    names = {name for name in recorded | seen if recorded.get(name) != seen.get(name)}
    return {
        name: f"{seen.get(name, 'gone')}, was {recorded.get(name, 'not there')}"
        for name in sorted(names - {"pip", "setuptools", "uv"})
    }


def _patch() -> tuple[bool, str]:
    """Whether remote code is patched here, as `dsk patch status` says it."""
    from dsk.transformers_patch import enablement

    state = enablement.probe()
    return state.on, state.line


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
