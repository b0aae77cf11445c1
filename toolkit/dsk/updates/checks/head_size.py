"""Check the head size that vLLM makes of the models' configuration, which has a head_dim of 0."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from dsk.updates.names import class_in
from dsk.updates.wheel_finding import WheelFinding

if TYPE_CHECKING:
    from dsk.updates.checks.subject import Subject
    from dsk.updates.wheel_finding import Result

NAME: Final = "head size"
_MODULE: Final = "vllm.transformers_utils.model_arch_config_convertor"
_CLASS: Final = "ModelArchConfigConvertorBase"
_METHOD: Final = "get_head_size"
_FIELD: Final = "head_dim"
_CORRECTED: Final = "dsk's plugin corrects it"


def check(subject: Subject) -> WheelFinding:
    """Find whether the configuration's head_dim of 0 is taken for a size.

    `dsk.vllm_plugin.v1.corrections` mends it where the class is the one that it knows.
    """
    if subject.stack.engine == "V0":
        return _finding("right", "dsk's own class for the V0 engine states it itself")
    if subject.vllm.module(_MODULE) is None:
        text = f"no {_MODULE}: the configuration's {_FIELD} of 0 is taken; {_CORRECTED}"
        return _finding("mended", text)
    found = class_in(subject.vllm, _MODULE, _CLASS)
    method = _method(found[1]) if found else None
    if method is None:
        return _finding("fault", f"no {_CLASS}.{_METHOD} in {_MODULE}, which dsk corrects")
    if any(_is_above_zero(node) for node in ast.walk(method)):
        return _finding("right", f"{_METHOD} takes {_FIELD} above 0 only (line {method.lineno})")
    return _finding(
        "mended",
        f"{_METHOD} takes a {_FIELD} of 0 (line {method.lineno}), at which Hopper cards crash; "
        f"{_CORRECTED}",
    )


def _finding(result: Result, text: str) -> WheelFinding:
    return WheelFinding(check=NAME, result=result, text=text)


def _method(definition: ast.ClassDef) -> ast.FunctionDef | None:
    for statement in definition.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == _METHOD:
            return statement
    return None


def _is_above_zero(node: ast.AST) -> bool:
    """Return True if this takes the field for a size only if it is above 0."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        limit = node.comparators[0]
        above = (
            (isinstance(node.ops[0], ast.Gt | ast.NotEq), 0),
            (
                isinstance(node.ops[0], ast.GtE),
                1,
            ),
        )
        is_limit = any(
            fits and isinstance(limit, ast.Constant) and limit.value == least
            for fits, least in above
        )
        return is_limit and _is_field(node.left)
    # `if head_dim:` and `head_dim or ...` leave 0 out as well.
    if isinstance(node, ast.If):
        return any(_is_field(part) for part in _joined(node.test))
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
        return any(_is_field(value) for value in node.values[:-1])
    return False


def _joined(test: ast.expr) -> list[ast.expr]:
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return test.values
    return [test]


def _is_field(node: ast.expr) -> bool:
    """Return True for ``head_dim``, ``x.head_dim``, ``getattr(x, "head_dim", ...)`` or ``:=``."""
    if isinstance(node, ast.NamedExpr):
        return _is_field(node.value)
    if isinstance(node, ast.Call):
        is_getattr = isinstance(node.func, ast.Name) and node.func.id == "getattr"
        field = node.args[1] if is_getattr and len(node.args) > 1 else None
        return isinstance(field, ast.Constant) and field.value == _FIELD
    name = getattr(node, "id", None) or getattr(node, "attr", None)
    return name == _FIELD
