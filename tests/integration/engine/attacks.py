"""Requests that have hurt a server of vLLM's, or were meant to; `Attack.clean` is the way out."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from typing import Any, Final

from tests.integration.engine.exchange import CHAT, chat, image, picture, text

# Reach the model, the engine or the process in some release from 0.8.5 to 0.32.0.
ROUTES: Final = (
    *("/invocations", "/tokenize", "/detokenize", "/v1/completions", "/v1/chat/completions"),
    *("/v1/responses", "/v1/messages", "/v1/embeddings", "/v1/score", "/score", "/v1/rerank"),
    *("/rerank", "/v2/rerank", "/pooling", "/classify", "/generative_scoring", "/metrics"),
    *("/v1/audio/transcriptions", "/v1/audio/translations", "/v1/realtime", "/version", "/load"),
    *("/ping", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/v1/models"),
    *("/inference/v1/generate", "/cohere/v2/chat", "/server_info", "/start_profile", "/sleep"),
    *("/stop_profile", "/wake_up", "/is_sleeping", "/collective_rpc", "/reset_prefix_cache"),
    *("/reset_mm_cache", "/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/scale_elastic_ep"),
    *("/is_scaling_elastic_ep", "/pause", "/resume", "/init_weight_transfer_engine", "/mcp"),
    *("/update_weights", "/abort_requests", "/tokenizer_info", "/hidden_states", "/static/x", "/"),
)

# Other spellings of the one path that needs no key, and of those that do.
SPELLINGS: Final = (
    *("//v1/models", "/v1//models", "/v1/models/", "/v1/./models", "/health/../v1/models"),
    *(
        "/%761/models",
        "/v1%2Fmodels",
        "/health;/../v1/models",
        "/HEALTH/../v1/models",
        "/V1/models",
    ),
    *(
        "/health/",
        "//health",
        "/health%00",
        "/health%2f..%2fv1/models",
        "/v1/models%20",
        "/health/x",
    ),
    *("http://127.0.0.1/v1/models", "http://x/health/../metrics", "/metrics/", "//metrics", "*"),
    *("/v1/models?x=/health", "/v1/models#/health", "/.//v1/models", "/\\v1/models"),
)

# Of an image's URL, with {sink} for the server that must not be reached.
ADDRESSES: Final = (
    *("{sink}", " {sink}", "\t{sink}", "\n{sink}", "\x00{sink}", "\x1f{sink}", "\u00a0{sink}"),
    *("HTTP://{host}/x", "hTTp://{host}/x", "http:{host}/x", "http:/{host}/x", "http:\\\\{host}/x"),
    *(
        "//{host}/x",
        "ht\ntp://{host}/x",
        "h\ttp://{host}/x",
        "url:{sink}",
        "<{sink}>",
        "blob:{sink}",
    ),
    *(
        "view-source:{sink}",
        "https://{host}/x",
        "ftp://{host}/x",
        "gopher://{host}/_x",
        "ws://{host}/",
    ),
    *(
        "file:///etc/hostname",
        " file:///etc/hostname",
        "file://localhost/etc/hostname",
        "/etc/hostname",
    ),
    *(
        "FILE:///etc/hostname",
        "file:/etc/hostname",
        "../../../etc/hostname",
        "s3://bucket/x",
        "az://x",
    ),
    *("data:{sink}", "data:image/png;base64,{sink}", "data:text/plain,{sink}", "data:,{sink}"),
    *(
        "data:image/png;base64;{sink}",
        "data:image/svg+xml;base64,{svg}",
        "data:image/png;url,{sink}",
    ),
    *(
        "jar:{sink}!/x",
        "http://user@{host}/x",
        "http://127.1:{port}/x",
        "http://2130706433:{port}/x",
    ),
    *("http://[::ffff:127.0.0.1]:{port}/x", "http://0:{port}/x", "http://localhost:{port}/x", ""),
)


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A request that must be refused, with a 4xx."""

    name: str
    body: Any
    path: str = CHAT


