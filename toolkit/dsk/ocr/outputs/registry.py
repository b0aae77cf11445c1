"""The registry of output formats: one module of `dsk.ocr.outputs.formats` each."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from dsk.errors import UsageProblem
from dsk.ocr.outputs import formats as package
from dsk.ocr.outputs.base import OutputFormat

if TYPE_CHECKING:
    from collections.abc import Iterable


@cache
def formats() -> tuple[OutputFormat, ...]:
    """Return all formats by their order, then by their names.

    Raises:
        TypeError: a module of the package has no ``FORMAT``.
        ValueError: two formats have one name.
    """
    modules = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return _ordered(_load(f"{package.__name__}.{name}") for name in modules)


def _ordered(loaded: Iterable[OutputFormat]) -> tuple[OutputFormat, ...]:
    result = sorted(loaded, key=lambda fmt: (fmt.order, fmt.name))
    for first, second in pairwise(sorted(fmt.name for fmt in result)):
        if first == second:
            what = f"two modules of {package.__name__} define the format '{first}'"
            raise ValueError(what)
    return tuple(result)


def _load(module: str) -> OutputFormat:
    fmt = getattr(importlib.import_module(module), "FORMAT", None)
    if not isinstance(fmt, OutputFormat):
        what = f"{module} does not define FORMAT, an OutputFormat of dsk.ocr.outputs.base"
        raise TypeError(what)
    return fmt


def names() -> tuple[str, ...]:
    """Return the names of all formats, as ``--to`` takes them."""
    return tuple(fmt.name for fmt in formats())


def default_names() -> tuple[str, ...]:
    """Return the names of the formats that are written without ``--to``."""
    return tuple(fmt.name for fmt in formats() if fmt.is_default or fmt.is_required)


def required_names() -> tuple[str, ...]:
    """Return the names of the formats that are always written."""
    return tuple(fmt.name for fmt in formats() if fmt.is_required)


def names_without_source() -> frozenset[str]:
    """Return the names of the formats that can be written when the document's file is gone."""
    return frozenset(fmt.name for fmt in formats() if not fmt.needs_source)


def parse(text: str) -> frozenset[str]:
    """Return the formats that ``text`` names, separated by commas, and the required ones.

    Raises:
        UsageProblem: there is no format of that name.
    """
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    for name in wanted:
        if name not in names():
            what = f"there is no format '{name}'"
            raise UsageProblem(what, do=f"give some of {','.join(names())}")
    return frozenset({*required_names(), *wanted})
