"""Validation of rule patterns against catastrophic backtracking, and their required literals.

Python's `re` backtracks, so a careless pattern can take exponential time on one line. A pattern is
refused unless every repeat is bounded, no repeat contains another, and its repeats can divide a
text in few ways only. `required_literals` derives what every match must contain: the prefilter
searches for it.
"""

from __future__ import annotations

import functools
import re
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

FLAGS: Final = re.IGNORECASE | re.ASCII
# Highest bound of a repeat: the interesting part of a log line is shorter.
MOST_REPEATS: Final = 300
# Most ways in which a pattern's repeats may divide a text, from one start.
MOST_WAYS: Final = 60_000
# Characters of the shortest literal: the prefilter compares four bytes at a time.
SHORTEST_LITERAL: Final = 4
_REPEATS: Final = (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT)
# Words that nearly every log of this field has: as literals they would filter out little.
_EVERYWHERE: Final = frozenset(
    """
    available backend content cuda deepseek device error expected failed image invalid kernel
    loading memory missing model nvidia output required result return returned self. supported
    text torch unknown unsupported version weights enginecore
    """.split()  # noqa: SIM905
)
_NEVER_IN_LITERAL: Final = frozenset("'\"`\\")


class UnsafePattern(ValueError):
    """Pattern that could take more than linear time, or has no literal to search for."""


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Return the compiled pattern, with the flags that all patterns share."""
    return re.compile(pattern, FLAGS)


@functools.cache
def _parsed(pattern: str) -> Any:
    try:
        return parser.parse(pattern, FLAGS)
    except re.error as error:
        msg = f"not a regular expression ({error})"
        raise UnsafePattern(msg) from error


def groups(pattern: str) -> frozenset[str]:
    """Return the names of the pattern's groups."""
    return frozenset(_parsed(pattern).state.groupdict)


@functools.cache
def distinguishes_digits(pattern: str) -> bool:
    """Return True if the pattern matches some digits and not others, as ``3`` and ``[0-4]`` do."""
    return _names_a_digit(list(_parsed(pattern)))


def _names_a_digit(items: list[Any]) -> bool:
    for operation, argument in _flat(items):
        if operation in (sre.LITERAL, sre.NOT_LITERAL) and chr(argument).isdigit():
            return True
        if operation is sre.RANGE and argument != (ord("0"), ord("9")) and argument[0] < ord(":"):
            return True
        inner = [argument[2]] if operation in _REPEATS else _contents(operation, argument)
        inner += [argument] if operation is sre.IN else []
        if any(_names_a_digit(list(content)) for content in inner):
            return True
    return False


def check(pattern: str) -> None:
    """Raise `UnsafePattern` unless the pattern is bounded and has a required literal."""
    ways = _ways(list(_parsed(pattern)))
    if ways > MOST_WAYS:
        msg = f"its repeats can divide one text in {ways} ways (at most {MOST_WAYS})"
        raise UnsafePattern(msg)
    required_literals(pattern)


def _ways(items: list[Any], *, inside_repeat: bool = False) -> int:
    """Return in how many ways the repeats of a sequence can match from one start."""
    ways = 1
    flat = _flat(items)
    for index, (operation, argument) in enumerate(flat):
        if operation in _REPEATS:
            least, most, content = argument
            if most is sre.MAXREPEAT or most > MOST_REPEATS:
                msg = f"a repeat has no bound, or one above {MOST_REPEATS}"
                raise UnsafePattern(msg)
            if inside_repeat and most > 1:
                msg = "a repeat contains another repeat"
                raise UnsafePattern(msg)
            # Ways multiply: each repeat may stop at any of its lengths and then fail further on.
            ways *= _ways(list(content), inside_repeat=inside_repeat or most > 1)
            if operation is not sre.POSSESSIVE_REPEAT and not _stops_itself(content, flat, index):
                ways *= most - least + 1
        else:
            alternatives = _contents(operation, argument)
            ways *= sum(_ways(list(a), inside_repeat=inside_repeat) for a in alternatives) or 1
    return ways


