"""Answers of a hostile or merely odd server: to a page, to the list of models, to /tokenize."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.hostile.raw_server import completion, encoded, http_answer, sends

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    Reply = Callable[[socket.socket], None]

_BLOCK = b" " * (1 << 20)


def usage(**changes: object) -> Reply:
    counts: dict[str, object] = {"completion_tokens": 5, "prompt_tokens": 274}
    return sends(encoded(completion(usage=counts | changes)))


def choice(**changes: object) -> Reply:
    made: dict[str, object] = {"message": {"content": "words"}, "finish_reason": "stop"}
    return sends(encoded(completion(choices=[made | changes])))


def body(text: str | bytes, *headers: str, status: str = "200 OK") -> Reply:
    content = text.encode() if isinstance(text, str) else text
    return sends(http_answer(content, *headers, status=status))


def endless(head: bytes, block: bytes = _BLOCK) -> Reply:
    """Send a head, then the same bytes until the client has enough."""

    def reply(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(block)

    return reply


def drip(head: bytes, piece: bytes, seconds: float = 0.3) -> Reply:
    """Send a head, then a piece in each moment: no single read takes long."""

    def reply(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)
            time.sleep(seconds)

    return reply


def bomb() -> bytes:
    """Some 200 KB that gzip makes 200 MB of."""
    packer = zlib.compressobj(wbits=31)
    pieces = [packer.compress(b'{"choices": ["'), *(packer.compress(_BLOCK) for _ in range(200))]
    return b"".join([*pieces, packer.flush()])


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_ENDLESS = _HEAD + b"\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
_GOOD = json.dumps(completion()).encode()
_GZIP = "Content-Encoding: gzip"


def trailers(connection: socket.socket) -> None:
    """A whole body in chunks, with trailers that do not end."""
    connection.sendall(_CHUNKED + b"%x\r\n%s\r\n0\r\n" % (len(_GOOD), _GOOD))
    for number in range(1 << 20):
        connection.sendall(b"X-%d: %s\r\n" % (number, b"a" * 1000))


@dataclass(frozen=True)
class Case:
    """A reply to a page, and how the page ends: its status, and words of the reason."""

    reply: Reply
    said: str
    status: str = "engine-failed"


_API = "is not of the OpenAI API"

PAGES: dict[str, Case] = {
    # Types and ranges
    "tokens null": Case(usage(completion_tokens=None), "usage.completion_tokens: Input should be"),
    "tokens a word": Case(usage(completion_tokens="lots"), "usage.completion_tokens"),
    "tokens a number in quotes": Case(usage(completion_tokens="5"), "usage.completion_tokens"),
    "tokens a fraction": Case(usage(completion_tokens=1.5), "usage.completion_tokens"),
    "tokens a list": Case(usage(completion_tokens=[1]), "usage.completion_tokens"),
    "tokens true": Case(usage(completion_tokens=True), "usage.completion_tokens"),
    "tokens negative": Case(usage(completion_tokens=-7), "greater than or equal to 0"),
    "tokens of 400 digits": Case(usage(completion_tokens=10**400), "less than or equal to"),
    "tokens of 5000 digits": Case(
        body(_GOOD.replace(b'"completion_tokens": 5', b'"completion_tokens": 1' + b"0" * 5000)),
        "it is not JSON",
    ),
    "prompt tokens NaN": Case(usage(prompt_tokens=float("nan")), "usage.prompt_tokens"),
    "prompt tokens infinite": Case(usage(prompt_tokens=float("inf")), "usage.prompt_tokens"),
    "no usage": Case(sends(encoded({"choices": completion()["choices"]})), "usage: Field required"),
    "usage a list": Case(sends(encoded(completion(usage=[]))), "usage: Input should be"),
    "no choices": Case(sends(encoded(completion(choices=[]))), "choices: List should have at"),
    "choices null": Case(sends(encoded(completion(choices=None))), "choices: Input should be"),
    "a thousand choices": Case(
        sends(encoded(completion(choices=[completion()["choices"]] * 1000))), "choices"
    ),
    "text a number": Case(choice(message={"content": 5}), "content: Input should be a valid str"),
    "text a list": Case(choice(message={"content": ["a"]}), "content"),
    "message null": Case(choice(message=None), "choices.0.message"),
    "no finish reason": Case(choice(finish_reason=None), "finish_reason: Input should be"),
    "another finish reason": Case(choice(finish_reason="abort"), "ended it with 'abort'"),
    "our own finish reason": Case(choice(finish_reason="refused"), "ended it with 'refused'"),
    "a finish reason with escapes": Case(
        choice(finish_reason="\x1b]0;pwned\x07\u202e"), r"\x1b]0;pwned\x07\u202e"
    ),
    "null text": Case(choice(message={"content": None}), "has no text", "empty"),
    "half a character": Case(choice(message={"content": "a\ud800b"}), "", "ok"),
    "an unknown key": Case(sends(encoded(completion(extra={"a": [1]}))), "", "ok"),
    # JSON
    "a list": Case(body("[]"), _API),
    "null": Case(body("null"), _API),
    "empty": Case(body(""), "it is not JSON"),
    "half of JSON": Case(body(_GOOD[:40]), "it is not JSON"),
    "deep": Case(body("[" * 1_000_000), "it is nested too deeply"),
    "deep and closed": Case(body('{"a":' * 50_000 + "1" + "}" * 50_000), "it is nested too deep"),
    "a million lists": Case(body("[" + "[]," * 600_000 + "[]]"), _API),
    "not UTF-8": Case(body(b'{"choices": "\xff\xfe"}'), "it is not UTF-8"),
    "HTML": Case(body("<html>Log in</html>", "Content-Type: text/html"), "it is not JSON"),
    "server-sent events": Case(
        body(b"data: " + _GOOD + b"\n\n", "Content-Type: text/event-stream"), "it is not JSON"
    ),
    "JSON as text": Case(body(_GOOD, "Content-Type: image/png"), "", "ok"),
    # Sizes
    "endless body": Case(endless(_ENDLESS), "the answer has more than 2097152 bytes"),
    "endless chunks": Case(
        endless(_CHUNKED, b"10000\r\n" + b" " * 0x10000 + b"\r\n"), "the answer has more than"
    ),
    "chunks of one byte": Case(endless(_CHUNKED, b"1\r\n \r\n" * 10_000), "more than 20000 pieces"),
    "a length of 10^12": Case(
        endless(_HEAD + b"Content-Length: 1000000000000\r\n\r\n"), "more than 2097152 bytes"
    ),
    "gzip bomb": Case(body(bomb(), _GZIP), "the answer is compressed (gzip)"),
    "gzip bomb of an error": Case(
        body(bomb(), _GZIP, status="500 Oops"), "the answer is compressed (gzip)"
    ),
    "gzip": Case(body(gzip.compress(_GOOD), _GZIP), "the answer is compressed (gzip)"),
    "endless error": Case(
        endless(b"HTTP/1.1 400 Bad\r\n\r\n", b"a" * 65536), "the server answered HTTP 400: aaa"
    ),
    "endless server error": Case(
        endless(b"HTTP/1.1 500 Bad\r\n\r\n", b"a" * 65536), "the server answered HTTP 500: aaa"
    ),
    "endless header": Case(endless(b"HTTP/1.1 200 OK\r\nX: ", b"a" * 65536), "did not answer"),
    "endless headers": Case(endless(b"HTTP/1.1 200 OK\r\n", b"X: a\r\n" * 9999), "did not answer"),
    "endless trailers": Case(trailers, "did not answer"),
    "endless interim answers": Case(
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), "interim answers are too many"
    ),
    "endless status": Case(endless(b"HTTP/1.1 200 ", b"a" * 65536), "did not answer"),
    # Time
    "silence": Case(lambda _: time.sleep(60), "the answer was not complete after"),
    "drip of a body": Case(drip(_ENDLESS, b" "), "the answer was not complete after"),
    "drip of chunks": Case(drip(_CHUNKED, b"1\r\n \r\n"), "the answer was not complete after"),
    "drip of headers": Case(
        drip(b"HTTP/1.1 200 OK\r\n", b"X: a\r\n"), "the answer was not complete after"
    ),
    "drip of interim answers": Case(
        drip(b"", b"HTTP/1.1 102 Wait\r\n\r\n"), "the answer was not complete after"
    ),
    # HTTP
    "not HTTP": Case(sends(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "did not answer"),
    "a closed connection": Case(sends(b""), "did not answer"),
    "half an answer": Case(sends(http_answer(_GOOD)[:-20]), "did not answer"),
    "two lengths": Case(
        sends(_HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + _GOOD), "did not answer"
    ),
    "a negative length": Case(
        sends(_HEAD + b"Content-Length: -5\r\n\r\n" + _GOOD), "did not answer"
    ),
    "a chunk of no size": Case(sends(_CHUNKED + b"zz\r\n"), "did not answer"),
    "a header with an escape": Case(
        sends(b"HTTP/1.1 200 OK\r\nX\x1b[2J: a\r\n\r\n" + _GOOD), "did not answer"
    ),
    "another protocol": Case(
        sends(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        "did not answer",
    ),
    "an answer and a half": Case(sends(http_answer(_GOOD) * 2), "", "ok"),
    "HTTP/1.0": Case(sends(b"HTTP/1.0 200 OK\r\n\r\n" + _GOOD), "", "ok"),
    "no content": Case(body("", status="204 No Content"), "it is not JSON"),
    "status 999": Case(body("odd", status="999 Odd"), "HTTP 999: odd"),
    # Errors
    "an error with escapes": Case(
        body('{"error": {"message": "\\u001b[2Jpwned\\u202e"}}', status="400 Bad"),
        r"HTTP 400: \x1b[2Jpwned\u202e",
    ),
    "an error of odd types": Case(
        body('{"error": {"message": {"a": [1]}}}', status="400 Bad"), "HTTP 400: {"
    ),
    "a deep error": Case(body("[" * 500_000, status="400 Bad"), "HTTP 400: [[[["),
    "a redirect": Case(
        body("", "Location: http://127.0.0.1:1/x", status="307 Away"), "HTTP 307, a redirect"
    ),
    "a redirect that keeps nothing": Case(body("", status="302 Found"), "HTTP 302, a redirect"),
}

# The server is left alone for a while, and with it all other pages.
BUSY: dict[str, Case] = {
    "busy for years": Case(
        body("", "Retry-After: 999999999", status="503 Busy"), "HTTP 503: no message"
    ),
    "busy for 10^400 s": Case(
        body("", "Retry-After: 1" + "0" * 400, status="429 Busy"), "HTTP 429: no message"
    ),
    "busy until the year 9999": Case(
        body("", "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", status="503 Busy"), "HTTP 503"
    ),
    "busy for nonsense": Case(
        body("", "Retry-After: \u0661\u0662".encode().decode("latin-1"), status="503 Busy"),
        "HTTP 503",
    ),
    "busy since before": Case(body("", "Retry-After: -5", status="503 Busy"), "HTTP 503"),
    "a bad gateway": Case(body("<html>", status="502 Bad Gateway"), "HTTP 502: <html>"),
}


@dataclass(frozen=True)
class Refused:
    """Replies to the questions before a run, with its exit code and words of its message."""

    replies: dict[str, Reply]
    said: str
    code: int = 7


def models(content: Any) -> dict[str, Reply]:
    return {"models": sends(encoded(content))}


def tokens(reply: Reply) -> dict[str, Reply]:
    return {"tokenize": reply}


_CARD = {"id": "deepseek-ocr", "max_model_len": 4096}
_NO_SERVER = "is no OpenAI-compatible server"
_NO_TOKENS = "gives no tokens at /tokenize"

QUESTIONS: dict[str, Refused] = {
    "id a number": Refused(models({"data": [{"id": 5}]}), "data.0.id: Input should be"),
    "id empty": Refused(models({"data": [{"id": ""}]}), "data.0.id"),
    "id of a megabyte": Refused(models({"data": [{"id": "a" * 1_000_000}]}), "data.0.id"),
    "id with escapes": Refused(
        models({"data": [{"id": "\x1b]0;a\x07"}, {"id": "b"}]}), r"serves \x1b]0;a\x07, b", 2
    ),
    "context a word": Refused(models({"data": [_CARD | {"max_model_len": "lots"}]}), "max_model"),
    "context true": Refused(models({"data": [_CARD | {"max_model_len": True}]}), "max_model_len"),
    "context negative": Refused(models({"data": [_CARD | {"max_model_len": -1}]}), "max_model_len"),
    "context of 400 digits": Refused(
        models({"data": [_CARD | {"max_model_len": 10**400}]}), "max_model_len"
    ),
    "no models": Refused(models({"data": []}), "serves no model", 2),
    "data null": Refused(models({"data": None}), "data: Input should be"),
    "a list": Refused(models([1]), _NO_SERVER),
    "deep": Refused({"models": body("[" * 1_000_000)}, "nested too deeply"),
    "HTML": Refused({"models": body("<html>")}, _NO_SERVER),
    "not found": Refused({"models": body("<html>", status="404 No")}, "HTTP 404: <html>"),
    "a redirect": Refused(
        {"models": body("", "Location: http://10.0.0.1/", status="301 Moved")}, "redirects to"
    ),
    "gzip bomb": Refused({"models": body(bomb(), _GZIP)}, "compressed (gzip)"),
    "endless": Refused({"models": endless(_ENDLESS)}, "more than 2097152 bytes"),
    "drip": Refused({"models": drip(_ENDLESS, b" ")}, "not complete after 10 s"),
    "not HTTP": Refused({"models": sends(b"220 smtp ready\r\n")}, "does not answer"),
    "tokens not JSON": Refused(tokens(body("<html>")), _NO_TOKENS),
    "tokens missing": Refused(tokens(body("{}")), "tokens: Field required"),
    "tokens words": Refused(tokens(body('{"tokens": ["a", "b"]}')), "tokens.0"),
    "tokens negative": Refused(tokens(body('{"tokens": [-1, 10]}')), "tokens.0"),
    "tokens of 400 digits": Refused(tokens(body('{"tokens": [1, 1%s]}' % ("0" * 400))), "tokens.1"),
    "tokens a million": Refused(tokens(body(json.dumps({"tokens": [1] * 500_000}))), "tokens"),
    "tokens endless": Refused(tokens(endless(_ENDLESS)), "more than 2097152 bytes"),
    "tokens closed": Refused(tokens(sends(b"")), _NO_TOKENS),
    "tokens silence": Refused(tokens(lambda _: time.sleep(60)), "not complete after 10 s"),
}
