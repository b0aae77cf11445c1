"""The end of a server: explained by what ended it, not by what it refused before."""

from __future__ import annotations

import io

import pytest

from dsk.explain import explain_end, explain_text
from dsk.explain.endings import relevant

START = """\
INFO 11-30 02:30:01 [api_server.py:1034] vLLM API server version 0.8.5
INFO:     Application startup complete.
INFO:     127.0.0.1:50000 - "GET /health HTTP/1.1" 200 OK
"""

BOMB = """\
ERROR 11-30 02:35:10 [serving_chat.py:197] Error in preprocessing prompt inputs
ERROR 11-30 02:35:10 [serving_chat.py:197] Traceback (most recent call last):
ERROR 11-30 02:35:10 [serving_chat.py:197]   File "PIL/Image.py", line 3400, in _check
ERROR 11-30 02:35:10 [serving_chat.py:197] PIL.Image.DecompressionBombError: Image size (4e8) ...
"""
REFUSED = 'INFO:     127.0.0.1:50002 - "POST /v1/chat/completions HTTP/1.1" 400 Bad Request\n'
READ = 'INFO:     127.0.0.1:50003 - "POST /v1/chat/completions HTTP/1.1" 200 OK\n'
FAILED = 'INFO:     127.0.0.1:50004 - "POST /invocations HTTP/1.1" 500 Internal Server Error\n'

REGEX = """\
ERROR 11-30 02:41:07 [engine.py:160] RuntimeError('Regex parsing error')
ERROR 11-30 02:41:07 [engine.py:160] Traceback (most recent call last):
ERROR 11-30 02:41:07 [engine.py:160]   File "xgrammar/compiler.py", line 91, in compile_regex
ERROR 11-30 02:41:07 [engine.py:160] RuntimeError: [02:41:07] /project/cpp/regex_converter.cc:73: \
Regex parsing error at position 6: The parenthesis is not closed.
"""
OUT_OF_MEMORY = """\
(EngineCore pid=7) ERROR 11-30 02:41:07 [core.py:700] Traceback (most recent call last):
(EngineCore pid=7) ERROR 11-30 02:41:07 [core.py:700] torch.OutOfMemoryError: CUDA out of memory. \
Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.64 GiB of which 1.10 GiB is free.
"""
UNKNOWN = "ERROR 11-30 02:41:07 [engine.py:160] KeyError: 'the moon is full'\n"
DEAD = """\
CRITICAL 11-30 02:41:08 [launcher.py:116] MQLLMEngine is already dead, terminating server process
INFO:     Shutting down
INFO:     Finished server process [22522]
"""


def rules(log: str) -> list[str]:
    return [cause.rule for cause in explain_end(log.encode()).causes]


def test_a_refused_request_does_not_explain_an_end_that_came_minutes_later() -> None:
    log = START + BOMB + REFUSED + READ + REGEX + FAILED + DEAD
    assert rules(log)[0] == "request-pattern"
    assert "image-unreadable" not in rules(log)
    # Nor does it explain anything in a log that is not held against an end.
    assert [cause.rule for cause in explain_text(_stream(log)).causes] == ["request-pattern"]


def test_nor_one_that_came_just_before_the_end_with_no_page_between() -> None:
    for log in (
        START + BOMB + REFUSED + REGEX + FAILED + DEAD,
        START + REGEX + BOMB + REFUSED + FAILED + DEAD,
        START + REGEX + FAILED + BOMB + REFUSED + DEAD,
    ):
        assert rules(log)[0] == "request-pattern"
        assert "image-unreadable" not in rules(log)


def test_a_hundred_refused_requests_do_not_hide_what_ended_it() -> None:
    out_of_memory = START + (BOMB + REFUSED) * 100 + READ + (BOMB + REFUSED) * 100 + OUT_OF_MEMORY
    (first, *_) = explain_end(out_of_memory.encode()).causes
    assert first.category == "vram"
    assert first.evidence[0].line == out_of_memory.count("\n")


def test_an_unknown_end_is_said_to_be_unknown_with_its_own_last_error() -> None:
    explanation = explain_end((START + BOMB + REFUSED + UNKNOWN + FAILED + DEAD).encode())
    assert explanation.causes == ()
    assert explanation.last_error is not None
    assert explanation.last_error.text == "KeyError: 'the moon is full'"


def test_an_end_without_a_word_is_not_blamed_on_what_was_survived() -> None:
    explanation = explain_end((START + REGEX + FAILED + READ).encode())
    assert (explanation.causes, explanation.last_error) == ((), None)


def test_answers_that_need_no_engine_are_no_sign_of_life() -> None:
    for path in ("/metrics", "/v1/models", "/version"):
        answer = f'INFO:     127.0.0.1:5 - "GET {path} HTTP/1.1" 200 OK\n'
        assert rules(START + REGEX + FAILED + answer + DEAD) == ["request-pattern"]


def test_an_address_that_a_client_made_up_is_no_sign_of_life() -> None:
    forged = READ.strip().replace("127.0.0.1:50003", '1.2.3.4 - "GET /health HTTP/1.1" 200 OK')
    refused = forged[: forged.rindex("200")] + "401 Unauthorized\n"
    assert refused.count("HTTP/1.1") == 2
    assert rules(START + OUT_OF_MEMORY + refused + DEAD)[0] == "cuda-out-of-memory"


def test_what_failed_before_a_server_was_up_is_explained_as_ever() -> None:
    log = OUT_OF_MEMORY + "RuntimeError: Engine core initialization failed.\n"
    assert explain_end(log.encode()).causes == explain_text(_stream(log)).causes


@pytest.mark.parametrize("log", [b"", b"\n", b"\xff\xfe", READ.encode(), (BOMB * 3).encode()])
def test_lines_keep_their_numbers(log: bytes) -> None:
    assert relevant(log).count(b"\n") == log.count(b"\n")


def _stream(log: str) -> io.BytesIO:
    return io.BytesIO(log.encode())
