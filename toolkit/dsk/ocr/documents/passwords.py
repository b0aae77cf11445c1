"""The password of encrypted documents, which lies in a file and goes nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.errors import UsageProblem
from dsk.filenames import printable

if TYPE_CHECKING:
    from pathlib import Path


def password_in(file: Path) -> str:
    """The first line of a file, without its end.

    Raises:
        UsageProblem: it cannot be read, or is no text.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        what = f"the password file {printable(file)} cannot be read ({error})"
        raise UsageProblem(what, do="name a text file whose first line is the password") from error
    if not lines or not lines[0]:
        what = f"the password file {printable(file)} has no first line"
        raise UsageProblem(what, do="write the password there")
    return lines[0]
