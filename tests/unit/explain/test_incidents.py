"""What ended a log leads; what it survived is no cause."""

from __future__ import annotations

import io

import pytest

from dsk.explain import Explanation, explain_text

OUT_OF_MEMORY = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
NO_KERNEL = "RuntimeError: CUDA error: no kernel image is available for execution on the device\n"
IMPORT = "ModuleNotFoundError: No module named 'flash_attn'\n"
HEADER = "Traceback (most recent call last):\n"
UP = "INFO:     Application startup complete.\n"
READ = 'INFO:     127.0.0.1:50003 - "POST /v1/chat/completions HTTP/1.1" 200 OK\n'
REFUSED = 'INFO:     127.0.0.1:50002 - "POST /v1/chat/completions HTTP/1.1" 400 Bad Request\n'
WRAPPERS = (
    "RuntimeError: Engine core initialization failed. See root cause above. "
    "Failed core proc(s): {}\n"
    "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.\n"
)


def explained(log: str) -> Explanation:
    return explain_text(io.BytesIO(log.encode()))


def rules(log: str) -> list[str]:
    return [cause.rule for cause in explained(log).causes]


def test_the_last_fatal_error_leads() -> None:
    assert rules(f"{HEADER}{OUT_OF_MEMORY}INFO starting again\n{HEADER}{NO_KERNEL}{WRAPPERS}") == [
        "no-kernel-for-gpu",
        "cuda-out-of-memory",
    ]


def test_a_chain_leads_to_its_first_exception() -> None:
    chain = (
        f"{HEADER}{OUT_OF_MEMORY}\nThe above exception was the direct cause of the following "
        f"exception:\n\n{HEADER}{NO_KERNEL}"
    )
    assert rules(chain)[0] == "cuda-out-of-memory"


@pytest.mark.parametrize("success", [UP, READ, "Successfully installed torch-2.6.0\n"])
def test_a_success_after_the_last_error_clears(success: str) -> None:
    assert rules(OUT_OF_MEMORY + success) == []
    assert rules(OUT_OF_MEMORY + success + NO_KERNEL) == ["no-kernel-for-gpu"]


def test_a_long_row_of_errors_is_cleared_by_a_success_too() -> None:
    assert rules(OUT_OF_MEMORY * 100 + UP) == []
    assert rules(UP + OUT_OF_MEMORY * 100) == ["cuda-out-of-memory"]


@pytest.mark.parametrize(
    "line",
    [
        f"{IMPORT.strip()} (ignored)\n",
        "ConnectionError: Max retries exceeded with url: /x, retrying in 3 s\n",
        "ERROR: Failed building wheel for flash-attn, falling back to the plain one\n",
    ],
)
def test_what_the_program_went_on_after_counts_only_where_nothing_else_failed(line: str) -> None:
    assert rules(line + NO_KERNEL) == ["no-kernel-for-gpu"]
    (only,) = explained(line + "vllm\n").causes[:1]
    assert only.likely


def test_a_refused_request_is_no_cause_of_an_end() -> None:
    bomb = "ERROR [serving.py:1] PIL.Image.DecompressionBombError: Image size (4e8) ...\n"
    assert rules(UP + bomb + REFUSED + NO_KERNEL) == ["no-kernel-for-gpu"]
    assert rules(UP + bomb + REFUSED + READ) == []


def test_an_engine_that_died_is_not_excused_by_the_refusal_that_followed() -> None:
    died = f"(EngineCore pid=7) ERROR {OUT_OF_MEMORY}"
    assert rules(UP + died + REFUSED)[0] == "cuda-out-of-memory"


def test_wrappers_lead_to_the_exception_above_them_though_no_rule_knows_it() -> None:
    found = explained(f"{HEADER}KeyError: 'the moon is full'\n{WRAPPERS}")
    assert found.causes == ()
    assert found.last_error is not None
    assert found.last_error.text == "KeyError: 'the moon is full'"


def test_wrappers_alone_say_that_the_root_is_missing() -> None:
    (cause,) = explained(WRAPPERS).causes
    assert cause.rule == "vllm-already-dead"
    assert cause.likely


def test_the_text_of_pages_is_no_evidence() -> None:
    assert rules(f'{{"markdown": "The log said: {OUT_OF_MEMORY.strip()}"}}\n') == []
    assert rules(f"<|ref|>text<|/ref|>{NO_KERNEL}") == []
