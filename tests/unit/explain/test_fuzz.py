"""Logs of Python programs, cut off, written by several threads, and passed on by orchestrators."""

from __future__ import annotations

import io
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsk.explain import Explanation, explain_text, lines

SITE = "/srv/e/lib/python3.12/site-packages"
BORDER = f"""\
Traceback (most recent call last):
  File "/srv/e/bin/vllm", line 10, in <module>
    sys.exit(main())
             ^^^^^^
  File "{SITE}/vllm/entrypoints/cli/main.py", line 73, in main
    args.dispatch_function(args)
  File "{SITE}/vllm/transformers_utils/tokenizer.py", line 99, in get_cached_tokenizer
    tokenizer.all_special_tokens_extended)
  File "{SITE}/transformers/tokenization_utils_base.py", line 1293, in __getattr__
    raise AttributeError(f"{{self.__class__.__name__}} has no attribute {{key}}")
AttributeError: Qwen2Tokenizer has no attribute all_special_tokens_extended
""".splitlines()
MEMORY = f"""\
Traceback (most recent call last):
  File "{SITE}/vllm/v1/worker/gpu_worker.py", line 229, in load_model
    self.model_runner.load_model()
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.
""".splitlines()
QUIET = [
    "INFO 11-30 08:00:00 [loggers.py:127] Engine 000: Avg prompt throughput: 1.1 tokens/s",
    "Loading safetensors checkpoint shards: 100% Completed | 1/1",
    "  warnings.warn(",
    "",
]
PREFIXES = {
    "none": "",
    "docker compose": "ocr-engine-1  | ",
    "docker compose, dated": "ocr-engine-1  | 2026-03-02T10:11:12.123456789Z ",
    "docker buildx": "#12 34.56 ",
    "docker buildx, repeated": "4.974 ",
    "kubectl": "[pod/ocr-0/engine] ",
    "kubernetes file": "2026-03-02T10:11:12.123456789Z stderr F ",
    "journald": "Mar 02 10:11:12 gpu1 ocr[206214]: ",
    "journald, iso": "2026-03-02T10:11:12+0100 gpu1 ocr[206214]: ",
    "systemd, chinese": "3月 02 10:11:12 gpu1 ocr[206214]: ",
    "slurm": "0: ",
    "ray": "(pid=291, ip=10.0.0.1) ",
    "ray serve": "(ServeReplica:app:VLLM pid=7620) ",
    "vllm": "(EngineCore_DP0 pid=86) ERROR 11-20 08:00:00 [core.py:718] ",
    "vllm 0.7": "ERROR 06-05 14:26:00 engine.py:164] ",
    "torch": "[rank0]: ",
    "github": "2026-03-02T10:11:12.1234567Z ",
    "loguru": "2026-03-02 10:11:12.123 | ERROR    | app.main:run:12 - ",
    "coloured": "\x1b[31m(Worker_TP0 pid=3)\x1b[0m ",
}


def explained(text: list[str]) -> Explanation:
    return explain_text(io.BytesIO("\n".join(text).encode()))


def rules(text: list[str]) -> list[str]:
    return [cause.rule for cause in explained(text).causes]


@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
@pytest.mark.parametrize(
    ("log", "rule"),
    [(BORDER, "packages-differ-transformers"), (MEMORY, "cuda-out-of-memory")],
    ids=["border", "memory"],
)
def test_an_orchestrator_s_prefix_changes_nothing(prefix: str, log: list[str], rule: str) -> None:
    assert rules([prefix + line for line in log])[0] == rule


@settings(max_examples=60, deadline=None)
@given(
    prefix=st.sampled_from(sorted(PREFIXES.values())),
    start=st.integers(0, len(BORDER) - 3),
    noise=st.lists(st.sampled_from(QUIET), max_size=30),
)
def test_a_log_that_lost_its_beginning_leads_to_the_same_cause(
    prefix: str, start: int, noise: list[str]
) -> None:
    cut = [prefix + line for line in BORDER[start:]]
    assert rules(noise + cut)[0] == "packages-differ-transformers"


@settings(max_examples=60, deadline=None)
@given(order=st.permutations([0] * len(BORDER) + [1] * len(MEMORY)))
def test_workers_that_write_at_once_are_both_explained(order: list[int]) -> None:
    left = [iter(BORDER), iter(MEMORY)]
    mixed = [f"(Worker_TP{number} pid=30{number}) {next(left[number])}" for number in order]
    assert sorted(rules(mixed)) == ["cuda-out-of-memory", "packages-differ-transformers"]


@settings(max_examples=60, deadline=None)
@given(text=st.lists(st.sampled_from([*BORDER, *MEMORY, *QUIET]), max_size=40), end=st.integers(0))
def test_any_mixture_is_read_without_an_error(text: list[str], end: int) -> None:
    log = "\n".join(text)
    found = explain_text(io.BytesIO(log[: end % (len(log) + 1)].encode()))
    assert all(cause.evidence for cause in found.causes)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400).filter(lambda data: b"\0" not in data))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    explain_text(io.BytesIO(b"Error: " + data + b"\nKeyError: " + data))


@pytest.mark.parametrize(
    "line",
    [
        'File "' + "a/" * 2000,
        "a/" * 1900 + "b.py:1",
        "[" * 4000,
        "(a=" * 1000,
        "A" * 4000 + "Error",
        "a." * 1900 + "Error: x",
        "│ " * 1900,
        "0: " * 1300,
        "x | " * 1000,
        "AttributeError: " + "'a' has no attribute " * 150,
        "TypeError: " + "f() got an unexpected keyword argument " * 80,
    ],
)
def test_a_hostile_line_is_cleaned_and_read_in_no_time(line: str) -> None:
    start = time.process_time()
    lines.clean(line.encode())
    explain_text(io.BytesIO(f"{line}\n{line}\nKeyError: 'x'\n".encode() * 3))
    assert time.process_time() - start < 2
