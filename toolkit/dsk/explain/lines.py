"""Reads a log as blocks of whole lines in bounded memory, and takes from a line what is not its
message: colours, timestamps, worker names, build step numbers.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from dsk.errors import InputUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK: Final = 1 << 20
OVERLAP: Final = 1024
"""Bytes of an over-long line that are seen again with the next block, so nothing is cut in two."""
_ASK: Final = "give dsk explain a text log, or pipe it in: some-command 2>&1 | dsk explain -"


@dataclass(frozen=True, kw_only=True)
class Block:
    """Some whole lines of a log, or a part of one over-long line."""

    data: bytes
    first_line: int
    """The number of the block's first line, from 1."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line's message, without what the tools around it put before it."""

    text: str
    full: str
    """The line with its prefixes, but without colours."""
    level: str
    """DEBUG, INFO, WARNING, ERROR or CRITICAL, as the line's own prefix says; else empty."""


def blocks(stream: IO[bytes]) -> Iterator[Block]:
    """The log in blocks of about 1 MiB that end with a line, if its lines are not longer than that.

    UTF-16, which Windows shells write, is told by its byte order mark.

    Raises:
        InputUnreadable: the bytes are not a text.
    """
    rest, number = b"", 1
    for piece in _as_utf8(stream):
        rest += piece
        end = rest.rfind(b"\n") + 1
        if end:
            yield Block(data=rest[:end], first_line=number)
            number += rest.count(b"\n", 0, end)
            rest = rest[end:]
        if len(rest) >= BLOCK:
            yield Block(data=rest, first_line=number)
            rest = rest[-OVERLAP:]
    if rest:
        yield Block(data=rest, first_line=number)


def _as_utf8(stream: IO[bytes]) -> Iterator[bytes]:
    first = stream.read(BLOCK)
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")
        while first:
            yield decoder.decode(first).encode("utf-8", "replace")
            first = stream.read(BLOCK)
        return
    if b"\0" in first[:4096] and first[:4096].count(b"\0") * 20 > len(first[:4096]):
        what = "the input is not a text: it holds NUL bytes"
        raise InputUnreadable(what, do=_ASK)
    while first:
        yield first
        first = stream.read(BLOCK)


_COLOUR: Final = re.compile(r"\x1b(?:\[[0-9;?]{0,16}[A-Za-z]|\][^\x07\x1b]{0,80}\x07?|[()][AB0])")
_QUOTES: Final = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'})
_STAMP: Final = r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
_LEVELS: Final = "DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL"
_PREFIX: Final = re.compile(
    "|".join(
        (
            rf"\[?{_STAMP}\]?[ :]{{0,2}}",  # kubectl, GitHub Actions, Python logging
            r"#\d{1,4} (?:\d{1,6}\.\d{1,3} )?",  # docker buildx
            r"[\w.-]{1,60} {1,30}\| ",  # docker compose
            # vLLM's and ray's workers
            r"\([A-Za-z_]\w{0,60},? ?(?:[a-z_]{1,12}=\w{1,12} )?(?:pid|ip)=[^)]{1,60}\) ",
            rf"(?:{_LEVELS}) \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]{{1,80}}\] ?",  # vLLM's own
            rf"\[?(?:{_LEVELS})(?::\w{{1,30}})?\]?[ :|-]{{1,8}}",
            r"##\[(?:error|warning|debug)\]",  # GitHub Actions
            r"\[?rank\d{1,4}\]?: ?",  # torch
            r"[DIWEF]\d{4} \d\d:\d\d:\d\d\.\d{1,9} +\d{1,8} [^\]]{1,120}\] ",  # glog, torch
            r"(?:stderr|stdout) [FP] ",  # Kubernetes' own log files
            r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w.-]{1,60} [\w./-]{1,60}(?:\[\d{1,8}\])?: ",
            r"[-|>] ",
            rf"[\w.]{{3,80}} (?:\d{{1,8}} )?(?:[-|] ?)?(?=(?:{_LEVELS})\b)",
        )
    )
)
_LEVEL: Final = re.compile(
    rf"\b(?:{_LEVELS})\b|(?<=##\[)(?:error|warning|debug)|\b[DIWE](?=\d{{4}} \d\d:)"
)
_SPELLED: Final = {"WARN": "WARNING", "W": "WARNING", "I": "INFO", "D": "DEBUG", "E": "ERROR"}
_MOST_PREFIXES: Final = 8


def clean(raw: bytes) -> Line:
    """A line's message and level; typographic and escaped quotes become plain ones."""
    text = raw.decode("utf-8", "replace")
    text = _COLOUR.sub("", text) if "\x1b" in text else text
    if "\\" in text:
        text = text.replace("\\'", "'").replace('\\"', '"')
    text = text if text.isascii() else text.translate(_QUOTES)
    text = text.replace("`", "'").replace("\t", " ").replace("\r", " ").strip()
    end = 0
    for _ in range(_MOST_PREFIXES):
        match = _PREFIX.match(text, end)
        if match is None or match.end() == end:
            break
        end = match.end()
        while text.startswith(" ", end):
            end += 1
    level = _LEVEL.search(text, 0, end) if end else None
    name = level[0].upper() if level else ""
    return Line(text=text[end:], full=text, level=_SPELLED.get(name, name))
