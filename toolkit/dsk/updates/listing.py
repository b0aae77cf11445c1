"""Releases of a package as the index lists them, with the days of their uploads."""

from __future__ import annotations

import datetime as dt
import itertools
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from dsk import processes, urls
from dsk.errors import EngineMissing
from dsk.locks.resolve import tags_of
from dsk.package_index import client, failure_reason, uv_environment, uv_program

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dsk.matrix.stack import Stack

# PEP 691; the HTML that older indexes give has no days of uploads, which the policy goes by.
_JSON: Final = "application/vnd.pypi.simple.v1+json"
# uv takes an index with a name before it: name=https://...
_NAME: Final = re.compile(r"^[\w.-]+=(?=\w+://)")
_TIMEOUT: Final = 60.0  # seconds; uv only prints its settings


@dataclass(frozen=True, kw_only=True)
class IndexRelease:
    """A release of a package.

    Args:
        version: as the package's files have it.
        uploaded: the day (UTC) of the latest of its files; None if the index does not give it.
        yanked: True if every file of it is yanked.
        fits: True if it has a wheel for the stack.
        hashes: sha256 of each file that is not yanked.
    """

    version: str
    uploaded: dt.date | None
    yanked: bool
    fits: bool
    hashes: frozenset[str]

    def age_days(self, today: dt.date) -> int | None:
        """Return whole days since its upload; None if its day is not known."""
        return None if self.uploaded is None else (today - self.uploaded).days


def releases_of(stack: Stack, package: str) -> list[IndexRelease]:
    """Return the releases of a package that the indexes offer, the lowest version first.

    Raises:
        EngineMissing: no index can be reached, or none has the package.
    """
    files: dict[Version, list[tuple[str, dict[str, Any]]]] = {}
    for file in _files(package):
        name = str(file["filename"])
        if (version := _version(name)) is not None:
            files.setdefault(version, []).append((name, file))
    tags = tags_of(stack)
    return [_release(version, listed, tags) for version, listed in sorted(files.items())]


def _release(
    version: Version, listed: list[tuple[str, dict[str, Any]]], tags: Iterable[object]
) -> IndexRelease:
    whole = [(name, file) for name, file in listed if not file.get("yanked")]
    days = [
        dt.date.fromisoformat(str(file["upload-time"])[:10])
        for _, file in listed
        if file.get("upload-time")
    ]
    return IndexRelease(
        version=str(version),
        uploaded=max(days, default=None),
        yanked=not whole,
        fits=any(_fits(name, tags) for name, _ in whole),
        hashes=frozenset(str(file.get("hashes", {}).get("sha256", "")) for _, file in whole),
    )


def _files(package: str) -> list[dict[str, Any]]:
    offered: list[dict[str, Any]] = []
    reached = False
    with client() as network:
        for index in _indexes():
            url = f"{index.rstrip('/')}/{package}/"
            try:
                answer = network.get(url, headers={"Accept": _JSON})
                if answer.status_code in (httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND):
                    continue
                listed = answer.raise_for_status().json()["files"]
            except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                reason = urls.masked(failure_reason(error))
                what = f"the package index does not list the files of {package} as JSON: {reason}"
                raise EngineMissing(what, do="check the network, or set pip's index-url") from error
            reached = True
            offered += listed
    if not reached:
        what = f"the package index has no {package}"
        raise EngineMissing(what, do="set pip's index-url, for this command, to one that has it")
    return offered


def _indexes() -> list[str]:
    """Return the addresses of the indexes that uv asks."""
    environment = uv_environment()
    default = [name for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL") if name in environment][:1]
    more = [name for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL") if name in environment]
    named = [
        _NAME.sub("", address)
        for variable in (*more, *default)
        for address in environment[variable].split()
    ]
    # uv alone knows its own default; it prints addresses without their passwords.
    return list(dict.fromkeys(named if default else [*named, *_of_uv(environment)]))


def _of_uv(environment: dict[str, str]) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="dsk-indexes-") as name:
        folder = Path(name)
        (folder / "nothing").write_text("", "utf-8")
        command = [uv_program(), "pip", "compile", "nothing", "--emit-index-url", "--no-header"]
        done = processes.capture(command, seconds=_TIMEOUT, environment=environment, folder=folder)
    if done.code != 0:
        what = f"uv names no package index: {' '.join(urls.masked(done.stderr).split())}"
        raise EngineMissing(what, do="check uv's configuration")
    words = done.stdout.split()
    return [
        address
        for option, address in itertools.pairwise(words)
        if option in ("--index-url", "--extra-index-url")
    ]


def _version(file: str) -> Version | None:
    try:
        if file.endswith(".whl"):
            return parse_wheel_filename(file)[1]
        return parse_sdist_filename(file)[1]
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None


def _fits(file: str, tags: Iterable[object]) -> bool:
    return file.endswith(".whl") and not parse_wheel_filename(file)[3].isdisjoint(tags)
