"""Answers: whole where they are good, in our words where vLLM or a library speaks of an error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.vllm_plugin.gate.requests_to_gate import Application, Site, chat

from dsk.vllm_plugin.gate.answers import clean_events, public_message

if TYPE_CHECKING:
    from collections.abc import Callable

ADDRESS = "cannot identify image file <_io.BytesIO object at 0x7f4981b5f330>"
SSE = [(b"content-type", b"text/event-stream; charset=utf-8")]


@pytest.mark.parametrize("status", [400, 404, 422, 500, 501, 503])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"object": "error", "message": ADDRESS, "type": "BadRequestError"}),
        json.dumps({"error": {"message": ADDRESS, "code": 400}}),
        json.dumps({"detail": [{"input": ADDRESS}]}),
        f"Traceback: File /root/.cache/dsk/envs/x.py {ADDRESS}",
        "",
    ],
)
def test_no_text_of_an_error_passes(site: Callable[..., Site], status: int, text: str) -> None:
    there = site(Application(status=status, pieces=(text[:9].encode(), text[9:].encode())))
    reply = there.post(chat())
    assert reply.status == status
    assert reply.headers["content-type"] == "application/json"
    assert int(reply.headers["content-length"]) == len(reply.body)
    for secret in (b"0x7f", b"BytesIO", b"/root", b"Traceback"):
        assert secret not in reply.body
    assert json.loads(reply.body)["error"]["code"] == status


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("This model's maximum context length is 8192 tokens. However, you requested", "context"),
        ("Input length (8329) exceeds model's maximum context length (8192).", "context"),
        ("The model `gpt` does not exist.", "serves no model of that name"),
        ("Failed to load image: cannot identify image file", "an image cannot be read"),
        ("['mode'] is set for one request: set the mode for the engine", "--mode"),
        ("something that a later vLLM says", "does not take this request"),
    ],
)
def test_what_a_client_can_mend_is_told_in_words_of_ours(theirs: str, ours: str) -> None:
    assert ours in public_message(400, theirs)
    assert public_message(400, theirs) not in theirs


def test_a_good_answer_passes_as_it_is_without_headers_of_vllm(site: Callable[..., Site]) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"Access-Control-Allow-Origin", b"*"),
        (b"x-request-id", b"1"),
        (b"set-cookie", b"a=b"),
    ]
    answer = b'{"choices": [{"message": {"content": "{\\"error\\": 0x7f}"}}]}'
    reply = site(Application(headers=headers, pieces=(answer[:20], answer[20:]))).post(chat())
    assert reply.body == answer
    assert reply.headers == {
        "content-type": "application/json",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": ADDRESS, "code": 500}},
        {"object": "error", "message": ADDRESS, "error": None},
        {"object": "error", "message": ADDRESS},
    ],
)
def test_an_error_inside_a_stream_is_told_in_words_of_ours(
    site: Callable[..., Site], error: dict[str, Any]
) -> None:
    good = b'data: {"choices": [{"delta": {"content": "<\\"error\\" 0x1>"}}]}\n\n'
    bad = b"data: " + json.dumps(error).encode() + b"\n\n"
    end = b"data: [DONE]\n\n"
    reply = site(Application(headers=SSE, pieces=(good, bad, end))).post(chat(stream=True))
    assert reply.body.startswith(good)
    assert reply.body.endswith(end)
    assert b"0x7f" not in reply.body
    (event,) = reply.body[len(good) : -len(end)].split()[1:2] or [b""]
    assert event.startswith(b'{"error":')
    assert clean_events(good) == good


def test_the_list_of_models_has_no_folder_in_it(site: Callable[..., Site]) -> None:
    card = {"id": "deepseek-ocr", "root": "/home/alice/models/ocr", "max_model_len": 8192}
    listed = json.dumps({"object": "list", "data": [card]}).encode()
    reply = site(Application(pieces=(listed[:30], listed[30:]))).ask("GET", "/v1/models")
    assert json.loads(reply.body)["data"] == [card | {"root": "deepseek-ocr"}]
    assert int(reply.headers["content-length"]) == len(reply.body)
