"""What in a model's text could act in a reader's browser, made to stand there as text.

A page may have any text printed on it, so the model may write any: scripts, pictures fetched from
elsewhere, links that run. Of HTML only what formats a text is left, without attributes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# No alternative goes back over more than 300 characters: the time is linear.
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
    """A text outside of code, harmless in Markdown."""
    in_math = False

    def instead(found: re.Match[str]) -> str:
        nonlocal in_math
        piece = found.group()
        match found.lastgroup:
            case "math":
                in_math = piece in {r"\(", r"\["}
                return piece
            case "less":
                # "a < b" is the same formula, and no tag.
                return "< " if in_math else "&lt;"
            case "image" | "link" | "definition":
                return {"image": "! " if in_math else "!\\"}.get(found.lastgroup, "]\\")
            case _:
                return piece

    # First of all: what stood on both of its sides may be active once it is gone.
    return _ACTIVE.sub(instead, _DROPPED.sub("", text))


def cell(text: str) -> str:
    """A text harmless within an HTML table, on one line."""

    def instead(found: re.Match[str]) -> str:
        return "&lt;" if found.lastgroup == "less" else found.group()

    return " ".join(_ACTIVE.sub(instead, _DROPPED.sub("", text)).split())


def parts(text: str) -> Iterator[tuple[bool, str]]:
    """A text cut where code in fences begins and ends: (whether it is code, the part).

    Code is left as it is, so only what every reader takes for code counts: fences at the line's
    very start, after an empty line, closed by the same. With any other fence about, all is prose.
    A fence that is still open at the end is closed.
    """
    cut = list(_cut(text.split("\n")))
    if any(_has_fence(lines[1:-1] if code else lines) for code, lines in cut):
        cut = [(False, text.split("\n"))]
    for number, (code, lines) in enumerate(cut, start=1):
        yield code, "\n".join(lines) + ("\n" if number < len(cut) else "")


def _cut(lines: list[str]) -> Iterator[tuple[bool, list[str]]]:
    fence = ""
    kept: list[str] = []
    free = True
    for line in lines:
        opened = _FENCE.fullmatch(line)
        if not fence and opened and free:
            yield False, kept
            fence, kept = opened[1], [line]
        elif fence and line.rstrip(" \t") == fence:
            yield True, [*kept, line]
            fence, kept = "", []
        else:
            kept.append(line)
        free = not line.strip(" \t")
    yield (True, [*kept, fence]) if fence else (False, kept)


def _has_fence(lines: list[str]) -> bool:
    return any("```" in line or "~~~" in line for line in lines)
