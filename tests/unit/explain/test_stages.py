"""An exception that no rule knows is named with its stage, its package and its own message."""

from __future__ import annotations

import io

import pytest

from dsk.explain import Cause, explain_text

SITE = "/srv/e/lib/python3.12/site-packages"


def causes(log: str) -> tuple[Cause, ...]:
    return explain_text(io.BytesIO(log.encode())).causes


def raised(path: str, exception: str, *, function: str = "f", prefix: str = "") -> str:
    text = [
        "Traceback (most recent call last):",
        f'  File "{path}", line 3, in {function}',
        "    raise error",
        exception,
    ]
    return "".join(f"{prefix}{line}\n" for line in text)


def test_the_message_that_stands_on_the_next_line_is_part_of_the_cause() -> None:
    cause = causes(
        "vLLM API server version 0.11.0\n"
        + raised(
            f"{SITE}/vllm/engine/arg_utils.py",
            "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
            "  Value error, Sleep mode is not supported [type=value_error, input_type=ArgsKwargs]",
        )
    )[0]
    assert cause.rule == "stage-settings"
    assert cause.likely
    assert "vllm 0.11.0 refuses its settings" in cause.cause
    assert "for ModelConfig Value error, Sleep mode is not supported." in cause.cause
    assert "ArgsKwargs" not in cause.cause


def test_the_innermost_call_of_a_stage_decides() -> None:
    log = raised(f"{SITE}/vllm/config/model.py", "ValueError: strange").replace(
        "    raise error\n",
        f'    raise error\n  File "{SITE}/vllm/model_executor/parameter.py", line 9, in g\n',
    )
    assert [cause.rule for cause in causes(log)[:1]] == ["stage-weights"]


def test_the_place_is_named_where_nothing_else_is_known() -> None:
    log = raised(f"{SITE}/peft/peft_model.py", "ValueError: strange", function="load_adapter")
    assert "in peft, in load_adapter() in peft/peft_model.py: ValueError: strange." in (
        causes(log)[0].cause
    )


def test_a_worker_s_prefix_and_a_quoted_exception_change_nothing() -> None:
    log = raised(
        f"{SITE}/vllm/v1/attention/backends/flash_attn.py",
        "ValueError('strange page size')",
        prefix="(EngineCore_DP0 pid=86) ERROR 11-20 08:00:00 [core.py:718] ",
    )
    cause = causes(log)[0]
    assert cause.rule == "stage-kernel"
    assert "ValueError: strange page size" in cause.cause


@pytest.mark.parametrize(
    "log",
    [
        raised(f"{SITE}/pandas/core/frame.py", "ValueError: strange"),
        raised(f"{SITE}/boto3/session.py", "RuntimeError: strange"),
        raised("/srv/app/jobs/nightly.py", "RuntimeError: strange"),
        "vllm serve\n"
        + raised(f"{SITE}/vllm/config/model.py", "ValueError: strange")
        + 'INFO:     10.0.0.1:5000 - "POST /v1/chat/completions HTTP/1.1" 400 Bad Request\n',
        "vllm serve\n"
        + raised(
            f"{SITE}/vllm/config/model.py",
            "ValueError: strange",
            prefix="WARNING 11-20 08:00:00 [core.py:718] ",
        ),
        raised(f"{SITE}/vllm/config/model.py", "ValueError: strange")
        + "INFO:     Application startup complete.\n",
    ],
    ids=["pandas", "boto3", "own script", "refused request", "logged as a warning", "overcome"],
)
def test_what_ended_nothing_of_this_field_has_no_cause(log: str) -> None:
    assert causes(log) == ()


@pytest.mark.parametrize(
    "path",
    [
        "/home/me/vllm/run.py",
        "/home/me/vllm/config/nightly.py",
        "C:\\work\\ray\\jobs.py",
        "/srv/transformers/tokenization_of_ours.py",
        "~/sglang/serve.py",
    ],
)
def test_a_user_s_own_folder_that_is_named_like_a_package_is_none(path: str) -> None:
    assert causes(raised(path, "ValueError: strange")) == ()


@pytest.mark.parametrize(
    "path",
    [
        "/home/me/vllm/vllm/config/model.py",
        "/opt/vllm-source/vllm/config/model.py",
        "vllm/config/model.py",
        ".../vllm/config/model.py",
        f"{SITE}/vllm/config/model.py",
    ],
)
def test_a_checkout_and_a_shortened_path_are_of_the_package(path: str) -> None:
    assert [cause.rule for cause in causes(raised(path, "ValueError: strange"))] == [
        "stage-settings"
    ]


def test_a_rule_that_knows_the_message_keeps_it() -> None:
    log = raised(
        f"{SITE}/vllm/v1/core/kv_cache_utils.py",
        "ValueError: No available memory for the cache blocks. Try increasing "
        "`gpu_memory_utilization` when initializing the engine.",
    )
    assert [cause.rule for cause in causes(log)] == ["kv-cache-too-small"]
