"""What a pattern may be: one that cannot run away, and whose matches share a literal to look for.

Python's `re` backtracks, so a careless pattern can take exponential time on one line. Patterns are
parsed and refused unless every repeat is bounded, no repeat holds another, and the ways in which
the repeats can share out a text stay few. `required_literals` then derives what any match must
contain, which is what the prefilter looks for in the raw bytes.
"""

from __future__ import annotations

import functools
import re
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

FLAGS: Final = re.IGNORECASE | re.ASCII
MOST_REPEATS: Final = 300
"""The longest stretch a repeat may take: a log line's interesting part is shorter."""
MOST_WAYS: Final = 60_000
"""The most ways in which a pattern's loose repeats may share out one text from one start."""
SHORTEST_LITERAL: Final = 4
"""The prefilter looks for four bytes at a time."""
_REPEATS: Final = (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT)
_EVERYWHERE: Final = frozenset(
    """
    available backend content cuda deepseek device error expected failed image invalid kernel
    loading memory missing model nvidia output required result return returned self. supported
    text torch unknown unsupported version weights enginecore
    """.split()  # noqa: SIM905
)
_NEVER_IN_LITERAL: Final = frozenset("'\"`\\")


class RunawayPattern(ValueError):
    """A pattern that could take more than linear time, or that nothing can be looked for in."""


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, compiled once, with the flags that all patterns share."""
    return re.compile(pattern, FLAGS)


@functools.cache
def _parsed(pattern: str) -> Any:
    try:
        return parser.parse(pattern, FLAGS)
    except re.error as error:
        msg = f"not a regular expression ({error})"
        raise RunawayPattern(msg) from error


def groups(pattern: str) -> frozenset[str]:
    """The names of the pattern's groups."""
    return frozenset(_parsed(pattern).state.groupdict)


@functools.cache
def heeds_digits(pattern: str) -> bool:
    """Whether it matters to the pattern which digit stands somewhere, not only that one does."""
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
    """Raise `RunawayPattern` unless the pattern is bounded and has a literal to look for."""
    ways = _ways(list(_parsed(pattern)))
    if ways > MOST_WAYS:
        msg = f"its repeats can share out one text in {ways} ways (at most {MOST_WAYS})"
        raise RunawayPattern(msg)
    required_literals(pattern)


def _ways(items: list[Any], *, inside_repeat: bool = False) -> int:
    """In how many ways the loose repeats of a sequence can match from one start."""
    ways = 1
    flat = _flat(items)
    for index, (operation, argument) in enumerate(flat):
        if operation in _REPEATS:
            least, most, content = argument
            if most is sre.MAXREPEAT or most > MOST_REPEATS:
                msg = f"a repeat has no bound, or one above {MOST_REPEATS}"
                raise RunawayPattern(msg)
            if inside_repeat and most > 1:
                msg = "a repeat holds another repeat"
                raise RunawayPattern(msg)
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
        raise RunawayPattern(msg)
    return []


def _stops_itself(content: Any, items: list[Any], index: int) -> bool:
    """Whether the repeat must end where the next item begins, as in `[^']{1,80}'`.

    A repeat at a pattern's end stops too: nothing after it can ask for another try.
    """
    if index + 1 >= len(items):
        return True
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
    """Lower-case texts of which every match contains at least one, each four characters or more.

    Quotes and backslashes are left out: logs escape them in many ways, and lines are unescaped
    only after the prefilter.
    """
    best = _best(list(_parsed(pattern)))
    if not best:
        msg = f"no text of {SHORTEST_LITERAL} or more characters is in every match"
        raise RunawayPattern(msg)
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
    usable = [c for c in choices if c and min(map(len, c)) >= SHORTEST_LITERAL]
    return max(usable, key=_worth, default=frozenset())


def _is_plain(code: int) -> bool:
    return code < 128 and chr(code) not in _NEVER_IN_LITERAL


def _opening(items: list[Any]) -> str:
    """The plain text that a sequence starts with."""
    text = ""
    for operation, argument in _flat(items):
        if operation is not sre.LITERAL or not _is_plain(argument):
            break
        text += chr(argument).lower()
    return text


def _flat(items: list[Any]) -> list[Any]:
    """The items with plain groups opened, so that a run of letters may cross a group's edge."""
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
    """Longer is rarer; several alternatives, or words that every log has, are worth less."""
    return min(
        min(len(text), 20) - 6 * (text.strip() in _EVERYWHERE) for text in choice
    ) - 0.5 * len(choice)
