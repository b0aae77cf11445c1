"""Python files of one repository, found the way transformers finds them, and only read."""

from __future__ import annotations

import ast
import json
import posixpath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Find = Callable[[str], Path | None]
    Sources = dict[str, tuple[bytes, Path]]


def closure(entry: str, find: Find) -> Sources:
    """Return a module and all that it imports relatively, by their names in the repository.

    Args:
        entry: the module's name in the repository, with its suffix.
        find: function from a file's name to its path; None if it does not exist.

    Raises:
        OSError: one of them is missing or cannot be read.
        SyntaxError: one of them is not Python.
        ValueError: likewise.
    """
    sources: Sources = {}
    wanted = [entry]
    while wanted:
        name = posixpath.normpath(wanted.pop())
        if name not in sources:
            path = find(name)
            if path is None:
                raise FileNotFoundError(name)
            sources[name] = (path.read_bytes(), path)
            wanted.extend(_relative_imports(name, sources[name][0]))
    return sources


def auto_map_sources(find: Find) -> Sources:
    """Return the modules that the configuration's ``auto_map`` names, with all that they import.

    Modules that cannot be found or read are left out.
    """
    # All of them, not the requested one alone: a model and its configuration have to come from one
    # package, whichever of them is loaded first.
    sources: Sources = {}
    for reference in auto_map(find).values():
        if isinstance(reference, str) and "--" not in reference:
            try:
                sources |= closure(reference.split(".")[0] + ".py", find)
            except (OSError, SyntaxError, ValueError):
                continue
    return sources


def auto_map(find: Find) -> dict[str, Any]:
    """Return the configuration's ``auto_map``, from auto classes to remote classes."""
    classes: dict[str, Any] = read_json(find, "config.json").get("auto_map") or {}
    return classes


def read_json(find: Find, name: str) -> dict[str, Any]:
    """Return the object in a JSON file; empty if there is no such file."""
    path = find(name)
    content: dict[str, Any] = json.loads(path.read_bytes()) if path else {}
    return content


def _relative_imports(name: str, source: bytes) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = posixpath.join(posixpath.dirname(name), *[".."] * (node.level - 1))
            parts = [node.module] if node.module else [alias.name for alias in node.names]
            for part in parts:
                yield posixpath.join(folder, part.replace(".", "/") + ".py")
