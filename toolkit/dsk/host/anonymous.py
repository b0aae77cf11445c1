"""Facts without what tells whose machine it is: names, addresses, serial numbers, keys."""

from __future__ import annotations

import getpass
import platform
import re
from pathlib import Path
from typing import Any, Final

from dsk.host.facts import Facts

_KNOWN: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern), said)
    for pattern, said in (
        (r"\b(?:[a-z][a-z0-9+]{1,9}://)[^\s'\"]+", "URL"),
        (r"/(?:home|Users|root)(?:/[^\s'\":,;)]*)?", "HOME"),
        (r"\b(?:GPU-|MIG-)?[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "UUID"),
        (r"\b(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}\b", "MAC"),
        (r"\b(?:\d{1,3}\.){3}\d{1,3}\b(?=[:/\s,;)]|$)", "ADDRESS"),
        (r"\b(?:hf_|sk-|ghp_|glpat-)[\w-]{8,}", "KEY"),
        (r"(?i)\b(?:serial(?: number| no)?|s/n)\W{1,3}[\w-]{5,}", "SERIAL"),
        (r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "MAIL"),
    )
)
_OTHERS: Final = ("problem", "lost", "program", "not_tried", "patch", "failures")
"""The fields that hold what other programs said."""
_SHORTEST: Final = 3
"""A shorter name stands in too many other words."""


def cleaned(facts: Facts) -> Facts:
    """The same facts, with names, addresses, keys and numbers in what others said replaced.

    Only others' words are looked at: a user may be called ubuntu, and the distribution stays.
    """
    names = {_user(), platform.node(), platform.node().split(".")[0], Path.home().name}
    names = {name for name in names if len(name) >= _SHORTEST and name not in ("root", "localhost")}
    patterns = [re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])") for name in sorted(names)]

    def clean(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {
                name: clean(one, name if key != "failures" else key) for name, one in value.items()
            }
        if isinstance(value, list):
            return [clean(one, key) for one in value]
        return _text(value, patterns) if isinstance(value, str) and key in _OTHERS else value

    return Facts.model_validate(clean(facts.model_dump(mode="json")))


def _user() -> str:
    """The user's name; empty where the system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _text(value: str, names: list[re.Pattern[str]]) -> str:
    for pattern, said in _KNOWN:
        value = pattern.sub(said, value)
    for name in names:
        value = name.sub("NAME", value)
    return value
