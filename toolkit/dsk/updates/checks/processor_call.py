"""Check that vLLM calls processors of pictures as dsk's own processor is written for."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from dsk.updates.names import class_in
from dsk.updates.wheel_finding import WheelFinding
from dsk.vllm_plugin import releases

if TYPE_CHECKING:
    from dsk.updates.checks.subject import Subject

NAME: Final = "processor"
_MODULE: Final = "vllm.multimodal.processing"
_CLASS: Final = "BaseMultiModalProcessor"
_METHOD: Final = "apply"


def check(subject: Subject) -> WheelFinding:
    """Compare the parameters of vLLM's `BaseMultiModalProcessor.apply` with those we know."""
    if subject.stack.engine == "V0":
        return WheelFinding(check=NAME, result="right", text="the V0 engine's is overridden whole")
    if not any(support.package or support.warning for support in subject.supports):
        return WheelFinding(check=NAME, result="right", text="vLLM's own models are used")
    found = class_in(subject.vllm, _MODULE, _CLASS)
    method = next(
        (
            statement
            for statement in (found[1].body if found else [])
            if isinstance(statement, ast.FunctionDef) and statement.name == _METHOD
        ),
        None,
    )
    if method is None:
        text = f"no {_CLASS}.{_METHOD} behind {_MODULE}"
        return WheelFinding(check=NAME, result="fault", text=text)
    arguments = method.args
    names = [
        each.arg
        for each in (
            *arguments.posonlyargs,
            *arguments.args,
            *filter(None, [arguments.vararg]),
            *arguments.kwonlyargs,
            *filter(None, [arguments.kwarg]),
        )
    ]
    call = f"{_CLASS}.{_METHOD}({', '.join(names)})"
    if tuple(names) == releases.PROCESSOR_CALL:
        return WheelFinding(check=NAME, result="right", text=call)
    known = ", ".join(releases.PROCESSOR_CALL)
    text = f"{call}, where dsk's model is written for ({known}): vLLM's own model would be used"
    return WheelFinding(check=NAME, result="fault", text=text)
