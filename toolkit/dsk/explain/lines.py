"""Lines of a log, read in blocks of bounded memory and freed of colours and prefixes.

A prefix is a timestamp, a worker's name, the number of a build step.
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
# Bytes of an over-long line that the next block repeats, so that no match is cut in two.
OVERLAP: Final = 1 << 10
_HINT: Final = "give dsk explain a text log, or pipe it in: some-command 2>&1 | dsk explain -"


@dataclass(frozen=True, kw_only=True)
class LogBlock:
    """Whole lines of a log, or a part of one over-long line."""

    data: bytes
    first_line: int
    """Number of the block's first line, from 1."""


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line's message, without the prefixes of the tools that passed it on."""

    text: str
    full: str
    """Line with its prefixes, but without colours."""
    level: str
    """DEBUG, INFO, WARNING, ERROR or CRITICAL, from the line's own prefix; else empty."""

    @property
    def source(self) -> str:
        """Process that wrote the line, as its prefix names it; empty if it names none."""
        prefix = self.full[: len(self.full) - len(self.text)]
        return " ".join(_SOURCE.findall(prefix))


def blocks(stream: IO[bytes]) -> Iterator[LogBlock]:
    """Yield the log in blocks of about 1 MiB that end with a line, unless a line is longer.

    Raises:
        InputUnreadable: the bytes are not a text.
    """
    rest, number = b"", 1
    for piece in _as_utf8(stream):
        rest += piece
        end = rest.rfind(b"\n") + 1
        if end:
            yield LogBlock(data=rest[:end], first_line=number)
            number += rest.count(b"\n", 0, end)
            rest = rest[end:]
        if len(rest) >= BLOCK:
            yield LogBlock(data=rest, first_line=number)
            rest = rest[-OVERLAP:]
    if rest:
        yield LogBlock(data=rest, first_line=number)


def _as_utf8(stream: IO[bytes]) -> Iterator[bytes]:
    first = stream.read(BLOCK)
    # PowerShell's > writes UTF-16 with a byte order mark.
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")
        while first:
            yield decoder.decode(first).encode("utf-8", "replace")
            first = stream.read(BLOCK)
        return
    # A log may contain a stray NUL, from a file that was truncated while it was written.
    if b"\0" in first[:4096] and first[:4096].count(b"\0") * 20 > len(first[:4096]):
        what = "the input is not a text: it contains NUL bytes"
        raise InputUnreadable(what, do=_HINT)
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
            r"(?<!.)\d{1,4}: {1,40}(?=\S)",  # srun --label
            r"#\d{1,4} (?:\d{1,6}\.\d{1,3} )?",  # docker buildx
            r"(?<!.)\d{1,6}\.\d{3} ",  # the end of a failed step that buildx repeats
            r"[\w.-]{1,60} {1,30}\| ",  # docker compose
            r"\[pod/[^\]]{1,160}\] ",  # kubectl logs --prefix
            # vLLM's and ray's workers
            (
                r"\((?:raylet|autoscaler \+\w{1,12}|(?:[A-Za-z_][\w:.-]{0,80},? ?)?"
                r"(?:[a-z_]{1,12}=\w{1,12} )?(?:pid|ip)=[^)]{1,60})\) "
            ),
            # vLLM's own; its releases before 0.8 wrote no opening bracket
            rf"(?:{_LEVELS}) \d\d-\d\d \d\d:\d\d:\d\d \[?[^\] ]{{1,80}}\] ?",
            rf"\[?(?:{_LEVELS})(?::\w{{1,30}})?\]?[ :|-]{{1,8}}",
            r"##\[(?:error|warning|debug)\]",  # GitHub Actions
            r"\[?rank\d{1,4}\]?: ?",  # torch
            r"[DIWEF]\d{4} \d\d:\d\d:\d\d\.\d{1,9} +\d{1,8} [^\]]{1,120}\] ",  # glog, torch
            r"(?:stderr|stdout) [FP] ",  # Kubernetes' own log files
            # journald and syslog, also with the month's name in Chinese or Japanese
            (
                r"(?:[A-Z][a-z]{2}|\d{1,2}[\u6708]) {1,2}\d{1,2} \d\d:\d\d:\d\d [\w.-]{1,60} "
                r"[\w./@-]{1,60}(?:\[\d{1,8}\])?: "
            ),
            r"[\w.-]{1,60} [\w./@-]{1,60}\[\d{1,8}\]: ",  # journalctl -o short-iso
            r"[\w.]{1,80}:[\w<>]{1,60}:\d{1,6} - ",  # loguru
            r"[-|>] ",
            # boxes and arrows of rich, uv and pip
            r"(?:[\u2502\u2503\u00d7\u276f\u2771]|[\u256d\u2570\u251c]\u2500[\u25b6>]?) {0,8}",
            rf"(?!LLVM )[\w.]{{3,80}} (?:\d{{1,8}} )?(?:[-|] ?)?(?=(?:{_LEVELS})\b)",
        )
    )
)
# Workers of vLLM and ray, ranks, containers, pods and processes, within a line's prefixes.
_SOURCE: Final = re.compile(
    r"\([A-Za-z][^)]{0,120}\)|\(pid=[^)]{1,60}\)|rank\d{1,4}|[\w.-]{1,60}(?= {1,30}\| )"
    r"|\[pod/[^\]]{1,160}\]"
    r"|^\d{1,4}(?=: )|#\d{1,4}(?= )|[\w./@-]{1,60}\[\d{1,8}\](?=:)"
)
_LEVEL: Final = re.compile(
    rf"\b(?:{_LEVELS})\b|(?<=##\[)(?:error|warning|debug)|\b[DIWE](?=\d{{4}} \d\d:)"
)
_SPELLED: Final = {"WARN": "WARNING", "W": "WARNING", "I": "INFO", "D": "DEBUG", "E": "ERROR"}
_MOST_PREFIXES: Final = 8


def clean(raw: bytes) -> LogLine:
    """Return a line's message and level, with typographic and escaped quotes made plain."""
    text = raw.decode("utf-8", "replace")
    text = _COLOUR.sub("", text) if "\x1b" in text else text
    if "\\" in text:
        text = text.replace("\\'", "'").replace('\\"', '"')
    text = text if text.isascii() else text.translate(_QUOTES)
    text = text.replace("`", "'").replace("\t", " ").replace("\r", " ").strip()
    text = text.rstrip("\u2502 ") if text.endswith("\u2502") else text  # a box drawn by rich
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
    return LogLine(text=text[end:], full=text, level=_SPELLED.get(name, name))
