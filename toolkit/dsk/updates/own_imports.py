"""Names that dsk's own modules import from a package, looked up in a wheel of that package."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from dsk.updates.names import has_name
from dsk.updates.wheel_source import parsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dsk.updates.wheel_source import WheelSource

_IMPORT_ERRORS: Final = {"ImportError", "ModuleNotFoundError", "AttributeError", "Exception"}


def missing(source: WheelSource, package: str, files: Iterable[Path]) -> list[str]:
    """Return the dotted names that modules of ours import and the wheel lacks, sorted.

    An import that is tried, with an alternative if it fails, is not needed; nor is one for types.

    Args:
        source: the wheel.
        package: the package in it, such as ``vllm``.
        files: our modules.

    Raises:
        EngineMissing: a source is not in the cache, and the wheel cannot be read.
    """
    trees = [parsed(file.read_text("utf-8")) for file in files]
    needed = {name for tree in trees for name in _imported(tree, package)}
    # `from transformers import generation` is followed by generation.GenerationMixin. What turns
    # out to be no module has attributes that only its instances may have.
    needed |= {
        (module, name)
        for tree in trees
        for module, name in _attributes(tree, package)
        if source.module(module)
    }
    return sorted(
        f"{module}.{name}" for module, name in needed if not has_name(source, module, name)
    )


def _imported(tree: ast.Module, package: str) -> Iterator[tuple[str, str]]:
    """Yield module and name of each name that is imported from a package."""
    for node in _unguarded(tree):
        if isinstance(node, ast.ImportFrom) and _is_of(node, package):
            for alias in node.names:
                yield str(node.module), alias.name


def _attributes(tree: ast.Module, package: str) -> Iterator[tuple[str, str]]:
    """Yield attributes of what a module imports for all of itself from a package."""
    imported = {
        alias.asname or alias.name: f"{statement.module}.{alias.name}"
        for statement in tree.body
        if isinstance(statement, ast.ImportFrom) and _is_of(statement, package)
        for alias in statement.names
    }
    for node in _unguarded(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = imported.get(node.value.id)
            if module and isinstance(node.ctx, ast.Load):
                yield module, node.attr


def _is_of(statement: ast.ImportFrom, package: str) -> bool:
    return not statement.level and (statement.module or "").partition(".")[0] == package


def _unguarded(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run whatever the package's release is."""
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, ast.If) and _is_for_types(node.test):
            pending += node.orelse
        elif isinstance(node, ast.Try) and _catches_imports(node):
            pending += node.finalbody
        else:
            pending += ast.iter_child_nodes(node)


def _is_for_types(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _catches_imports(node: ast.Try) -> bool:
    caught = {
        name.id
        for handler in node.handlers
        if handler.type
        for name in ast.walk(handler.type)
        if isinstance(name, ast.Name)
    }
    return bool(caught & _IMPORT_ERRORS)
