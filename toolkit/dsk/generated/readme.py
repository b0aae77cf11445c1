"""The README's generated parts: tables between markers, made from the matrix and the errors."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from dsk import paths
from dsk.errors import KINDS, MatrixInvalid
from dsk.matrix.select import unmet_gpu_minimums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsk.matrix import Matrix, Stack


def rendered(text: str, matrix: Matrix) -> str:
    """The README with every generated part as the data have it; the rest untouched.

    Raises:
        MatrixInvalid: a marker is missing, or has no end.
    """
    parts = (("stacks", _stacks(matrix)), ("patch", _patch()), ("exit-codes", _exit_codes()))
    for name, content in parts:
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
    fitting = [gpu.id for gpu in matrix.gpus.values() if not unmet_gpu_minimums(stack, gpu)]
    return ", ".join(f"`{gpu}`" for gpu in fitting)


def _patch() -> str:
    evidence = json.loads((paths.compat() / "evidence" / "transformers-patch.json").read_bytes())
    head = ("transformers", "configuration", "tokenizer", "eager", "SDPA")
    rows = [
        (
            result["transformers"],
            *("same" if result[part] else "differs" for part in ("config", "tokenizer")),
            *(_apart(result[kind]) for kind in ("eager", "sdpa")),
        )
        for result in evidence["results"]
    ]
    return _table(head, rows)


def _apart(numbers: dict[str, Any]) -> str:
    tokens = "same" if numbers["tokens equal"] else "other"
    return f"{tokens} tokens, logits within {numbers['largest difference']:.1e}"


def _exit_codes() -> str:
    rows = [("0", "ok"), *((str(kind.exit_code), kind.meaning) for kind in KINDS)]
    return _table(("exit code", "meaning"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
