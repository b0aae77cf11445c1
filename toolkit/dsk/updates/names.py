"""Names that a module in a wheel has once it is imported, judged from its source."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.updates.wheel_source import WheelSource


def has_name(source: WheelSource, module: str, name: str) -> bool:
    """Return True if ``from module import name`` would find something.

    Raises:
        EngineMissing: a source is not in the cache, and the wheel cannot be read.
    """
    return _has_name(source, module, name, set())


def class_in(source: WheelSource, module: str, name: str) -> tuple[str, ast.ClassDef] | None:
    """Return module and definition of a class, followed through imports; None if it is not found.

    Raises:
        EngineMissing: a source is not in the cache, and the wheel cannot be read.
    """
    return _class_in(source, module, name, set())


def imported_from(module: str, file: str, statement: ast.ImportFrom) -> str:
    """Return the absolute module that an import statement names.

    Args:
        module: the dotted name of the module that it is in.
        file: that module's file.
        statement: absolute or relative.
    """
    if not statement.level:
        return statement.module or ""
    parts = module.split(".")
    # In a package's own file the first dot is the package itself.
    dropped = statement.level - (1 if file.endswith("/__init__.py") else 0)
    kept = parts[: len(parts) - dropped]
    return ".".join([*kept, *([statement.module] if statement.module else [])])


def _has_name(source: WheelSource, module: str, name: str, seen: set[str]) -> bool:
    if module in seen:
        return False
    seen.add(module)
    found = source.module(module)
    if found is None:
        return False
    file, tree = found
    if source.module(f"{module}.{name}"):
        return True
    lazy = False
    for statement in _run_at_import(tree):
        if isinstance(statement, ast.ImportFrom) and any(
            alias.name == "*" for alias in statement.names
        ):
            if _has_name(source, imported_from(module, file, statement), name, seen):
                return True
        elif name in _bound(statement):
            return True
        lazy = lazy or (isinstance(statement, ast.FunctionDef) and statement.name == "__getattr__")
    # A package that loads its names when they are used has them as texts, by module.
    lazy = lazy or any(
        isinstance(node, ast.Name) and node.id == "_LazyModule" for node in ast.walk(tree)
    )
    return lazy and any(
        isinstance(node, ast.Constant) and node.value == name for node in ast.walk(tree)
    )


def _class_in(
    source: WheelSource, module: str, name: str, seen: set[str]
) -> tuple[str, ast.ClassDef] | None:
    found = source.module(module)
    if found is None or module in seen:
        return None
    seen.add(module)
    file, tree = found
    for statement in _run_at_import(tree):
        if isinstance(statement, ast.ClassDef) and statement.name == name:
            return module, statement
        if not isinstance(statement, ast.ImportFrom):
            continue
        for alias in statement.names:
            if alias.name == "*" or (alias.asname or alias.name) == name:
                origin = imported_from(module, file, statement)
                wanted = name if alias.name == "*" else alias.name
                if reached := _class_in(source, origin, wanted, seen):
                    return reached
    return None


def _run_at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements that run as a module is imported, those within if and try included."""
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        statement = pending.pop(0)
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With):
            inner: list[ast.stmt] = list(statement.body)
            inner += getattr(statement, "orelse", [])
            inner += getattr(statement, "finalbody", [])
            for handler in getattr(statement, "handlers", []):
                inner += handler.body
            pending[:0] = inner


def _bound(statement: ast.stmt) -> set[str]:
    """Return the names that a statement binds."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets = [statement.target]
    return {
        node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)
    }
