"""What can be made of a document that was read: the formats of ``--to``."""

from __future__ import annotations

from typing import Final, Literal

from dsk.errors import UsageProblem

FORMATS: Final = ("md", "json", "html", "layout", "figures")
"""Their names. The texts, ``md``, are written whatever is asked for."""
DEFAULT_FORMATS: Final = frozenset({"md", "html", "layout", "figures"})

Compat = Literal["", "official"]
"""Whose files are written: ours, or those of the model's own scripts in place of ours."""


def chosen(text: str) -> frozenset[str]:
    """The formats that ``text`` names, with commas between them.

    Raises:
        UsageProblem: one of them is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in FORMATS:
            what = f"there is no format '{name}'"
            raise UsageProblem(what, do=f"give some of {','.join(FORMATS)}")
    return frozenset({"md", *names})
