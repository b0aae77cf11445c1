"""Random and mutated requests, the same for the same seed: bytes, JSON, headers, paths, images."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.integration.engine import attacks
from tests.integration.engine.exchange import CHAT, bearer, chat, image, picture, request, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Headers = list[tuple[str, str]]

METHODS: Final = (
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"),
    *("get", "G\0T", "PRI", "A" * 300, ""),
)
# Fields that some release of vLLM reads, beside those of the attacks.
FIELDS: Final = (
    *("model", "messages", "prompt", "max_tokens", "max_completion_tokens", "stream", "stop", "n"),
    *("stream_options", "temperature", "top_p", "top_k", "min_p", "seed", "logprobs", "user"),
    *("top_logprobs", "echo", "suffix", "guided_regex", "guided_json", "structured_outputs"),
    *("chat_template", "chat_template_kwargs", "mm_processor_kwargs", "vllm_xargs", "tools"),
    *("response_format", "priority", "request_id", "media_io_kwargs", "lora_request", "input"),
    *("presence_penalty", "repetition_penalty", "skip_special_tokens", "detail", "role", "type"),
)
_STREAM: Final = 0.1  # of the requests that are cut, or sent in pieces


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A request as bytes, in the pieces in which it is sent."""

    kind: str
    pieces: tuple[bytes, ...]
    cut: bool = False


def attempts(seed: int, count: int, key: str) -> Iterator[Attempt]:
    """Yield requests; most carry the key, so that they come past the first check."""
    generator = Mutator(random.Random(seed), key)
    for _ in range(count):
        yield generator.attempt()


