"""Neutralise everything in a model's text that could act in a reader's browser.

A page may have any text printed on it, so the model may write any: scripts, pictures fetched from
elsewhere, links that run. Only HTML that formats text is kept, without attributes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# Linear time: no alternative backtracks over more than 300 characters.
_ACTIVE: Final = re.compile(
    r"""
    (?P<kept> <(?P<name>b|em|i|s|strong|sub|sup|u)>[^<>\n]{0,300}+</(?P=name)> | <br\ ?/?> )
  | (?P<slashes> \\\\ )
  | (?P<math> \\[()\[\]] )
  | (?P<less> <(?=[a-z/!?]) )
  | (?P<image> !(?=\[) )
  | (?P<link> \](?=\(\s*+<?(?!https?:|mailto:)[^\s():&\\]*+[:&\\]) )
  | (?P<definition> \](?=:\s*+<?[^\s:&\\]*+[:&\\]) )
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_DROPPED: Final = re.compile(r"</?center>", re.IGNORECASE)
_FENCE: Final = re.compile(r"(`{3,}+|~{3,}+)([^\n`]*)")


def prose(text: str) -> str:
    """Return text outside of code as harmless Markdown."""
    in_math = False

    def replacement(active: re.Match[str]) -> str:
        nonlocal in_math
        piece = active.group()
        match active.lastgroup:
            case "math":
                in_math = piece in {r"\(", r"\["}
                return piece
            case "less":
                # In a formula "a <b" may become "a < b": the same formula, and no tag.
                return "< " if in_math else "&lt;"
            case "image" | "link" | "definition":
                return {"image": "! " if in_math else "!\\"}.get(active.lastgroup, "]\\")
            case _:
                return piece

    # Tags are dropped first, since their removal may join two pieces to an active one.
    return _ACTIVE.sub(replacement, _DROPPED.sub("", text))


def cell(text: str) -> str:
    """Return text on one line, harmless within an HTML table."""

    def replacement(active: re.Match[str]) -> str:
        return "&lt;" if active.lastgroup == "less" else active.group()

    return " ".join(_ACTIVE.sub(replacement, _DROPPED.sub("", text)).split())


def parts(text: str) -> Iterator[tuple[bool, str]]:
    """Split a text at fenced code blocks: yield pairs of (is code, part).

    Code is kept as it is, so only what every Markdown reader takes for code counts: a fence at the
    very start of a line, after an empty line, closed by the same fence. If the text has any other
    fence, all of it is prose. A fence that is open at the end is closed.
    """
    pieces = list(_split(text.split("\n")))
    if any(_has_fence(lines[1:-1] if code else lines) for code, lines in pieces):
        pieces = [(False, text.split("\n"))]
    for number, (code, lines) in enumerate(pieces, start=1):
        yield code, "\n".join(lines) + ("\n" if number < len(pieces) else "")


def _split(lines: list[str]) -> Iterator[tuple[bool, list[str]]]:
    fence = ""
    current: list[str] = []
    after_empty = True
    for line in lines:
        opening = _FENCE.fullmatch(line)
        if not fence and opening and after_empty:
            yield False, current
            fence, current = opening[1], [line]
        elif fence and line.rstrip(" \t") == fence:
            yield True, [*current, line]
            fence, current = "", []
        else:
            current.append(line)
        after_empty = not line.strip(" \t")
    yield (True, [*current, fence]) if fence else (False, current)


def _has_fence(lines: list[str]) -> bool:
    return any("```" in line or "~~~" in line for line in lines)
