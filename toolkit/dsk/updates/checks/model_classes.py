"""Check that vLLM knows the architectures of the models that the stack is said to read."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from dsk.updates.names import class_in
from dsk.updates.wheel_finding import WheelFinding
from dsk.vllm_plugin import releases

if TYPE_CHECKING:
    from dsk.updates.checks.subject import Subject
    from dsk.updates.wheel_source import WheelSource

NAME: Final = "model classes"
_PACKAGE: Final = "vllm.model_executor.models"
_REGISTRY: Final = f"{_PACKAGE}.registry"


def check(subject: Subject) -> WheelFinding:
    """Compare vLLM's registry of models with `dsk.vllm_plugin.releases`."""
    found = subject.vllm.module(_REGISTRY)
    if found is None:
        text = f"{subject.vllm.file} has no {_REGISTRY}: vLLM keeps its models elsewhere"
        return WheelFinding(check=NAME, result="fault", text=text)
    registered = _registered(found[1])
    faults, native = [], []
    for model in subject.models:
        device = subject.stack.device
        support = releases.support_for(subject.version, model, device=device)
        if support is None or support.engine == "V0":
            continue  # it is not read, or our own class brings everything
        place = registered.get(model.architecture)
        if place is None:
            faults.append(f"{model.architecture} of {model.name} is not in vLLM's registry")
        elif not _defined(subject.vllm, *place):
            faults.append(f"{model.architecture}: no class {place[1]} in {place[0]}")
        else:
            native.append(model.architecture)
    if faults:
        return WheelFinding(check=NAME, result="fault", text="; ".join(faults))
    text = f"vLLM registers {', '.join(native)}" if native else "dsk's own class needs none"
    return WheelFinding(check=NAME, result="right", text=text)


def _registered(tree: ast.Module) -> dict[str, tuple[str, str]]:
    """Return module and class of each architecture, from the registry's tables."""
    registered: dict[str, tuple[str, str]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Dict):
            continue
        for key, value in zip(node.keys, node.values, strict=True):
            if not (isinstance(key, ast.Constant) and isinstance(value, ast.Tuple)):
                continue
            texts = [part.value for part in value.elts if isinstance(part, ast.Constant)]
            if len(texts) == len(value.elts) == 2 and all(isinstance(one, str) for one in texts):
                registered[str(key.value)] = (str(texts[0]), str(texts[1]))
    return registered


def _defined(vllm: WheelSource, module: str, name: str) -> bool:
    full = module if module.startswith("vllm.") else f"{_PACKAGE}.{module}"
    return class_in(vllm, full, name) is not None
