"""Checks of the stack's environment and of this interpreter's own packages."""

from dsk import models
from dsk.doctor.check import CheckContext
from dsk.doctor.checks.packages import environment, own_engine
from dsk.host.facts import Environments, Facts, Python
from dsk.matrix import load_matrix
from dsk.models.base import ModelProfile
from dsk.vllm_plugin.stack_support import obstacle

MATRIX = load_matrix()


def context(stack: str, model: ModelProfile, **packages: str) -> CheckContext:
    python = Python(release=(3, 11, 7), on_path=(), packages=packages)
    facts = Facts(environments=Environments(), python=python)
    return CheckContext(
        facts=facts,
        stack=MATRIX.stack(stack),
        lock_sha256="0" * 64,
        model=model.record,
        alternatives=("cpu",),
    )


def test_a_stack_that_does_not_read_the_model_is_an_error_and_its_environment_not_offered() -> None:
    refused = 0
    for stack in MATRIX.stacks.values():
        for model in models.profiles().values():
            verdict = environment(context(stack.id, model))
            reason = obstacle(stack, model.record)
            refused += bool(reason)
            if not reason:
                assert verdict.commands == (f"dsk env create --stack {stack.id}",)
                continue
            assert (verdict.status, verdict.summary) == ("error", reason)
            assert verdict.commands == (f"dsk doctor --stack cpu --model {model.id}",)
    assert refused


def test_a_vllm_of_ones_own_that_reads_the_model_is_named() -> None:
    model = models.by_name("unlimited")
    verdict = environment(context("v1@0.24.0", model, vllm="0.26.0"))
    assert verdict.status == "warning"
    assert verdict.commands == (f"dsk serve --runtime in-place --model {model.id}",)
    assert environment(context("v1@0.24.0", model, vllm="0.24.0")).status == "error"


def test_a_vllm_without_the_model_is_answered_with_a_stack_that_reads_it() -> None:
    model = models.by_name("unlimited")
    commands = {
        name: own_engine(context(name, model, vllm="0.24.0")).commands
        for name in ("v1@0.24.0", "cpu")
    }
    assert commands["v1@0.24.0"] == (f"dsk doctor --stack cpu --model {model.id}",)
    assert commands["cpu"] == (f"dsk serve {model.hub} --stack cpu",)
