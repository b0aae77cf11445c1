"""Acceptance of a guard by the model runner that a GPU takes, read from a vLLM release's sources.

vLLM has two runners, each with its own interface of logits processors. Releases before 0.31 leave
Model Runner V2 as soon as a logits processor is named; from 0.31.0 on a GPU takes V2 all the same,
and a processor of the old interface stops the engine there. No vLLM is imported: the sources are
those of a wheel that may not be installed here.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final, Literal

from dsk.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

Interface = Literal["V1", "V2"]

_CONFIG: Final = "vllm/config/vllm.py"
_V1_PACKAGE: Final = "vllm/v1/sample/logits_processor"
_V2_PACKAGE: Final = "vllm/v1/worker/gpu/sample/logits_processor"
# The modules whose LogitsProcessor a guard derives from.
_PACKAGES: Final[dict[Interface, str]] = {
    "V1": _V1_PACKAGE.replace("/", "."),
    "V2": _V2_PACKAGE.replace("/", "."),
}

# What dsk's V2 guard is written for, the same from 0.31.0 to 0.33.0: the methods of LogitsProcessor
# with their parameters, and the fields of the two records that it is given.
V2_MEMBERS: Final = frozenset(
    {
        "LogitsProcessor.__init__(vllm_config, req_states)",
        "LogitsProcessor.validate_params(sampling_params)",
        "LogitsProcessor.add_request(req_idx, sampling_params)",
        "LogitsProcessor.apply_staged_writes()",
        "LogitsProcessor.apply(logits, ctx)",
        "LogitsProcRequestState.device",
        "LogitsProcRequestState.max_num_reqs",
        "LogitsProcRequestState.vocab_size",
        "LogitsProcRequestState.all_token_ids",
        "LogitsProcRequestState.prompt_len",
        "LogitsContext.expanded_idx_mapping",
        "LogitsContext.expanded_local_pos",
        "LogitsContext.idx_mapping_np",
        "LogitsContext.input_ids",
        "LogitsContext.pos",
    }
)


class ModelRunner(Frozen):
    """Model runner that a vLLM release gives a GPU.

    Args:
        v1_interface: True if the V1 runner's interface of logits processors is there.
        v2_known: True if the release chooses between the two runners.
        gives_way: True if it leaves V2 for the V1 runner where a logits processor is named.
        variable: True if VLLM_USE_V2_MODEL_RUNNER overrides the choice.
        v2_members: methods and fields of V2's interface; None where V2 takes no logits processors.
    """

    v1_interface: bool
    v2_known: bool
    gives_way: bool
    variable: bool
    v2_members: frozenset[str] | None

    @property
    def taken(self) -> Interface:
        """Runner that a GPU takes with a logits processor named and no variable set."""
        chosen = self.v2_known and not self.gives_way
        # A release without the old interface has nothing left to choose.
        left_alone = self.v2_members is not None and not self.v1_interface
        return "V2" if chosen or left_alone else "V1"


class Acceptance(Frozen):
    """A judgement on a guard.

    Args:
        accepted: True if the runner that a GPU takes by default accepts it.
        runner: that runner.
        text: the judgement in words.
    """

    accepted: bool
    runner: Interface
    text: str


def read_model_runner(read: Callable[[str], str | None]) -> ModelRunner:
    """Read the choice of the runner from a release's sources.

    Args:
        read: returns the text of a file by its path in the wheel, such as ``vllm/config/vllm.py``;
            None if there is none.

    Raises:
        SyntaxError: a source is written for a newer Python than this one.
    """
    config = _functions(read(_CONFIG))
    choice = config.get("use_v2_model_runner")
    reasons = config.get("_get_v2_model_runner_unsupported_features")
    interface = read(f"{_V2_PACKAGE}/interface.py")
    return ModelRunner(
        v1_interface=read(f"{_V1_PACKAGE}/interface.py") is not None,
        v2_known=choice is not None,
        gives_way=reasons is not None and _names_attribute(reasons, "logits_processors"),
        variable=choice is not None and _names_attribute(choice, "VLLM_USE_V2_MODEL_RUNNER"),
        v2_members=None if interface is None else _members(interface),
    )


def interfaces_of(guard: str, read: Callable[[str], str | None]) -> frozenset[Interface]:
    """Return the interfaces whose LogitsProcessor a guard's module imports.

    Args:
        guard: the guard as it is named to the engine, ``module:Class``.
        read: as in `read_model_runner`, for the package that the guard's module belongs to.
    """
    source = read(guard.partition(":")[0].replace(".", "/") + ".py") or ""
    imported = {
        node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    return frozenset(
        interface
        for interface, package in _PACKAGES.items()
        if any(module == package or module.startswith(f"{package}.") for module in imported)
    )


def judge(
    version: str, guard: str, interfaces: Collection[Interface], runner: ModelRunner
) -> Acceptance:
    """Judge a guard before anything is installed.

    The variable that dsk may set for its own engines does not count: an engine that somebody
    starts by hand goes without it.

    Args:
        version: vLLM's release.
        guard: the guard, ``module:Class``.
        interfaces: those that the guard implements, from `interfaces_of`.
        runner: the release's choice.
    """
    taken = runner.taken
    refusal = _refusal(interfaces, runner)
    if not refusal:
        why = " as soon as a logits processor is named" if runner.gives_way else ""
        text = f"with vLLM {version} a GPU takes the {taken} model runner{why}: it accepts {guard}"
        return Acceptance(accepted=True, runner=taken, text=text)
    text = f"with vLLM {version} a GPU takes the {taken} model runner, which refuses {guard}"
    text += f": {refusal}"
    if taken == "V2" and runner.variable and runner.v1_interface and "V1" in interfaces:
        text += "; it runs with VLLM_USE_V2_MODEL_RUNNER=0 alone, on the old runner"
    return Acceptance(accepted=False, runner=taken, text=text)


def _refusal(interfaces: Collection[Interface], runner: ModelRunner) -> str:
    """Return why the runner refuses a guard of these interfaces; empty if it does not."""
    if runner.taken == "V2" and runner.v2_members is None:
        return "this release's V2 takes no logits processors"
    if runner.taken not in interfaces:
        others = " and ".join(sorted(interfaces))
        return f"it has the interface of {others} alone" if others else "it has neither interface"
    if runner.taken == "V2" and (missing := V2_MEMBERS - (runner.v2_members or set())):
        return f"the interface has changed, it lacks {', '.join(sorted(missing))}"
    return ""


def _functions(source: str | None) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(source or "")
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def _names_attribute(function: ast.FunctionDef, name: str) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr == name for node in ast.walk(function))


def _members(source: str) -> frozenset[str]:
    """Return methods with their parameters, and fields, of the classes of a module."""
    members = set()
    for owner in ast.parse(source).body:
        if not isinstance(owner, ast.ClassDef):
            continue
        for node in owner.body:
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in node.args.args[1:]]  # without self or cls
                members.add(f"{owner.name}.{node.name}({', '.join(names)})")
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                members.add(f"{owner.name}.{node.target.id}")
    return frozenset(members)
