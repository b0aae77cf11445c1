"""Installation of a lock into an environment with uv, hash by hash."""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name

from dsk import processes, urls
from dsk.errors import DskError, EngineMissing, VerificationFailed
from dsk.locks import lock_file
from dsk.package_index import uv_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Progress = Callable[[int, int, str], None]
    """Called with the packages installed, the packages in all, and the current step."""

# Variables that would make uv or Python use packages outside the lock and the environment.
_FOREIGN: Final = {"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"}
# Of uv's settings only these are kept: they choose where packages come from, not which.
_INDEX_SETTINGS: Final = (
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
    """Return the versions of a lock's packages, by normalised name.

    Raises:
        MatrixInvalid: the lock is missing or not as `dsk matrix lock` writes it.
    """
    return {package.name: package.version for package in lock_file.parse(lock)}


def installed_versions(environment: Path) -> dict[str, str]:
    """Return the versions of an environment's packages, by normalised name."""
    installed = metadata.distributions(path=[str(site_packages(environment))])
    return {canonicalize_name(package.name): package.version for package in installed}


def site_packages(environment: Path) -> Path:
    """Return the folder of an environment's packages."""
    return next(environment.glob("lib/python3.*/site-packages"))


def make_venv(folder: Path, python: Path, uv: str) -> None:
    """Make an empty environment.

    Raises:
        DskError: uv failed; the message is uv's.
    """
    options: list[str | Path] = [
        "--relocatable",  # it is renamed once it is complete
        "--no-project",
        "--no-python-downloads",
        "--python",
        python,
    ]
    output: list[str] = []
    code = processes.follow(
        [uv, "venv", *options, folder],
        lambda line: output.append(line or ""),
        environment=clean_environment(),
        folder=folder.parent,
    )
    if code != 0:
        raise installation_error("\n".join(output))


def install(environment: Path, lock: Path, uv: str, progress: Progress) -> None:
    """Install a whole lock, and nothing else, into an empty environment.

    Raises:
        EngineMissing: there is no network, or the index lacks a package.
        VerificationFailed: a package from the index has another hash than the lock.
    """
    total = len(locked_versions(lock))
    packages = site_packages(environment)
    output: list[str] = []
    step = "querying the index"

    def on_line(line: str | None) -> None:
        nonlocal step
        if line:
            output.append(line)
            step = line.strip() if _STEP.match(line) else step
        # uv prints no line a package: those that are installed are counted.
        progress(sum(1 for _ in packages.glob("*.dist-info")), total, step)

    options: list[str | Path] = [
        "--require-hashes",
        "--no-deps",  # the lock is complete
        "--no-build",  # building would run code that no hash covers
        "--python",
        environment,
    ]
    code = processes.follow(
        [uv, "pip", "install", *options, "-r", lock],
        on_line,
        environment=clean_environment(),
        folder=environment.parent,
    )
    if code != 0:
        raise installation_error("\n".join(output))


def clean_environment() -> dict[str, str]:
    """Return our environment variables without those that would add or choose packages."""
    kept = {
        name: value
        for name, value in uv_environment().items()
        if name not in _FOREIGN and (not name.startswith("UV_") or name.startswith(_INDEX_SETTINGS))
    }
    return kept | {"UV_NO_PROGRESS": "1", "NO_COLOR": "1"}


_CAUSES: Final[tuple[tuple[str, type[DskError], str, str], ...]] = (
    # (pattern in uv's output, class of the error, cause, fix)
    (
        r"[Hh]ash mismatch",
        VerificationFailed,
        "a package has another sha256 than the lock",
        "run uv cache clean and try again; if that does not help, do not trust the index",
    ),
    (
        r"No space left on device|os error 28|[Dd]isk quota exceeded",
        EngineMissing,
        "the disk is full",
        "free some space, or choose folders on another disk with DSK_CACHE and UV_CACHE_DIR",
    ),
    (
        r"Network connectivity is disabled|not found in the cache",
        EngineMissing,
        "a package is not in uv's cache, and UV_OFFLINE forbids downloads",
        "unset UV_OFFLINE and try again",
    ),
    (
        r"invalid peer certificate|UnknownIssuer|certificate verify failed",
        EngineMissing,
        "the package index's certificate is not trusted",
        "set SSL_CERT_FILE to your certificate authority's file and try again",
    ),
    (
        (
            r"error sending request|dns error|[Cc]onnection refused|[Ff]ailed to fetch|timed out"
            r"|tcp connect error|HTTP status"
        ),
        EngineMissing,
        "the package index did not answer",
        "check the network, or set PIP_INDEX_URL to an index you can reach, and try again",
    ),
    (
        r"was not found in the package registry|no version of|has no wheels",
        EngineMissing,
        "the package index lacks a package of the lock",
        "set PIP_INDEX_URL to an index that has it and try again",
    ),
)


def installation_error(output: str) -> DskError:
    """Return the error that uv's output shows, with the line that shows it."""
    output = urls.masked(output)
    for pattern, kind, what, do in _CAUSES:
        evidence = next((line for line in output.splitlines() if re.search(pattern, line)), None)
        if evidence is not None:
            return kind(f"{what} ({_trimmed(evidence)})", do=do)
    lines = [line for line in output.splitlines() if line.strip()]
    return DskError(f"uv failed to create the environment: {_trimmed(' '.join(lines[-3:]))}")


def _trimmed(line: str) -> str:
    bare = re.sub(r"^\W*((error|cause|Caused by): )?", "", line).strip()
    return bare if len(bare) <= 160 else bare[:157] + "..."
