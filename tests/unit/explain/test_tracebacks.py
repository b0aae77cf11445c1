"""Tracebacks are read by their frames, in whatever form a program printed them."""

from __future__ import annotations

import pytest

from dsk.explain import lines, tracebacks
from dsk.explain.tracebacks import REMOTE_CODE, Traceback

PLAIN = """\
Traceback (most recent call last):
  File "/home/me/read.py", line 3, in <module>
    model.infer(tokenizer)
  File "/root/.cache/huggingface/modules/transformers_modules/ocr/modeling.py", line 9, in infer
    self.generate(ids)
  File "/srv/e/lib/python3.12/site-packages/torch/utils/_contextlib.py", line 116, in wrapper
    return func(*args, **kwargs)
           ^^^^^^^^^^^^^^^^^^^^^
  File "/srv/e/lib/python3.12/site-packages/transformers/generation/utils.py", line 22, in generate
    cache.seen_tokens
  File "/usr/lib/python3.12/functools.py", line 995, in __get__
    val = self.func(instance)
AttributeError: 'DynamicCache' object has no attribute 'seen_tokens'
"""
IPYTHON = """\
Traceback (most recent call last)
File ~/e/lib/python3.9/site-packages/vllm/entrypoints/llm.py:123, in LLM.__init__(self, model)
    102 kwargs["disable_log_stats"] = True
--> 123 self.llm_engine = LLMEngine.from_engine_args(
File ~/e/lib/python3.9/site-packages/transformers/x.py:292, in f(cls)
KeyError: 'default'
"""
RICH = """\
╭───────────── Traceback (most recent call last) ─────────────╮
│ /srv/e/lib/python3.12/site-packages/vllm/engine.py:12 in go │
│ ❱ 12     transformers.load(x)                               │
│ /srv/e/lib/python3.12/site-packages/transformers/a.py:7 in load │
╰─────────────────────────────────────────────────────────────╯
ImportError: cannot import name 'x' from 'transformers.a'
"""


def read(text: str, after: str = "") -> Traceback:
    before = [lines.clean(line.encode()) for line in text.rstrip("\n").split("\n")]
    found = tracebacks.read(
        before, len(before), [lines.clean(line.encode()) for line in after.split("\n")]
    )
    assert found is not None
    return found


def test_the_packages_of_a_traceback_are_named_innermost_first() -> None:
    found = read(PLAIN)
    assert found.exception == "AttributeError"
    assert found.packages == ("transformers", REMOTE_CODE)
    assert (found.first_line, found.line, found.chained) == (1, 13, False)


@pytest.mark.parametrize("text", [IPYTHON, RICH], ids=["ipython", "rich"])
def test_notebooks_and_boxes_are_read_like_plain_tracebacks(text: str) -> None:
    assert read(text).packages == ("transformers", "vllm")


@pytest.mark.parametrize(
    "prefix",
    [
        "(EngineCore_DP0 pid=86) ERROR 11-20 08:00:00 [core.py:718] ",
        "(Worker_TP0 pid=86) ",
        "[rank0]: ",
        "ocr-1  | ",
        "[pod/ocr-0/engine] ",
        "Dec 09 13:35:40 host ocr[206214]: ",
        "2025-12-09T13:35:40+0100 host ocr[206214]: ",
        "0: ",
        "(ServeReplica:app:VLLM pid=7620, ip=10.0.0.1) ",
        "2025-11-20T12:00:00.1234567Z ",
        "ERROR 06-05 14:26:00 engine.py:164] ",
    ],
)
def test_what_stands_before_each_line_does_not_matter(prefix: str) -> None:
    text = "".join(prefix + line + "\n" for line in PLAIN.splitlines())
    assert read(text).packages == ("transformers", REMOTE_CODE)


def test_two_workers_that_write_at_once_are_told_apart() -> None:
    one = ["(Worker pid=1) " + line for line in PLAIN.splitlines()]
    other = ["(Worker pid=2) " + line.replace("transformers/", "numpy/") for line in one]
    mixed = [line for pair in zip(other, one, strict=True) for line in pair]
    assert read("\n".join(mixed)).packages == ("transformers", REMOTE_CODE)


def test_a_traceback_without_its_beginning_has_the_frames_that_are_left() -> None:
    cut = "\n".join(PLAIN.splitlines()[7:])
    assert read(cut).packages == ("transformers",)


def test_an_exception_that_led_to_another_ends_its_traceback() -> None:
    chain = (
        PLAIN
        + "\nThe above exception was the direct cause of the following exception:\n\n"
        + 'Traceback (most recent call last):\n  File "/srv/x/site-packages/vllm/a.py", line 1\n'
        + "RuntimeError: it failed\n"
    )
    found = read(chain)
    assert (found.packages, found.chained) == (("vllm",), True)


def test_an_upside_down_traceback_is_read_from_below() -> None:
    found = read(
        "AttributeError: 'list' object has no attribute 'keys'", '  File "vllm/a.py", line 1'
    )
    assert found.packages == ("vllm",)


@pytest.mark.parametrize(
    ("path", "package"),
    [
        ("/sgl-workspace/sglang/python/sglang/srt/models/x.py", "sglang"),
        ("/workspace/vllm/vllm/model_executor/models/transformers/base.py", "vllm"),
        ("transformers/modeling_utils.py", "transformers"),
        (r"C:\v\Lib\site-packages\torch\cuda\__init__.py", "torch"),
        (r"C:\Python311\Lib\asyncio\runners.py", ""),
        ("/usr/lib/python3.12/asyncio/runners.py", ""),
        ("<frozen importlib._bootstrap>", ""),
        ("/home/me/app.py", ""),
    ],
)
def test_a_file_belongs_to_the_package_that_is_imported(path: str, package: str) -> None:
    assert tracebacks.package_of(path) == package


def test_colab_s_linked_files_are_calls() -> None:
    found = read(
        "TypeError                                 Traceback (most recent call last)\n"
        "[/usr/local/lib/python3.12/dist-packages/vllm/v1/engine/utils.py]"
        "(https://localhost:8080/#) in wait_for_engine_startup(handshake_socket, addresses)\n"
        "    958             if coord_process is not None:\n"
        "--> 960                 raise TypeError(x)\n"
        "\n"
        "TypeError: 'NoneType' object is not callable"
    )
    assert found.packages == ("vllm",)
    assert found.frames[0].function == "wait_for_engine_startup"
