"""Resolution of a stack's pins to their closure by uv, one wheel chosen for each package."""

from __future__ import annotations

import datetime as dt
import tempfile
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from dsk import processes, urls
from dsk.errors import EngineMissing, MatrixInvalid, StackConflict
from dsk.locks.lock_file import LockedPackage
from dsk.package_index import uv_environment, uv_program

if TYPE_CHECKING:
    from dsk.matrix.stack import Stack

_PINS: Final = "pins"
_ALSO: Final = "also"
_DSK: Final = "dsk-toolkit"
_SOURCES: Final = "sources"
_OVERRIDES: Final = "overrides"
_TIMEOUT: Final = 1800.0  # seconds; a cold resolution took 12


@dataclass(frozen=True, kw_only=True)
class IndexFile:
    """A file that the index offers; its URL may hold credentials."""

    url: str
    name: str
    sha256: str


def closure_of(stack: Stack) -> list[LockedPackage]:
    """Resolve a stack: its pins, their requirements, and those of dsk itself inside it.

    Raises:
        StackConflict: the pins contradict some metadata without a stated override.
        EngineMissing: uv is missing, or the index cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="dsk-lock-") as name:
        folder = Path(name)
        inputs = _write_inputs(stack, folder)
        annotated = _uv(stack, folder, *inputs, "--annotation-style", "line")
        versions, via = _annotations(stack, annotated)
        offered = files_of(stack, versions)
    tags = tags_of(stack)
    return [
        LockedPackage(
            name=name,
            version=version,
            file=(wheel := best_wheel(offered[name], tags, name)).name,
            sha256=wheel.sha256,
            via=via[name],
        )
        for name, version in versions.items()
    ]


def admits(stack: Stack, package: str, version: str) -> bool:
    """Return True if a stack resolves with a package in this version or a later one of today.

    Raises:
        EngineMissing: uv is missing, or the index cannot be reached.
    """
    tomorrow = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
    lifted = stack.model_copy(
        update={
            "also": stack.also | {f"{package}>={version}": "an audit"},
            "resolve_package_before": stack.resolve_package_before | {package: tomorrow},
        }
    )
    try:
        with tempfile.TemporaryDirectory(prefix="dsk-admits-") as name:
            folder = Path(name)
            _uv(lifted, folder, *_write_inputs(lifted, folder))
    except StackConflict:
        return False
    return True


def files_of(stack: Stack, versions: dict[str, str]) -> dict[str, list[IndexFile]]:
    """Return the files that the index offers of each of these versions: wheels, source archives.

    Raises:
        EngineMissing: uv is missing, or the index cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="dsk-files-") as name:
        folder = Path(name)
        lines = (f"{package}=={version}\n" for package, version in versions.items())
        (folder / _PINS).write_text("".join(lines), "utf-8")
        # uv would build a source archive to read its metadata, which may need a compiler and torch.
        # Requirements do not matter here: they are declared empty.
        settings = "".join(
            f'[[dependency-metadata]]\nname = "{source.package}"\n'
            f'version = "{stack.pins[source.package]}"\nrequires-dist = []\n'
            for source in stack.sources
        )
        (folder / "uv.toml").write_text(settings, "utf-8")
        config = ["--config-file", "uv.toml"] if settings else []
        listed = _uv(stack, folder, _PINS, "--no-deps", "--format", "pylock.toml", *config)
    packages = tomllib.loads(listed)["packages"]
    return {package["name"]: _files(package) for package in packages}


def _write_inputs(stack: Stack, folder: Path) -> list[str]:
    """Write the requirement files, and return uv's arguments for them."""
    own = [Requirement(text) for text in metadata.requires(_DSK) or ()]
    # uv names these files in its annotations, and `_annotations` maps their names to reasons.
    contents = {
        _PINS: [f"{name}=={version}" for name, version in stack.wheel_pins.items()],
        _ALSO: list(stack.also),
        _DSK: [str(requirement) for requirement in own if not requirement.marker],
        _SOURCES: [name for source in stack.sources for name in source.requires],
    }
    for name, lines in contents.items():
        (folder / name).write_text("\n".join(lines), "utf-8")
    overridden = [f"{each.package}=={stack.pins[each.package]}" for each in stack.overrides]
    (folder / _OVERRIDES).write_text("\n".join(overridden), "utf-8")
    # The date keeps later uploads out: the same stack resolves to the same lock next year. Source
    # archives are never built here, since their metadata could differ by machine.
    wheels_only = ["--only-binary", ":all:", "--exclude-newer", f"{stack.resolve_before}T00:00:00Z"]
    for package, day in stack.resolve_package_before.items():
        wheels_only += ["--exclude-newer-package", f"{package}={day}T00:00:00Z"]
    return [*contents, "--override", _OVERRIDES, *wheels_only]


