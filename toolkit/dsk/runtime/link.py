"""This dsk in another Python's path, with nothing installed there.

A folder for PYTHONPATH holds a link to this package and a ``dist-info`` beside it. So
`importlib.metadata` finds dsk's entry points, through which vLLM loads its plugins in each process.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dsk import __version__, paths
from dsk.errors import EngineMissing

if TYPE_CHECKING:
    from collections.abc import Iterable

_DISTRIBUTION: Final = "dsk-toolkit"
_METADATA: Final = f"Metadata-Version: 2.1\nName: {_DISTRIBUTION}\nVersion: {__version__}\n"


def folder() -> Path:
    """Return the folder to put first on PYTHONPATH, made at the first call and never changed.

    Raises:
        EngineMissing: the cache folder cannot be written.
    """
    entry_points = _entry_points()
    key = hashlib.sha256(f"{paths.PACKAGE}\n{_METADATA}\n{entry_points}".encode()).hexdigest()
    final = paths.cache() / "link" / key[:16]
    if (final / "dsk" / "__init__.py").is_file():
        return final
    try:
        _make(final, entry_points)
    except OSError as error:
        what = f"the cache folder {final.parent} cannot be written ({error.strerror})"
        raise EngineMissing(what, do="choose another one with DSK_CACHE") from error
    return final


def _make(final: Path, entry_points: str) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent, ignore_cleanup_errors=True) as temporary:
        new = Path(temporary) / "new"
        information = new / f"{_DISTRIBUTION.replace('-', '_')}-{__version__}.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(_METADATA, "utf-8")
        (information / "entry_points.txt").write_text(entry_points, "utf-8")
        (new / "dsk").symlink_to(paths.PACKAGE)
        _put(new, final)


def _put(new: Path, final: Path) -> None:
    """Rename the folder to its final name, unless another process was faster."""
    try:
        new.rename(final)
    except OSError:
        if (final / "dsk" / "__init__.py").is_file():
            return
        # Its link dangles: the checkout that it led to has moved.
        shutil.rmtree(final)
        new.rename(final)


def _entry_points() -> str:
    """Return this dsk's entry points as the text of ``entry_points.txt``."""
    # In a checkout pyproject.toml is read: an editable install's metadata is as old as the install.
    if paths.in_checkout():
        project = tomllib.loads((paths.CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
        return _as_text(_declared(project))
    installed = metadata.distribution(_DISTRIBUTION).entry_points
    return _as_text((entry.group, entry.name, entry.value) for entry in installed)


def _declared(project: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
    groups = {"console_scripts": project.get("scripts", {})} | project.get("entry-points", {})
    return [
        (group, name, target)
        for group, entries in groups.items()
        for name, target in entries.items()
    ]


def _as_text(entries: Iterable[tuple[str, str, str]]) -> str:
    groups: dict[str, list[str]] = {}
    for group, name, target in sorted(entries):
        groups.setdefault(group, []).append(f"{name} = {target}")
    return "\n".join("\n".join([f"[{group}]", *lines, ""]) for group, lines in groups.items())