def bodies() -> list[Attack]:
    """Return the requests that must be refused though they carry the key."""
    page = image(picture())
    loops = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}x"
    loops += "{% endfor %}" * 3
    guided = {
        "guided_regex": "(((((",
        "guided_json": {"type": "object", "properties": {"a": {"pattern": "(((("}}},
        "guided_choice": ["a"] * 10_000,
        "guided_grammar": "root ::= root root",
        "guided_whitespace_pattern": "(",
        "guided_decoding_backend": "outlines",
        "structured_outputs": {"regex": "((((("},
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
    }
    templates = {
        "chat_template": loops,
        "chat_template_kwargs": {"chat_template": loops, "tokenize": False},
        "documents": [{"title": loops}],
        "add_generation_prompt": True,
        "continue_final_message": True,
    }
    engine = {
        "n": 1_000_000,
        "best_of": 1000,
        "use_beam_search": True,
        "logits_processors": [{"qualname": "os.system", "args": ["id"]}],
        "logit_bias": {"1": 100},
        "prompt_logprobs": 20,
        "echo": True,
        "bad_words": ["a"] * 10_000,
        "allowed_token_ids": [10**12],
        "priority": -(10**9),
        "kv_transfer_params": {"remote_host": "127.0.0.1"},
        "cache_salt": "x",
        "request_id": "x",
        "truncate_prompt_tokens": -1,
        "min_tokens": 10**9,
        "max_tokens": 10**30,
        "stop": ["a"] * 100_000,
        "top_logprobs": 10**6,
        "seed": 10**400,
        "temperature": -1,
        "repetition_penalty": 0,
        "mm_processor_kwargs": {"size": {"height": 10**6}},
        "vllm_xargs": {"ngram_size": 10**9},
        "ec_transfer_params": {},
        "return_tokens_as_token_ids": 5,
    }
    tools = {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"pattern": "(("}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "functions": [{"name": "f"}],
        "parallel_tool_calls": 7,
        "reasoning_effort": "high",
    }
    found = [
        Attack(name=name, body=chat(page, text()) | {name: value})
        for fields in (guided, templates, engine, tools)
        for name, value in fields.items()
    ]
    found += _templates_elsewhere(loops)
    found += _parts()
    found += _images()
    found += _json()
    return found


def _templates_elsewhere(loops: str) -> list[Attack]:
    messages = [{"role": "user", "content": "x"}]
    return [
        Attack(
            name="tokenize with a template",
            path="/tokenize",
            body={"model": "deepseek-ocr", "messages": messages, "chat_template": loops},
        ),
        Attack(
            name="tokenize a chat",
            path="/tokenize",
            body={"model": "deepseek-ocr", "messages": messages},
        ),
        Attack(
            name="tokenize with arguments of a template",
            path="/tokenize",
            body={"prompt": "x", "chat_template_kwargs": {"chat_template": loops}},
        ),
        Attack(name="tokenize 40 MB", path="/tokenize", body={"prompt": "a " * 20_000_000}),
        Attack(
            name="a regex at /invocations",
            path="/invocations",
            body=chat(text()) | {"guided_regex": "((((("},
        ),
    ]


def _parts() -> list[Attack]:
    pickled = base64.b64encode(b"PK\x03\x04 what torch.load would unpack").decode()
    kinds: list[dict[str, Any]] = [
        {"type": "image_embeds", "image_embeds": pickled},
        {"type": "image_embeds", "image_embeds": {"a": pickled}},
        {"image_embeds": pickled},
        {"type": "prompt_embeds", "prompt_embeds": {"data": pickled}},
        {"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64,UklGRg=="}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
        {"type": "image_pil", "image_pil": "x"},
        {"type": "file", "file": {"file_data": "x"}},
        {"type": "image_url", "image_url": {"url": 5}},
        {"type": "image_url", "image_url": None},
        {"type": "image_url"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "uuid": "x"}},
        {"type": "text", "text": {"a": 1}},
        {"type": ["text"], "text": "x"},
        {"type": "refusal", "refusal": "x"},
        {"type": "thinking", "thinking": "x"},
        {},
    ]
    found = [Attack(name=f"a part of {json.dumps(part)[:50]}", body=chat(part)) for part in kinds]
    embeds = {"prompt_embeds": pickled, "model": "deepseek-ocr", "max_tokens": 1}
    found.append(Attack(name="prompt embeds", path="/v1/completions", body=embeds))
    found.append(Attack(name="a role of its own", body=_with_role("__class__")))
    found.append(Attack(name="a tool's message", body=_with_role("tool")))
    found.append(Attack(name="100,000 messages", body=chat() | {"messages": [_MESSAGE] * 100_000}))
    found.append(Attack(name="100,000 parts", body=chat(*[text("a")] * 100_000)))
    return found


