"""Removal of names, addresses, serial numbers and keys from facts."""

from __future__ import annotations

import getpass
import platform
import re
from pathlib import Path
from typing import Any, Final

from dsk.host.facts import Facts

_KNOWN: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern), placeholder)
    for pattern, placeholder in (
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
# Fields with other programs' messages. The rest is ours and stays as it is: a user may be called
# ubuntu, and the distribution's name must not go with the user's.
_FOREIGN: Final = ("problem", "lost", "program", "not_tried", "patch", "failures")
_SHORTEST: Final = 3  # characters; a shorter name is part of too many other words


def cleaned(facts: Facts) -> Facts:
    """Return the facts with names, addresses, keys and serial numbers in messages replaced."""
    names = {_user(), platform.node(), platform.node().split(".")[0], Path.home().name}
    names = {name for name in names if len(name) >= _SHORTEST and name not in ("root", "localhost")}
    patterns = [re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])") for name in sorted(names)]

    def clean(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {
                name: clean(item, name if key != "failures" else key)
                for name, item in value.items()
            }
        if isinstance(value, list):
            return [clean(item, key) for item in value]
        return _replaced(value, patterns) if isinstance(value, str) and key in _FOREIGN else value

    return Facts.model_validate(clean(facts.model_dump(mode="json")))


def _user() -> str:
    """Return the user's name; empty where the system knows none, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _replaced(value: str, names: list[re.Pattern[str]]) -> str:
    for pattern, placeholder in _KNOWN:
        value = pattern.sub(placeholder, value)
    for name in names:
        value = name.sub("NAME", value)
    return value
