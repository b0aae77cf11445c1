"""The pages that fit at once."""

from dsk import models
from dsk.doctor.check import CheckContext, Verdict
from dsk.doctor.checks.resources import plan
from dsk.host.facts import Facts
from dsk.matrix import Stack, load_matrix
from dsk.models.base import ModelProfile
from dsk.vllm_plugin.stack_support import obstacle

MATRIX = load_matrix()


def planned(stack: Stack, model: ModelProfile) -> Verdict:
    gpu = None if stack.gpu is None else MATRIX.gpu("h200")
    return plan(
        CheckContext(facts=Facts(), stack=stack, lock_sha256="", model=model.record, gpu=gpu)
    )


def test_a_stack_that_does_not_read_the_model_has_no_figures_for_it() -> None:
    refused = 0
    for stack in MATRIX.stacks.values():
        for model in models.profiles().values():
            if obstacle(stack, model.record):
                refused += 1
                verdict = planned(stack, model)
                assert (verdict.status, verdict.commands) == ("skipped", ())
                assert verdict.summary == "not checked: see Stack environment"
    assert refused
    assert planned(MATRIX.stack("cpu"), models.default()).status == "ok"


def test_of_an_answer_that_is_seen_through_a_window_the_window_is_counted() -> None:
    stack = MATRIX.stack("cpu").model_copy(
        update={"settings": {}, "environment": {"VLLM_CPU_KVCACHE_SPACE": "2"}}
    )
    verdict = planned(stack, models.profile("unlimited-ocr"))
    # 2 GiB over 61,440 bytes for each of 3793 + 16 + 128 tokens; an answer of 1024 would leave 7.
    assert verdict.summary.endswith("gundam 8; 1 of the longest (32768 tokens)")
