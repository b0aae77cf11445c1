"""Requests: fields by name, each of its type and range, in messages that name nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.vllm_plugin.gate.requests_to_gate import chat

from dsk.vllm_plugin.gate.refusal import Refusal
from dsk.vllm_plugin.gate.requests import (
    MOST_CHARACTERS,
    MOST_VALUES,
    image_parts,
    parse_chat,
    parse_tokenize,
)

GUARD = {"ngram_size": 20, "window_size": 50, "whitelist_token_ids": [7, 8]}


def refusal(request: Any) -> str:
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    with pytest.raises(Refusal) as caught:
        parse_chat(body)
    assert caught.value.status == 400
    return caught.value.message


def parsed(request: Any) -> dict[str, Any]:
    return parse_chat(json.dumps(request).encode())


def test_what_dsk_run_sends_passes_unchanged() -> None:
    fields: dict[str, Any] = {"temperature": 0, "max_tokens": 8000, "skip_special_tokens": False}
    request = chat("data:x", **fields, vllm_xargs=GUARD)
    assert parsed(request) == request
    assert image_parts(parsed(request)) == [{"url": "data:x"}]


def test_what_other_clients_send_passes_unchanged() -> None:
    """The OpenAI client's and LiteLLM's usual fields."""
    request = chat(
        "data:x",
        max_completion_tokens=100,
        n=1,
        temperature=0.2,
        top_p=0.9,
        frequency_penalty=0.5,
        presence_penalty=-1,
        seed=7,
        stop=["\n\n", "END"],
        stream=True,
        stream_options={"include_usage": True},
        user="somebody",
        response_format={"type": "text"},
        logprobs=True,
        top_logprobs=5,
        top_k=-1,
        min_p=0.05,
        repetition_penalty=1.1,
        mm_processor_kwargs={"mode": "base"},
    )
    assert parsed(request) == request


def test_null_is_left_out() -> None:
    request = chat()
    assert parsed(request | {"tools": None, "stop": None, "temperature": None}) == request


def test_a_chat_of_plain_text_passes() -> None:
    request = {"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]}
    assert parsed(request) == request


@pytest.mark.parametrize(
    "field",
    [
        {"guided_regex": "("},
        {"guided_json": {}},
        {"guided_choice": ["a"]},
        {"guided_grammar": "root ::= 'a'"},
        {"guided_decoding_backend": "outlines"},
        {"guided_whitespace_pattern": "("},
        {"structural_tag": "{}"},
        {"structured_outputs": {"regex": "("}},
        {"tools": []},
        {"tool_choice": "auto"},
        {"functions": []},
        {"function_call": "auto"},
        {"parallel_tool_calls": False},
        {"chat_template": "{% for a in range(9**9) %}{% endfor %}"},
        {"chat_template_kwargs": {}},
        {"documents": []},
        {"media_io_kwargs": {}},
        {"prompt_embeds": ""},
        {"best_of": 2},
        {"use_beam_search": True},
        {"logits_processors": ["os.system"]},
        {"logit_bias": {"999999999": 1}},
        {"stop_token_ids": [999_999_999]},
        {"min_tokens": 10},
        {"allowed_token_ids": [1]},
        {"bad_words": ["a"]},
        {"prompt_logprobs": 20},
        {"priority": -1},
        {"request_id": "1"},
        {"kv_transfer_params": {}},
        {"cache_salt": "a"},
        {"echo": True},
        {"add_generation_prompt": False},
        {"continue_final_message": True},
        {"add_special_tokens": True},
        {"truncate_prompt_tokens": 1},
        {"reasoning_effort": "high"},
        {"return_token_ids": True},
        {"audio": {}},
        {"modalities": ["audio"]},
        {"a_field_of_a_later_vllm": 1},
    ],
)
def test_other_fields_are_refused_by_name(field: dict[str, Any]) -> None:
    (name,) = field
    assert refusal(chat() | field) == f"this server does not take the field {name}"


@pytest.mark.parametrize(
    "field",
    [
        {"n": 2},
        {"n": 0},
        {"n": True},
        {"n": 1.5},
        {"max_tokens": 0},
        {"max_tokens": -1},
        {"max_tokens": 1 << 64},
        {"max_tokens": "100"},
        {"max_tokens": 1.5},
        {"temperature": -1},
        {"temperature": 1e300},
        {"temperature": "0"},
        {"temperature": []},
        {"top_p": 0},
        {"top_p": 1e-320},
        {"top_k": 1 << 63},
        {"top_k": -2},
        {"seed": -1},
        {"seed": 1 << 63},
        {"repetition_penalty": 0},
        {"frequency_penalty": 3},
        {"stop": [""]},
        {"stop": ["a"] * 17},
        {"stop": ["a" * 257]},
        {"stop": [1]},
        {"top_logprobs": 21},
        {"stream": "yes"},
        {"stream_options": {"include_usage": True, "x": 1}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {}}},
        {"response_format": {"type": "structural_tag"}},
        {"response_format": {"type": "text", "schema": {}}},
        {"vllm_xargs": {"ngram_size": 1}},
        {"vllm_xargs": {"ngram_size": 20, "window_size": 10**9}},
        {"vllm_xargs": {"ngram_size": "20"}},
        {"vllm_xargs": {"ngram_size": 20, "whitelist_token_ids": "ab"}},
        {"vllm_xargs": {"ngram_size": 20, "whitelist_token_ids": [-1]}},
        {"vllm_xargs": {"ngram_size": 20, "other": 1}},
        {"vllm_xargs": []},
        {"mm_processor_kwargs": {"mode": "base", "do_resize": False}},
        {"mm_processor_kwargs": {"num_crops": 100}},
        {"model": ["a"]},
        {"model": "a" * 257},
        {"user": {}},
    ],
)
def test_other_types_and_ranges_are_refused_with_the_fields_name(field: dict[str, Any]) -> None:
    (name,) = field
    assert name in refusal(chat() | field)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_embeds", "image_embeds": "AAAA"},
        {"type": "audio_url", "audio_url": {"url": "data:,"}},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "data:,"}},
        {"type": "image_pil", "image_pil": "x"},
        {"type": "refusal", "refusal": "x"},
        {"type": "file", "file": {"file_id": "x"}},
        {"type": "image_url", "image_url": "data:,"},
        {"type": "image_url", "image_url": {"url": "data:,"}, "uuid": "x"},
        {"type": "image_url", "image_url": {"url": "data:,"}, "audio_url": {"url": "data:,"}},
        {"type": "image_url"},
        {"type": "text", "text": "a", "image_embeds": "AAAA"},
        {"type": "text", "text": None},
        {"image_url": {"url": "data:,"}},
        {"image_embeds": "AAAA"},
        "text",
        None,
        [],
    ],
)
def test_parts_of_other_kinds_are_refused(part: Any) -> None:
    request = chat()
    request["messages"][0]["content"].append(part)
    assert "content" in refusal(request)


@pytest.mark.parametrize(
    "messages",
    [
        None,
        [],
        {},
        "a",
        [None],
        [{}],
        [{"role": "user"}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": []}],
        [{"role": "user", "content": {}}],
        [{"role": "tool", "content": "a", "tool_call_id": "1"}],
        [{"role": "user", "content": "a", "name": "b"}],
        [{"role": "assistant", "content": "a", "tool_calls": []}],
        [{"role": "{{ 1 }}", "content": "a"}],
        [{"role": "user", "content": "a"}] * 33,
        [{"role": "user", "content": [{"type": "text", "text": "a"}] * 65}],
    ],
)
def test_messages_of_other_shapes_are_refused(messages: Any) -> None:
    assert "messages" in refusal({"messages": messages})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"a"',
        b"1",
        b"{",
        b'{"messages": NaN}',
        b'{"messages": [], "temperature": Infinity}',
        b'{"seed": ' + b"1" * 5000 + b"}",
        b"\xff\xfe{\x00}\x00",
        '{"messages": []}'.encode("utf-16"),
        b'\xef\xbb\xbf{"messages": []}',
        b'{"a": "\xff"}',
        b"[" * 90_000,
        b'{"a":' * 40_000,
    ],
)
def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    assert "JSON" in refusal(body)


def test_an_infinite_number_is_refused() -> None:
    body = json.dumps(chat(temperature=2)).replace('"temperature": 2', '"temperature": 1e999')
    assert "temperature" in refusal(body.encode())


def test_a_body_of_millions_of_values_is_refused_before_they_are_made() -> None:
    assert f"{MOST_VALUES} values" in refusal(b'{"a": [' + b"[]," * MOST_VALUES + b"0]}")


def test_text_is_limited_and_whole() -> None:
    assert str(MOST_CHARACTERS) in refusal(chat(text="x" * (MOST_CHARACTERS + 1)))
    halves = [{"role": "user", "content": "x" * (MOST_CHARACTERS // 2 + 1)}] * 2
    assert str(MOST_CHARACTERS) in refusal({"messages": halves})
    assert "surrogate" in refusal(chat(text="\ud800"))
    assert "stop" in refusal(chat(stop="\udfff"))
    assert parsed(chat(text="\U0001f600\x00"))


def test_a_name_that_is_not_a_plain_one_is_not_repeated() -> None:
    for name in ("<script>", "a b", "x" * 65, "\x1b[31m", "0x7f4981b5f330", "/root/secret", ""):
        assert refusal(chat() | {name: 1}) == "this server does not take the field with that name"


def test_a_place_inside_is_named() -> None:
    request = chat("data:x")
    request["messages"][0]["content"][1]["image_url"]["width"] = 5
    assert refusal(request).endswith("messages[0].content[1].image_url.image_url.width")


@pytest.mark.parametrize(
    ("request_", "taken"),
    [
        ({"model": "a", "prompt": "<td></td>", "add_special_tokens": False}, True),
        ({"prompt": "a", "messages": []}, False),
        ({"messages": [], "chat_template": "{{ 1 }}"}, False),
        ({"prompt": ["a"]}, False),
        ({"prompt": [1, 2]}, False),
        ({"prompt": "a" * (MOST_CHARACTERS + 1)}, False),
        ({"prompt": "a", "return_token_strs": True}, False),
    ],
)
def test_tokenize_takes_a_prompt_alone(request_: dict[str, Any], taken: bool) -> None:
    body = json.dumps(request_).encode()
    if taken:
        assert parse_tokenize(body) == request_
        return
    with pytest.raises(Refusal):
        parse_tokenize(body)