_MESSAGE: Final = {"role": "user", "content": "a"}


def _with_role(role: str) -> dict[str, Any]:
    return chat() | {"messages": [{"role": role, "content": "a", "tool_call_id": "x"}]}


def _images() -> list[Attack]:
    bomb = picture(8000, 8000)
    wide = picture(200_000, 1)
    huge = _claiming(picture(), 60_000, 60_000)
    frames = io.BytesIO()
    from PIL import Image

    stills = [Image.new("L", (64, 64), shade) for shade in range(0, 250, 50)]
    stills[0].save(frames, "GIF", save_all=True, append_images=stills[1:])
    whole = picture()
    return [
        Attack(name="twelve pictures of 64 megapixels", body=chat(*[image(bomb)] * 12, text())),
        Attack(name="one picture of 64 megapixels", body=chat(image(bomb), text())),
        Attack(name="two small pictures", body=chat(image(whole), image(whole), text())),
        Attack(name="sixty pictures", body=chat(*[image(whole)] * 60, text())),
        Attack(name="a picture of 200,000 x 1", body=chat(image(wide), text())),
        Attack(name="a header of 3.6 gigapixels", body=chat(image(huge), text())),
        Attack(name="no picture", body=chat(image(b"no picture"), text())),
        Attack(name="an empty picture", body=chat(image(b""), text())),
        Attack(name="a cut picture's header", body=chat(image(whole[:20]), text())),
        Attack(name="an animated picture", body=chat(image(frames.getvalue(), "gif"), text())),
        Attack(name="a TIFF", body=chat(image(picture(kind="TIFF"), "tiff"), text())),
        Attack(name="a BMP", body=chat(image(picture(kind="BMP"), "bmp"), text())),
        Attack(name="a BMP called PNG", body=chat(image(picture(kind="BMP"), "png"), text())),
        Attack(name="a PPM", body=chat(image(b"P5 30000 30000 255\n", "ppm"), text())),
        Attack(name="an EPS", body=chat(image(b"%!PS-Adobe-3.0 EPSF-3.0\n", "eps"), text())),
        Attack(name="an SVG", body=chat(image(_SVG.encode(), "svg+xml"), text())),
        Attack(name="a PDF", body=chat(image(b"%PDF-1.7\n", "pdf"), text())),
        Attack(name="a JPEG 2000", body=chat(image(b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"), text())),
        Attack(name="a FlashPix", body=chat(image(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "fpx"))),
    ]


_SVG: Final = '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/hostname"/></svg>'


def _claiming(png: bytes, width: int, height: int) -> bytes:
    """Return a PNG whose header claims another size."""
    import zlib

    head = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + png[24:29]
    return png[:12] + head + zlib.crc32(head).to_bytes(4, "big") + png[33:]


def _json() -> list[Attack]:
    valid = json.dumps(chat(text())).encode()
    return [
        Attack(name="a hundred thousand brackets", body=b"[" * 100_000),
        Attack(name="a deep object", body=b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        Attack(name="an array", body=b"[]"),
        Attack(name="a number", body=b"1" * 5000),
        Attack(name="a number of 10^400", body=valid[:-1] + b', "seed": 1' + b"0" * 400 + b"}"),
        Attack(name="NaN", body=valid[:-1] + b', "temperature": NaN}'),
        Attack(name="infinity", body=valid[:-1] + b', "top_p": 1e999}'),
        Attack(name="UTF-16", body=valid.decode().encode("utf-16")),
        Attack(name="half a surrogate pair", body=json.dumps(chat(text("\ud800"))).encode()),
        Attack(name="bytes that are no UTF-8", body=valid.replace(b"Free", b"\xff\xfe\xfa")),
        Attack(name="nothing", body=b""),
        Attack(name="a cut object", body=valid[:-9]),
        Attack(name="a million small values", body=chat(text()) | {"stop": [1] * 1_000_000}),
        Attack(name="a field named __proto__", body=chat(text()) | {"__proto__": {"a": 1}}),
        Attack(name="a field with a 0 in its name", body=chat(text()) | {"a\0b": 1}),
        Attack(name="another model's name", body=chat(text()) | {"model": "/etc/passwd"}),
        Attack(name="a prompt longer than the context", body=chat(text("word " * 9000))),
        Attack(name="text of 40 MB", body=chat(text("a " * 20_000_000))),
    ]
