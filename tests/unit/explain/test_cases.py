"""Real failures from public threads are explained; logs of runs that went well are not."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from dsk.explain import Explanation, explain_text

DATA = Path(__file__).parents[2] / "data"
CASES = [json.loads(line) for line in (DATA / "failure_cases.jsonl").read_text().splitlines()]
BY_SHAPE = [json.loads(line) for line in (DATA / "failure_cases_2.jsonl").read_text().splitlines()]
"""Each with the general rule that must lead, as its thread established the cause."""
OWN = [json.loads(line) for line in (DATA / "own_failures.jsonl").read_text().splitlines()]
"""Made by us in the field's manner, and scored before the rules had seen them."""
OTHERS = [json.loads(line) for line in (DATA / "other_programs.jsonl").read_text().splitlines()]
NOTHING_FAILED = "dsocr-issue-29"
"""Its log holds two harmless warnings, as its thread says: they must be named, not blamed."""


def explained(text: str) -> Explanation:
    return explain_text(io.BytesIO(text.encode()))


@pytest.mark.parametrize(
    "case", [c for c in CASES if c["id"] != NOTHING_FAILED], ids=lambda c: str(c["id"])
)
def test_the_first_cause_of_a_real_failure_is_of_the_right_kind(case: dict[str, Any]) -> None:
    found = explained(case["log"])
    assert found.causes[0].category == case["category"]
    assert found.causes[0].evidence


@pytest.mark.parametrize("case", BY_SHAPE, ids=lambda c: str(c["id"]))
def test_the_rule_of_the_true_cause_leads(case: dict[str, Any]) -> None:
    first = explained(case["log"]).causes[0]
    assert (first.rule, first.category) == (case["rule"], case["category"])


@pytest.mark.parametrize("case", OWN, ids=lambda c: str(c["id"]))
def test_the_first_cause_of_a_made_failure_is_of_the_right_kind(case: dict[str, Any]) -> None:
    assert explained(case["log"]).causes[0].category == case["category"]


def test_a_log_with_only_harmless_warnings_names_them_and_blames_nothing() -> None:
    log = next(case["log"] for case in CASES if case["id"] == NOTHING_FAILED)
    found = explained(log)
    assert not found.causes
    assert [line.rule for line in found.harmless] == ["position-ids-initialised"]


@pytest.mark.parametrize(
    "log", sorted((DATA / "good_logs").glob("*.log")), ids=lambda path: str(path.stem)
)
def test_a_run_that_went_well_has_no_cause(log: Path) -> None:
    with log.open("rb") as stream:
        assert explain_text(stream).causes == ()


@pytest.mark.parametrize("case", OTHERS, ids=lambda c: str(c["id"]))
def test_a_failure_of_another_program_is_not_explained(case: dict[str, Any]) -> None:
    assert explained(case["log"]).causes == ()


def test_a_failure_that_every_program_can_have_is_explained_where_it_is_of_this_field() -> None:
    line = "OSError: [Errno 28] No space left on device\n"
    assert explained(line).causes[0].rule == "disk-full"  # a paste shows no other program
    before = "".join(f"{number}: GET /{number} 200\n" for number in range(60))
    assert explained(before + line).causes == ()
    assert explained(f"vllm serve\n{before}{line}").causes[0].rule == "disk-full"


def test_wrapped_and_chained_errors_lead_to_the_root() -> None:
    found = explained(
        "(EngineCore_DP0 pid=86) ERROR 11-20 08:00:00 [core.py:718] EngineCore failed to start.\n"
        "(EngineCore_DP0 pid=86) ERROR 11-20 08:00:00 [core.py:718] torch.OutOfMemoryError: CUDA "
        "out of memory. Tried to allocate 2.00 GiB.\n"
        "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. "
        "Failed core proc(s): {}\n"
    )
    assert [cause.rule for cause in found.causes] == ["cuda-out-of-memory"]
    assert [line.line for line in found.causes[0].evidence] == [2]


def test_a_consequence_comes_after_its_root_wherever_it_stands() -> None:
    found = explained(
        "ModuleNotFoundError: No module named 'flash_attn'\n"
        "ImportError: flash_attn_2_cuda.so: undefined symbol: _ZN3c105ErrorC2E\n"
    )
    assert [c.rule for c in found.causes] == ["undefined-symbol", "flash-attn-missing"]


def test_placeholders_are_filled_with_the_log_s_own_numbers() -> None:
    found = explained(
        "CUDA out of memory. Tried to allocate 730.00 MiB. GPU 0 has a total capacity of 7.57 GiB "
        "of which 685.25 MiB is free."
    )
    assert "730.00 MiB did not fit (the card has 7.57 GiB); 685.25 MiB" in found.causes[0].cause


def test_a_stack_s_pins_are_told_with_the_fix() -> None:
    log = io.BytesIO(b"cannot import name 'LlamaFlashAttention2' from 'transformers'")
    found = explain_text(log, stack="v0", pins={"transformers": "4.46.3", "torch": "2.6.0"})
    assert found.causes[0].fix.endswith("Stack v0 pins transformers==4.46.3.")


def test_an_error_at_debug_level_is_no_failure() -> None:
    line = "DEBUG 04-20 15:44:19 [hf.py:128] ValueError: Cannot use chat template functions because"
    assert not explained(f"{line} tokenizer.chat_template is not set\n").causes


def test_a_page_that_repeats_itself_is_a_loop() -> None:
    assert explained("Total de caixa de " * 12).causes[0].rule == "output-loop"
    assert explained("Hakate Toolbox\n\nHekate Toolbox\n\n" * 9).causes[0].rule == "output-loop"


def test_a_program_that_says_the_same_again_and_again_is_no_page() -> None:
    assert not explained("nginx: waiting for upstream\n" * 40).causes


def test_the_last_error_is_kept_where_nothing_is_known() -> None:
    found = explained("ok\nFrobError: the frob is bent\nbye\nFrobError: the frob is bent\n")
    assert not found.causes
    assert found.last_error
    assert (found.last_error.line, found.lines) == (4, 4)


@pytest.mark.parametrize(
    ("reason", "rules"),
    [
        ("/x/vllm/_C.abi3.so: undefined symbol: _ZN3c104cuda9SetDeviceEab", ["undefined-symbol"]),
        ("libcudart.so.12: cannot open shared object file: No such file", []),
        ("No module named 'vllm._C'", []),
    ],
)
def test_an_extension_of_another_torch_is_a_failure_though_it_is_logged_as_a_warning(
    reason: str, rules: list[str]
) -> None:
    line = "WARNING 06-13 11:42:20 [_custom_ops.py:20] Failed to import from vllm._C with "
    found = explained(f'{line}ImportError("{reason}")\n')
    assert [cause.rule for cause in found.causes] == rules
