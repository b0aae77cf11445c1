"""Probes of this interpreter, of those on PATH, and of dsk's environments."""

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
    """Return this interpreter, and the packages that a runner started in it would find."""
    # From metadata: importing torch alone would take seconds.
    installed = {name: version for name in packages.WATCHED if (version := _version(name))}
    on, patch = _patch() if "transformers" in installed else (False, "")
    return Python(
        release=sys.version_info[:3],
        on_path=tuple(minor for minor in _MINORS if shutil.which(f"python{minor}")),
        packages=installed,
        vllm_use_v1=os.environ.get("VLLM_USE_V1"),
        linkage=packages.linkage(Path(sysconfig.get_path("platlib"))) if installed else None,
        patch=patch,
        patched=on,
    )


def environments(lock_sha256: str = "") -> Environments:
    """Return dsk's environments by their records, that of the given lock by its files too."""
    from dsk.runtime import environments as made

    return Environments(
        present=tuple(
            _installed(environment, deep=environment.record.lock_sha256 == lock_sha256)
            for environment in made.present()
        )
    )


def _installed(environment: Environment, *, deep: bool) -> Installed:
    from dsk.runtime import install

    record = environment.record
    site = install.site_packages(environment.path)
    versions = packages.versions(site) if deep else record.versions
    return Installed(
        stack=record.stack,
        lock_sha256=record.lock_sha256,
        packages={name: versions[name] for name in packages.WATCHED if name in versions},
        opened=deep,
        changed=_changed(record.versions, versions),
        edited=packages.edited(site) if deep else {},
        linkage=packages.linkage(site) if deep else None,
    )


def _changed(recorded: dict[str, str], present: dict[str, str]) -> dict[str, str]:
    """Describe each package whose version is not the recorded one."""
    names = {name for name in recorded | present if recorded.get(name) != present.get(name)}
    # Installers are no part of the lock, and may come later.
    return {
        name: f"{present.get(name, 'removed')}, was {recorded.get(name, 'not installed')}"
        for name in sorted(names - {"pip", "setuptools", "uv"})
    }


def _patch() -> tuple[bool, str]:
    """Return whether remote code is patched here, and that as `dsk patch status` prints it."""
    from dsk.transformers_patch import enablement

    state = enablement.probe()
    return state.on, state.line


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
