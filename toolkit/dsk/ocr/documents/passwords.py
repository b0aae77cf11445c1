"""The password of encrypted documents: read from a file when needed, and never stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.errors import UsageProblem
from dsk.filenames import printable

if TYPE_CHECKING:
    from pathlib import Path


def read_password(file: Path) -> str:
    """Return the first line of a file, without its line end.

    Raises:
        UsageProblem: the file cannot be read, is not text, or begins with an empty line.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        what = f"the password file {printable(file)} cannot be read ({error})"
        raise UsageProblem(what, do="name a text file whose first line is the password") from error
    if not lines or not lines[0]:
        what = f"the password file {printable(file)} has no first line"
        raise UsageProblem(what, do="write the password into its first line")
    return lines[0]