def _contents(operation: Any, argument: Any) -> list[Any]:
    if operation is sre.BRANCH:
        return list(argument[1])
    if operation in (sre.ASSERT, sre.ASSERT_NOT):
        return [argument[1]]
    if operation in (sre.GROUPREF, sre.GROUPREF_EXISTS):
        msg = "a back-reference is not allowed"
        raise UnsafePattern(msg)
    return []


def _stops_itself(content: Any, items: list[Any], index: int) -> bool:
    """Return True if the repeat can only end where the next item begins, as in `[^']{1,80}'`."""
    if index + 1 >= len(items):
        return True  # at the pattern's end nothing can fail and make it backtrack
    if len(content) != 1:
        return False
    allowed, following = content[0], items[index + 1]
    if following[0] is not sre.LITERAL or allowed[0] is not sre.IN:
        return False
    return not re.fullmatch(_as_class(allowed[1]), chr(following[1]), FLAGS)


def _as_class(parts: list[Any]) -> str:
    spelled = []
    for operation, argument in parts:
        if operation is sre.NEGATE:
            spelled.append("^")
        elif operation is sre.LITERAL:
            spelled.append(re.escape(chr(argument)))
        elif operation is sre.RANGE:
            spelled.append(f"{re.escape(chr(argument[0]))}-{re.escape(chr(argument[1]))}")
        else:
            spelled.append(_CATEGORIES[argument])
    return f"[{''.join(spelled)}]"


_CATEGORIES: Final = {
    sre.CATEGORY_DIGIT: r"\d",
    sre.CATEGORY_NOT_DIGIT: r"\D",
    sre.CATEGORY_SPACE: r"\s",
    sre.CATEGORY_NOT_SPACE: r"\S",
    sre.CATEGORY_WORD: r"\w",
    sre.CATEGORY_NOT_WORD: r"\W",
}


@functools.cache
def required_literals(pattern: str) -> frozenset[str]:
    """Return lower-case texts of which every match contains one, each four characters or more."""
    best = _best(list(_parsed(pattern)))
    if not best:
        msg = f"no text of {SHORTEST_LITERAL} or more characters is in every match"
        raise UnsafePattern(msg)
    return best


def _best(items: list[Any]) -> frozenset[str]:
    choices: list[frozenset[str]] = []
    run = ""
    for operation, argument in _flat(items):
        if operation is sre.LITERAL and _is_plain(argument):
            run += chr(argument).lower()
            continue
        choices.append(frozenset({run}))
        if operation is sre.BRANCH:
            choices.append(frozenset(run + _opening(list(branch)) for branch in argument[1]))
        run = ""
        choices.append(_of_item(operation, argument))
    choices.append(frozenset({run}))
    usable = [choice for choice in choices if choice and min(map(len, choice)) >= SHORTEST_LITERAL]
    return max(usable, key=_worth, default=frozenset())


def _is_plain(code: int) -> bool:
    # Logs escape quotes and backslashes in many ways; lines are unescaped after the prefilter.
    return code < 128 and chr(code) not in _NEVER_IN_LITERAL


def _opening(items: list[Any]) -> str:
    """Return the plain text that a sequence starts with."""
    text = ""
    for operation, argument in _flat(items):
        if operation is not sre.LITERAL or not _is_plain(argument):
            break
        text += chr(argument).lower()
    return text


def _flat(items: list[Any]) -> list[Any]:
    """Return the items with plain groups opened: a run of letters may cross a group's edge."""
    flat: list[Any] = []
    for operation, argument in items:
        if operation is sre.SUBPATTERN:
            flat.extend(_flat(list(argument[-1])))
        elif operation is sre.ATOMIC_GROUP:
            flat.extend(_flat(list(argument)))
        else:
            flat.append((operation, argument))
    return flat


def _of_item(operation: Any, argument: Any) -> frozenset[str]:
    if operation is sre.BRANCH:
        branches = [_best(list(branch)) for branch in argument[1]]
        return frozenset().union(*branches) if all(branches) else frozenset()
    if operation in _REPEATS and argument[0] >= 1:
        return _best(list(argument[2]))
    return frozenset()


def _worth(choice: frozenset[str]) -> float:
    """Return a score of literals: longer is rarer; alternatives and common words are worth less."""
    return min(
        min(len(text), 20) - 6 * (text.strip() in _EVERYWHERE) for text in choice
    ) - 0.5 * len(choice)
