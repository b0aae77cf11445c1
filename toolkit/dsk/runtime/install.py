"""Filling an environment from a lock with uv, hash by hash, and saying why it did not work."""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name

from dsk import processes
from dsk.errors import DskError, EngineMissing, VerificationFailed
from dsk.locks import lock_file
from dsk.package_index import uv_environment, without_credentials

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Progress = Callable[[int, int, str], None]
    """Told packages installed, packages in all, and what is being done."""

# What would make uv or Python look elsewhere than at the lock and the environment.
_FOREIGN: Final = {"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"}
# Of uv's own settings, only those about where packages come from: never what is installed.
_ABOUT_THE_INDEX: Final = (
    "UV_CACHE",
    "UV_CONCURRENT",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX",
    "UV_FIND_LINKS",
    "UV_HTTP",
    "UV_INDEX",
    "UV_INSECURE",
    "UV_KEYRING",
    "UV_LINK_MODE",
    "UV_NATIVE_TLS",
    "UV_OFFLINE",
    "UV_PYTHON_INSTALL",
    "UV_REQUEST",
    "UV_SYSTEM_CERTS",
)
_STEP: Final = re.compile(r"^\s*(Resolved|Downloading|Downloaded|Prepared|Installed) ")


def locked_versions(lock: Path) -> dict[str, str]:
    """Each package of a lock, by its normalised name, and its version.

    Raises:
        MatrixInvalid: the lock is missing or not as `dsk matrix lock` writes it.
    """
    return {one.name: one.version for one in lock_file.parse(lock)}


def installed_versions(environment: Path) -> dict[str, str]:
    """Each package that lies in an environment, by its normalised name, and its version."""
    found = metadata.distributions(path=[str(site_packages(environment))])
    return {canonicalize_name(package.name): package.version for package in found}


def site_packages(environment: Path) -> Path:
    """Where an environment's packages lie."""
    return next(environment.glob("lib/python3.*/site-packages"))


def make_venv(folder: Path, python: Path, uv: str) -> None:
    """Make an empty environment that may be moved: its scripts find their Python beside them.

    Raises:
        DskError: uv said no; the message is its own.
    """
    options: list[str | Path] = [
        "--relocatable",
        "--no-project",
        "--no-python-downloads",
        "--python",
        python,
    ]
    heard: list[str] = []
    code = processes.follow(
        [uv, "venv", *options, folder],
        lambda line: heard.append(line or ""),
        environment=clean_environment(),
        folder=folder.parent,
    )
    if code != 0:
        raise why_it_failed("\n".join(heard))


def install(environment: Path, lock: Path, uv: str, progress: Progress) -> None:
    """Install a whole lock, and nothing else, into an empty environment.

    Raises:
        EngineMissing: no network, or the index lacks something.
        VerificationFailed: something from the index has another hash than the lock.
    """
    total = len(locked_versions(lock))
    packages = site_packages(environment)
    said: list[str] = []
    doing = "asking the index"

    def heard(line: str | None) -> None:
        nonlocal doing
        if line:
            said.append(line)
            doing = line.strip() if _STEP.match(line) else doing
        progress(sum(1 for _ in packages.glob("*.dist-info")), total, doing)

    options: list[str | Path] = [
        "--require-hashes",
        "--no-deps",
        "--no-build",
        "--python",
        environment,
    ]
    code = processes.follow(
        [uv, "pip", "install", *options, "-r", lock],
        heard,
        environment=clean_environment(),
        folder=environment.parent,
    )
    if code != 0:
        raise why_it_failed("\n".join(said))


def clean_environment() -> dict[str, str]:
    """Our environment variables, less what would let another Python or set-up leak in."""
    kept = {
        name: value
        for name, value in uv_environment().items()
        if name not in _FOREIGN
        and (not name.startswith("UV_") or name.startswith(_ABOUT_THE_INDEX))
    }
    return kept | {"UV_NO_PROGRESS": "1", "NO_COLOR": "1"}


_CAUSES: Final[tuple[tuple[str, type[DskError], str, str], ...]] = (
    # (what uv says, the error, what happened, what to do)
    (
        r"[Hh]ash mismatch",
        VerificationFailed,
        "a package has another sha256 than the lock",
        "try again after uv cache clean; if it stays so, do not trust the index that was asked",
    ),
    (
        r"No space left on device|os error 28|[Dd]isk quota exceeded",
        EngineMissing,
        "the disk is full",
        "free some space, or name a cache folder on another disk with DSK_CACHE and UV_CACHE_DIR",
    ),
    (
        r"Network connectivity is disabled|not found in the cache",
        EngineMissing,
        "a package is not in uv's cache and the network is switched off",
        "unset UV_OFFLINE, and again",
    ),
    (
        r"invalid peer certificate|UnknownIssuer|certificate verify failed",
        EngineMissing,
        "the package index's certificate is not trusted",
        "name the file of your certificate authority in SSL_CERT_FILE, and again",
    ),
    (
        (
            r"error sending request|dns error|[Cc]onnection refused|[Ff]ailed to fetch|timed out"
            r"|tcp connect error|HTTP status"
        ),
        EngineMissing,
        "the package index did not answer",
        "check the network, or name your own index with PIP_INDEX_URL, and again",
    ),
    (
        r"was not found in the package registry|no version of|has no wheels",
        EngineMissing,
        "the package index lacks something that the lock names",
        "name an index that has it with PIP_INDEX_URL, and again",
    ),
)


def why_it_failed(said: str) -> DskError:
    """The error that uv's words come down to, with the words that say so."""
    said = without_credentials(said)
    for pattern, kind, what, do in _CAUSES:
        evidence = next((line for line in said.splitlines() if re.search(pattern, line)), None)
        if evidence is not None:
            return kind(f"{what} ({_trimmed(evidence)})", do=do)
    lines = [line for line in said.splitlines() if line.strip()]
    return DskError(f"uv could not make the environment: {_trimmed(' '.join(lines[-3:]))}")


def _trimmed(line: str) -> str:
    bare = re.sub(r"^\W*((error|cause|Caused by): )?", "", line).strip()
    return bare if len(bare) <= 160 else bare[:157] + "..."
