"""The README's generated parts: tables between markers, made from the matrix and the errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dsk.compat.select import misfits
from dsk.errors import KINDS, MatrixInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsk.compat import Matrix, Stack


def rendered(text: str, matrix: Matrix) -> str:
    """The README with every generated part as the data have it; the rest untouched.

    Raises:
        MatrixInvalid: a marker is missing, or has no end.
    """
    for name, content in (("stacks", _stacks(matrix)), ("exit-codes", _exit_codes())):
        text = _replaced(text, name, content)
    return text


def _replaced(text: str, name: str, content: str) -> str:
    begin, end = f"<!-- generated:{name} -->", "<!-- /generated -->"
    pattern = re.escape(begin) + r".*?" + re.escape(end)
    replaced, count = re.subn(
        pattern, lambda _: f"{begin}\n{content}\n{end}", text, flags=re.DOTALL
    )
    if count != 1:
        what = f"README.md, marker '{begin}': found {count} of them, each with its '{end}'"
        raise MatrixInvalid(what, do="allowed is one")
    return replaced


def _stacks(matrix: Matrix) -> str:
    rows = [
        (
            f"`{stack.id}`",
            f"{stack.engine} on {stack.device.upper()}",
            stack.summary,
            ", ".join(f"{name} {version}" for name, version in stack.pins.items()),
            _cards(stack, matrix),
        )
        for stack in sorted(matrix.stacks.values(), key=lambda stack: stack.rank)
    ]
    return _table(("stack", "engine", "for", "pins", "runs on"), rows)


def _cards(stack: Stack, matrix: Matrix) -> str:
    if stack.gpu is None:
        return "any x86-64 CPU that its libraries run on"
    fitting = [gpu.id for gpu in matrix.gpus.values() if not misfits(stack, gpu)]
    return ", ".join(f"`{gpu}`" for gpu in fitting)


def _exit_codes() -> str:
    rows = [("0", "ok"), *((str(kind.exit_code), kind.meaning) for kind in KINDS)]
    return _table(("exit code", "meaning"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
