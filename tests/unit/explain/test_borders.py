"""Where one package asks another for what its release lacks, both are named."""

from __future__ import annotations

import io

import pytest

from dsk.explain import Cause, explain_text


def first(log: str) -> Cause:
    return explain_text(io.BytesIO(log.encode())).causes[0]


def traceback(*paths: str, exception: str, prefix: str = "") -> str:
    frames = [
        f'  File "/srv/e/lib/python3.12/site-packages/{path}", line 3, in f' for path in paths
    ]
    text = ["Traceback (most recent call last):", *frames, exception]
    return "".join(f"{prefix}{line}\n" for line in text)


TOKENIZER = traceback(
    "vllm/transformers_utils/tokenizer.py",
    "transformers/tokenization_utils_base.py",
    exception="AttributeError: Qwen2Tokenizer has no attribute all_special_tokens_extended",
)


def test_both_sides_and_the_release_that_moved_are_named() -> None:
    log = f"vLLM API server version 0.11.0\ntransformers version: 5.1.0\n{TOKENIZER}"
    cause = first(log)
    assert cause.rule == "packages-differ-transformers"
    assert "vllm 0.11.0 and transformers 5.1.0 are of releases that do not fit" in cause.cause
    assert "transformers removed it in 5.0.0, and 5.1.0 is installed" in cause.cause
    assert "vllm 0.8.5 with transformers 4.46.3" in cause.fix  # the stacks that agree
    assert cause.likely


@pytest.mark.parametrize(
    ("log", "rule"),
    [
        (
            traceback(
                "ray/llm/serve.py",
                exception="TypeError: init_app_state() missing 1 required "
                "positional argument: 'args'",
            ),
            "packages-differ-engine",
        ),
        (
            traceback(
                "vllm/v1/attention/backends/flashinfer.py",
                "flashinfer/prefill.py",
                exception="TypeError: plan() got an unexpected keyword argument 'kv_data_type'",
            ),
            "packages-differ-engine",
        ),
        (
            traceback(
                "vllm/model_executor/layers/triton_ops.py",
                "triton/runtime/jit.py",
                exception="KeyError: 'num_ctas'",
            ),
            "stage-kernel",
        ),
        (
            traceback(
                "xformers/ops/a.py",
                "torch/library.py",
                exception="TypeError: register_fake() got an unexpected keyword argument 'x'",
            ),
            "packages-differ-torch",
        ),
        (
            traceback(
                "sglang/srt/hf.py",
                "transformers/dynamic_module_utils.py",
                exception="AttributeError: 'GlmConfig' object has no attribute 'max_pos'",
            ),
            "packages-differ-transformers",
        ),
        (
            traceback(
                "vllm/config.py",
                "huggingface_hub/utils/_validators.py",
                exception="TypeError: hf_hub_download() got an unexpected keyword argument "
                "'use_auth_token'",
            ),
            "packages-differ-transformers",
        ),
    ],
)
def test_the_kind_follows_from_the_packages(log: str, rule: str) -> None:
    causes = explain_text(io.BytesIO(log.encode())).causes
    assert [cause.rule for cause in causes[:1]] == [rule]


@pytest.mark.parametrize(
    "log",
    [
        traceback(
            "django/core/handlers/base.py",
            "rest_framework/views.py",
            exception="AttributeError: 'Request' object has no attribute 'user_id'",
        ),
        traceback(
            "vllm/a.py",
            "transformers/b.py",
            exception="AttributeError: 'NoneType' object has no attribute 'shape2'",
        ),
        traceback("pandas/core/a.py", "numpy/b.py", exception="KeyError: 'price'"),
    ],
    ids=["other packages", "a value that was never set", "a key of the data"],
)
def test_what_says_nothing_of_releases_is_no_border(log: str) -> None:
    assert not [
        cause
        for cause in explain_text(io.BytesIO(log.encode())).causes
        if cause.rule.startswith("packages-differ")
    ]


def test_a_name_that_a_release_removed_is_known_without_its_module() -> None:
    log = traceback(
        "transformers/dynamic_module_utils.py",
        "transformers_modules/ocr/modeling_x.py",
        exception="ImportError: cannot import name 'find_pruneable_heads_and_indices'",
    )
    cause = first(log)
    assert cause.rule == "packages-differ-transformers"
    assert "the model's own code and transformers" in cause.cause
    assert "transformers removed it in 5.0.0" in cause.cause


def test_a_rule_that_knows_the_message_comes_before_the_general_one() -> None:
    log = traceback(
        "transformers_modules/ocr/modeling_deepseekocr.py",
        exception="ImportError: cannot import name 'LlamaFlashAttention2' from "
        "'transformers.models.llama.modeling_llama' (/x.py)",
    )
    assert first(log).rule == "transformers-llama-flash-attention2"
