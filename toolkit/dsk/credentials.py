"""Keys and passwords: the variables that hold them, and keys from files and command lines."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from dsk.errors import InputUnreadable, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# Environment variables of the key of `dsk serve` and `dsk run --server`, and of its file.
KEY_VARIABLE: Final = "DSK_API_KEY"
FILE_VARIABLE: Final = "DSK_API_KEY_FILE"
KEY_FLAG: Final = "--api-key"

_WORD: Final = (
    "key|apikey|token|secret|passwd|password|passphrase|credential|credentials|auth|netrc|cookie"
)
_NAME: Final = re.compile(rf"(?:^|[_-])(?:{_WORD})(?:$|[_-])", re.IGNORECASE)
_PROXY: Final = re.compile(r"_proxy$", re.IGNORECASE)
# A key is the last word of a header of HTTP.
_KEY: Final = re.compile(r"[\x21-\x7e]+")
_LONGEST: Final = 4096
# Commands that take a key.
_COMMANDS: Final = ("run", "serve")


def without_credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a process needs which signs in nowhere.

    Left out are those whose name says key, token, secret or password, and those whose value is a
    URL with a password. Proxies stay: a server that may fetch images reaches nothing without.
    """
    return {
        name: value
        for name, value in environment.items()
        if not _NAME.search(name) and (_PROXY.search(name) or not _has_password(value))
    }


def _has_password(value: str) -> bool:
    if "://" not in value or "@" not in value:
        return False
    try:
        # An index setting may list several URLs.
        return any(urlsplit(word).password for word in value.split() if "://" in word)
    except ValueError:
        return True


def checked(key: str) -> str:
    """Return a key that can be sent in a header.

    Raises:
        UsageProblem: it is empty, too long, or has blanks or other characters than ASCII's.
    """
    if not _KEY.fullmatch(key) or len(key) > _LONGEST:
        what = (
            f"the API key is empty, longer than {_LONGEST} characters, "
            "or has other characters than visible ASCII"
        )
        raise UsageProblem(what, do="make one: openssl rand -hex 24")
    return key


def key_in(file: Path) -> str:
    """Return the key in the first line of a file.

    Raises:
        InputUnreadable: the file cannot be read.
        UsageProblem: its first line is no key.
    """
    try:
        with file.open("rb") as stream:
            line = stream.readline(_LONGEST + 2)
    except OSError as error:
        what = f"{file}: the API key cannot be read ({error.strerror})"
        raise InputUnreadable(what, do="name a file whose first line is the key") from error
    # Never the line itself in a message: the file may be another one, and hold a secret too.
    return checked(line.decode("ascii", "replace").rstrip("\r\n"))


def split_key(arguments: Sequence[str]) -> tuple[list[str], str] | None:
    """Return the arguments of `dsk` without the key among them, and the key; None without one."""
    if not arguments or arguments[0] not in _COMMANDS:
        return None
    left: list[str] = []
    key: str | None = None
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            left += [argument, *rest]
        elif argument == KEY_FLAG:
            key = next(rest, None)
            if key is None:
                return None
        elif argument.startswith(f"{KEY_FLAG}="):
            key = argument.partition("=")[2]
        else:
            left.append(argument)
    return None if key is None else (left, key)


def hide_key() -> None:
    """Start this program anew without the key on its command line, if there is one.

    Every user of a machine can list command lines; an environment only its owner can. Overwriting
    the arguments in place would need a pointer to them, which Python does not keep.
    """
    split = split_key(sys.argv[1:])
    if split is None:
        return
    from dsk import console

    left, key = split
    console.warn(
        f"{KEY_FLAG} could be seen in the process list for a moment: "
        f"use {KEY_VARIABLE} or {KEY_FLAG}-file"
    )
    os.environ[KEY_VARIABLE] = key
    # The interpreter and its options, up to the program: python -m dsk, or python /path/to/dsk.
    program = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    sys.stderr.flush()
    os.execv(sys.executable, [*program, *left])  # noqa: S606 our own program, no shell