def _uv(stack: Stack, folder: Path, *arguments: str) -> str:
    """Return what ``uv pip compile`` prints for a stack's platform."""
    # The oldest glibc that the stack admits: what resolves for it installs on all later ones.
    platform = f"{stack.arch}-manylinux_{stack.host.glibc[0]}_{stack.host.glibc[1]}"
    target = ["--python-version", stack.python, "--python-platform", platform]
    command = [uv_program(), "pip", "compile", *arguments, *target, "--no-header"]
    done = processes.capture(command, seconds=_TIMEOUT, environment=uv_environment(), folder=folder)
    if done.code != 0:
        raise _error(stack, urls.masked(done.stderr))
    return done.stdout


def _error(stack: Stack, stderr: str) -> StackConflict | EngineMissing:
    # With --exclude-newer uv ignores files of unknown date, and then finds no solution.
    if "missing an upload date" in stderr:
        what = "the package index does not give the upload dates of its files"
        return EngineMissing(what, do="set pip's index-url, for this command, to one that does")
    reason = " ".join(stderr.split())
    if "No solution found" in stderr:
        what = f"stack '{stack.id}' does not resolve: {reason}"
        return StackConflict(what, do="state an override with its evidence, or change the pins")
    what = f"the package index gave no answer for stack '{stack.id}': {reason}"
    return EngineMissing(what, do="check the network, or set pip's index-url")


def _annotations(stack: Stack, annotated: str) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Parse versions and reasons from lines such as ``name==1.0   # via other, -r pins``."""
    reasons = {
        f"-r {_PINS}": f"the pins of {stack.base}",
        f"-r {_DSK}": _DSK,
        f"-r {_SOURCES}": "packages built from source",
        f"--override {_OVERRIDES}": f"the overrides of {stack.base}",
    }
    versions, via = {}, {}
    for line in annotated.splitlines():
        pin, _, askers = line.partition("# via ")
        name, _, version = pin.strip().partition("==")
        versions[name] = version
        also = {f"-r {_ALSO}": stack.also.get(name, "")}
        via[name] = tuple((reasons | also).get(asker, asker) for asker in askers.split(", "))
    return versions, via


def _files(package: dict[str, Any]) -> list[IndexFile]:
    offered = package.get("wheels", []) + ([package["sdist"]] if "sdist" in package else [])
    return [
        IndexFile(
            url=file["url"],
            # pylock.toml leaves the name out where the URL ends with it.
            name=file.get("name") or unquote(urlsplit(file["url"]).path.rsplit("/", 1)[-1]),
            sha256=file["hashes"]["sha256"],
        )
        for file in offered
    ]


def tags_of(stack: Stack) -> dict[Tag, int]:
    """Return the wheel tags of the stack's oldest host with their ranks, 0 is the best."""
    major, minor = stack.host.glibc[:2]
    platforms = []
    # Each glibc runs the wheels of all earlier ones (PEP 600); 2.5 is the oldest tag there is.
    for below in range(minor, 4, -1):
        platforms.append(f"manylinux_{major}_{below}_{stack.arch}")
        # Older names of three of them, which many wheels still have.
        legacy = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}.get(below)
        platforms += [f"{legacy}_{stack.arch}"] if legacy else []
    platforms.append(f"linux_{stack.arch}")
    version = tuple(int(part) for part in stack.python.split("."))
    interpreter = f"cp{version[0]}{version[1]}"
    tags = [
        *cpython_tags(version, abis=[interpreter], platforms=platforms),
        *compatible_tags(version, interpreter, platforms),
    ]
    # Reversed, so that of a tag listed twice the better rank stays.
    return {tag: rank for rank, tag in reversed(list(enumerate(tags)))}


def best_wheel(files: list[IndexFile], tags: dict[Tag, int], package: str) -> IndexFile:
    """Return the wheel that an installer on the stack's oldest host would choose.

    Args:
        files: those that the index offers of one version.
        tags: the host's, from `tags_of`.
        package: its name, for the error.

    Raises:
        MatrixInvalid: none of the files is a wheel for that host.
    """

    def rank(file: IndexFile) -> int:
        _, _, _, wheel_tags = parse_wheel_filename(file.name)
        return min((tags[tag] for tag in wheel_tags if tag in tags), default=len(tags))

    wheels = sorted((file for file in files if file.name.endswith(".whl")), key=rank)
    if not wheels or rank(wheels[0]) == len(tags):
        names = ", ".join(file.name for file in files) or "nothing"
        what = f"package {package}: found {names}"
        raise MatrixInvalid(what, do="expected a wheel for the stack's Python and platform")
    return wheels[0]
