"""Check that vLLM's library has machine code for the cards that the stack is said to run on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from dsk.matrix.profiles import sm
from dsk.updates.wheel_finding import WheelFinding

if TYPE_CHECKING:
    from dsk.updates.checks.subject import Subject

NAME: Final = "kernels"
# The library of general kernels: _C.abi3.so up to 0.2x, _C_stable_libtorch.abi3.so after that.
# Others, such as FlashAttention 3's, are for some cards alone.
_LIBRARY: Final = re.compile(r"vllm/_C(_stable_libtorch)?\.[^/]*\bso")


def check(subject: Subject) -> WheelFinding:
    """Compare the fat binaries in vLLM's wheel with the stack's ``gpu.kernels``."""
    gpu = subject.stack.gpu
    if gpu is None:
        return WheelFinding(check=NAME, result="right", text="the stack is not for a GPU")
    libraries = sorted(name for name in subject.vllm.names if _LIBRARY.fullmatch(name))
    if not libraries:
        text = f"{subject.vllm.file} has no library of general kernels (vllm/_C*.so)"
        return WheelFinding(check=NAME, result="fault", text=text)
    compiled: set[int] = set()
    for library in libraries:
        compiled |= subject.vllm.kernels(library)
    cards = [divmod(capability, 10) for capability in sorted(compiled)]
    lacking = [kernel for kernel in gpu.kernels if kernel not in cards]
    has = f"compiled for {', '.join(map(sm, cards)) or 'no card'}"
    if lacking:
        stated = ", ".join(map(sm, lacking))
        return WheelFinding(check=NAME, result="fault", text=f"{has}; not for {stated}, as stated")
    return WheelFinding(check=NAME, result="right", text=has)
