"""The form of what a launcher and the runner in an image exchange, as a fingerprint."""

from __future__ import annotations

import enum
import hashlib
import typing
from typing import TYPE_CHECKING

from dsk import __version__
from dsk.ocr.schema import engine_config, events, limits, page_record, run_plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_MODULES = (engine_config, events, limits, page_record, run_plan)


def plan_format() -> str:
    """Return 12 hex digits that another release, or another field of a plan or event, changes.

    An image is labelled with them: the dsk in an image of another form would refuse the plan, or
    leave out what it does not know; and that of an earlier release lacks what was mended since.
    """
    # Annotations as they are written: releases of pydantic differ in a record's JSON schema.
    lines = sorted(line for module in _MODULES for line in _lines(module))
    return hashlib.sha256("\n".join([__version__, *lines]).encode()).hexdigest()[:12]


def _lines(module: ModuleType) -> Iterator[str]:
    """Yield a line for each field of a module's classes, each enumeration and literal type."""
    for name, value in vars(module).items():
        if isinstance(value, enum.EnumMeta):
            members: list[enum.Enum] = list(value)
            yield f"{name}: {[member.value for member in members]}"
        elif isinstance(value, type) and value.__module__ == module.__name__:
            fields = vars(value).get("__annotations__", {})
            yield from (f"{name}.{field}: {annotation}" for field, annotation in fields.items())
        elif typing.get_origin(value) is typing.Literal:
            yield f"{name}: {typing.get_args(value)}"