class Mutator:
    """Makes one request after another.

    Args:
        chance: its state is all that a request depends on.
        key: the server's.
    """

    def __init__(self, chance: random.Random, key: str) -> None:
        self.chance = chance
        self.key = key
        page = picture(640, 640)
        self.pictures = [page, picture(64, 64, "JPEG"), picture(48, 64, "WEBP", "RGB")]
        self.attacks = attacks.bodies()
        # By how often each is wanted; a valid one costs the engine a second.
        self.kinds: list[tuple[Callable[[], Attempt], int]] = [
            (self.valid, 3),
            (self.damaged_bytes, 22),
            (self.mutated_json, 30),
            (self.damaged_image, 15),
            (self.odd_headers, 15),
            (self.odd_path, 8),
            (self.random_bytes, 4),
            (self.known_attack, 3),
        ]

    def attempt(self) -> Attempt:
        """Return the next request."""
        makers, weights = zip(*self.kinds, strict=True)
        make: Callable[[], Attempt] = self.chance.choices(makers, weights)[0]
        made = make()
        if self.chance.random() > _STREAM:
            return made
        whole = b"".join(made.pieces)
        if self.chance.random() < 0.5:
            end = self.chance.randrange(len(whole)) if whole else 0
            return Attempt(kind=f"{made.kind}, cut", pieces=(whole[:end],), cut=True)
        return Attempt(kind=f"{made.kind}, in pieces", pieces=tuple(self._split(whole)))

    def valid(self) -> Attempt:
        """Return a request that is answered."""
        return self._whole("valid", "POST", CHAT, json.dumps(self._chat()).encode())

    def damaged_bytes(self) -> Attempt:
        """Return a request whose body has wrong, missing or additional bytes."""
        body = bytearray(json.dumps(self._body(CHAT)).encode())
        for _ in range(self.chance.randint(1, 20)):
            place = self.chance.randrange(len(body))
            match self.chance.randrange(5):
                case 0:
                    body[place] ^= 1 << self.chance.randrange(8)
                case 1:
                    del body[place : place + self.chance.randint(1, 50)]
                case 2:
                    body[place:place] = self.chance.randbytes(self.chance.randint(1, 50))
                case 3:
                    body[place:place] = body[place : place + 50] * self.chance.randint(1, 20)
                case _:
                    body[place : place + 1] = self.chance.choice(
                        (
                            b"\0",
                            b"\xff",
                            b'"',
                            b"\\u0000",
                            b"\\ud800",
                            b"{",
                            b"]",
                            b"[" * 9999,
                            b"\r\n\r\n",
                        )
                    )
            if not body:
                break
        return self._whole("damaged bytes", "POST", self._route(), bytes(body))

    def mutated_json(self) -> Attempt:
        """Return a request whose JSON has other values, fields or depth."""
        path = self._route()
        body = self._body(path)
        for _ in range(self.chance.randint(1, 4)):
            self._mutate(body)
        return self._whole("mutated JSON", "POST", path, _dumped(body))

    def damaged_image(self) -> Attempt:
        """Return a request whose image is cut, flipped, of another format or not encoded well."""
        data = bytearray(self.chance.choice(self.pictures))
        match self.chance.randrange(4):
            case 0:
                del data[self.chance.randrange(len(data)) :]
            case 1:
                for _ in range(self.chance.randint(1, 30)):
                    data[self.chance.randrange(min(len(data), 200))] = self.chance.randrange(256)
            case 2:
                place = self.chance.randrange(len(data))
                data[place:place] = self.chance.randbytes(self.chance.randint(1, 2000))
            case _:
                data = bytearray(picture(64, 64, self.chance.choice(("TIFF", "BMP", "TGA", "PCX"))))
        part = image(bytes(data), self.chance.choice(("png", "jpeg", "gif", "x", "svg+xml")))
        if self.chance.random() < 0.3:
            url = part["image_url"]["url"]
            place = self.chance.randrange(len(url))
            odd = self.chance.choice((" ", "\n", "%41", "=", "é", ";", ",", "\0", "http://x/"))
            part["image_url"]["url"] = url[:place] + odd + url[place:]
        return self._whole("damaged image", "POST", CHAT, _dumped(chat(part, text())))

    def odd_headers(self) -> Attempt:
        """Return a request with headers that are wrong, too many, or contradict each other."""
        body = _dumped(chat(text()))
        pairs: Headers = [*self._key_header()]
        for _ in range(self.chance.randint(1, 3)):
            pairs += self._odd_header(body)
        if ("Transfer-Encoding", "chunked") in pairs:
            body = self._chunked(body)
        return Attempt(kind="odd headers", pieces=(request("POST", CHAT, body, pairs),))

    def odd_path(self) -> Attempt:
        """Return a request of another method or path."""
        spelled = (*attacks.ROUTES, *attacks.SPELLINGS)
        path = self.chance.choice(spelled).replace(" ", "%20")
        if self.chance.random() < 0.5:
            place = self.chance.randrange(len(path) + 1)
            odd = ("%00", "%", "/", "..", "?", "#", "%2e%2e/", "é", "A" * 9000, "\\", ";a=b", "%zz")
            path = path[:place] + self.chance.choice(odd) + path[place:]
        body = _dumped(chat(text())) if self.chance.random() < 0.5 else b""
        return self._whole("odd path", self.chance.choice(METHODS), path, body)

    def random_bytes(self) -> Attempt:
        """Return bytes that are no HTTP."""
        size = self.chance.choice((1, 10, 1000, 20_000))
        start = self.chance.choice(
            (b"", b"GET ", b"POST / HTTP/1.1\r\n", b"\x16\x03\x01", b"PRI * ")
        )
        return Attempt(
            kind="random bytes", pieces=(start + self.chance.randbytes(size) + b"\r\n\r\n",)
        )

    def known_attack(self) -> Attempt:
        """Return one of the attacks that are known, of a size that thousands of can be sent."""
        while True:
            attack = self.chance.choice(self.attacks)
            body = attack.body if isinstance(attack.body, bytes) else _dumped(attack.body)
            if len(body) < 1 << 20:
                return self._whole("known attack", "POST", attack.path, body)

    def _whole(self, kind: str, method: str, path: str, body: bytes) -> Attempt:
        return Attempt(kind=kind, pieces=(request(method, path, body, self._key_header()),))

    def _key_header(self) -> Headers:
        key = (
            self.key
            if self.chance.random() < 0.95
            else self.chance.choice(("", "x", self.key[:-1]))
        )
        return list(bearer(key).items())

    def _route(self) -> str:
        return self.chance.choice((CHAT, CHAT, CHAT, "/tokenize"))

    def _chat(self) -> dict[str, Any]:
        parts = [text(self.chance.choice(("Free OCR.", "a", "<image>", "\n")))]
        if self.chance.random() < 0.3:
            parts.insert(0, image(self.pictures[0]))
        return chat(*parts, stream=self.chance.random() < 0.3)

    def _body(self, path: str) -> dict[str, Any]:
        return self._chat() if path == CHAT else {"model": "deepseek-ocr", "prompt": "Free OCR."}

    def _mutate(self, body: dict[str, Any]) -> None:
        holder = self._holder(body)
        if isinstance(holder, dict):
            names = [*holder, self.chance.choice(FIELDS)]
            name = self.chance.choice(names)
            match self.chance.randrange(4):
                case 0:
                    holder.pop(name, None)
                case 1 if name in holder:
                    holder[self.chance.choice(FIELDS)] = copy.deepcopy(holder[name])
                case 2 if name in holder:
                    holder[name] = [holder[name]] * self.chance.choice((0, 1, 2, 50))
                case _:
                    holder[name] = self._value()
        elif holder:
            place = self.chance.randrange(len(holder))
            match self.chance.randrange(3):
                case 0:
                    del holder[place]
                case 1:
                    holder[place:place] = [copy.deepcopy(holder[place])] * self.chance.randint(1, 9)
                case _:
                    holder[place] = self._value()

    def _holder(self, value: dict[str, Any] | list[Any]) -> dict[str, Any] | list[Any]:
        """Return an object or array somewhere in a value."""
        inside = value.values() if isinstance(value, dict) else value
        below = [item for item in inside if isinstance(item, dict | list) and item]
        if not below or self.chance.random() < 0.3:
            return value
        return self._holder(self.chance.choice(below))

    def _value(self) -> Any:
        makers: tuple[Callable[[], Any], ...] = (
            lambda: None,
            lambda: self.chance.choice((True, False)),
            lambda: self.chance.choice((0, 1, -1, 2**31, 2**63, -(2**63), 10**30, 10**400)),
            lambda: self.chance.choice((0.5, -0.0, 1e308, float("nan"), float("inf"), 5e-324)),
            lambda: self.chance.choice(
                ("", "x", "\0", "\ud800", "null", "{{ 7 * 7 }}", "../../etc")
            ),
            lambda: "é" * self.chance.choice((1, 100, 70_000)),
            lambda: "".join(map(chr, self.chance.choices(range(0x3000), k=20))),
            lambda: [self._value() for _ in range(self.chance.randint(0, 3))],
            lambda: {self.chance.choice(FIELDS): self._value()},
            lambda: _nested(self.chance.choice((10, 100))),
        )
        return self.chance.choice(makers)()

    def _odd_header(self, body: bytes) -> Headers:
        choices: tuple[Headers, ...] = (
            [("Content-Length", str(self.chance.choice((0, 1, len(body) - 1, 10**12, -1))))],
            [("Content-Length", str(len(body))), ("Content-Length", "1")],
            [("Content-Length", "0x10")],
            [("Transfer-Encoding", "chunked")],
            [("Transfer-Encoding", "chunked"), ("Content-Length", str(len(body)))],
            [("Transfer-Encoding", "gzip, chunked")],
            [
                (
                    "Content-Type",
                    self.chance.choice(("text/plain", "", "multipart/form-data", "a" * 999)),
                )
            ],
            [("Content-Encoding", self.chance.choice(("gzip", "br", "identity", "x")))],
            [
                (
                    "Authorization",
                    self.chance.choice(("", "Bearer", "Basic eDp4", "bearer x", "\xff")),
                )
            ],
            [
                (
                    "Host",
                    self.chance.choice(("", "evil.example", "127.0.0.1:99999", "[::1", "a" * 999)),
                )
            ],
            [("Origin", "http://evil.example"), ("Access-Control-Request-Method", "POST")],
            [("Expect", "100-continue")],
            [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")],
            [("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")],
            [("X-Request-Id", self.chance.choice(("same", "a" * 9000, "\t")))],
            [("X-Forwarded-For", "127.0.0.1"), ("X-Original-URL", "/invocations")],
            [("Cookie", "a" * self.chance.choice((10, 5000, 20_000)))],
            [(f"X-{number}", "a") for number in range(self.chance.choice((10, 70, 2000)))],
            [("Range", "bytes=0-,0-,0-"), ("Accept", "*/*;q=" + "9" * 500)],
            [("Bad Header", "x"), (":path", "/x")],
        )
        return self.chance.choice(choices)

    def _chunked(self, body: bytes) -> bytes:
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in self._split(body) if part)
        end = self.chance.choice(
            (b"0\r\n\r\n", b"", b"-1\r\n\r\n", b"ffffffffffffffff\r\nx", b"zz\r\n")
        )
        return chunks + end

    def _split(self, whole: bytes) -> list[bytes]:
        places = sorted(
            self.chance.randrange(len(whole) + 1) for _ in range(self.chance.randint(1, 6))
        )
        return [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]


def _nested(depth: int) -> Any:
    value: Any = "x"
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()
