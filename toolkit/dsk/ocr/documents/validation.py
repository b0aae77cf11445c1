"""Opening documents in a process of its own: one that hangs or crashes takes nothing with it.

``python -m dsk.ocr.documents.validation``: questions on standard input, answers on standard
output, a line of JSON each.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any, Self

from dsk.errors import EngineMissing, InputUnreadable, Interrupted
from dsk.filenames import printable
from dsk.frozen import Frozen
from dsk.ocr.documents.base import InputRefused, open_source
from dsk.ocr.documents.passwords import password_in
from dsk.ocr.documents.sandbox import confine
from dsk.ocr.schema import filetypes
from dsk.ocr.schema.filetypes import Kind
from dsk.ocr.schema.limits import Limits
from dsk.ocr.schema.run_plan import AnyPath
from dsk.processes import Child

if TYPE_CHECKING:
    from pathlib import Path


class Question(Frozen):
    """A file to open."""

    path: AnyPath
    password_file: AnyPath | None
    limits: Limits


class Checked(Frozen):
    """What a file was found to be."""

    kind: Kind
    page_count: int


class _Answer(Frozen):
    checked: Checked | None = None
    what: str = ""
    do: str = ""
    limit: str = ""


class Checker:
    """Opens files, one after the other. A context manager: leaving it ends its process."""

    def __init__(self, limits: Limits, password_file: Path | None) -> None:
        self._limits = limits
        self._password_file = password_file
        self._child: Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        asked_to_end = self._child is not None and self._child.stop_requested
        self._end()
        if asked_to_end and kind is None:
            raise _interrupted()

    def check(self, path: Path) -> Checked:
        """Open a file.

        Raises:
            InputRefused: it is beyond a limit.
            InputUnreadable: it cannot be opened.
            EngineMissing: no process can be started to open it.
            Interrupted: the user asked to end.
        """
        question = Question(path=path, password_file=self._password_file, limits=self._limits)
        answer = self._asked(question)
        if answer.limit:
            raise InputRefused(answer.what, limit=answer.limit)
        if answer.checked is None:
            raise InputUnreadable(answer.what, do=answer.do)
        return answer.checked

    def _asked(self, question: Question) -> _Answer:
        child = self._child = self._child or _started()
        assert child.process.stdin is not None
        assert child.process.stdout is not None
        try:
            child.process.stdin.write(question.model_dump_json() + "\n")
            child.process.stdin.flush()
            seconds = self._limits.render_seconds
            ready, _, _ = select.select([child.process.stdout], [], [], seconds)
            line = child.process.stdout.readline() if ready else None
        except BrokenPipeError:
            line = ""
        if line:
            return _Answer.model_validate_json(line)
        asked_to_end = child.stop_requested
        child.process.kill()
        self._end()
        if asked_to_end:
            raise _interrupted()
        if line is None:
            what = f"{printable(question.path)} did not open within {seconds} s"
            return _Answer(what=what, limit="render_seconds")
        what = f"{printable(question.path)} is too damaged to open: its reader crashed"
        return _Answer(what=what, do="open it in a viewer and export it as PDF again")

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            assert child.process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                child.process.stdin.close()
            child.end()


def _interrupted() -> Interrupted:
    return Interrupted("stopped before anything was read")


def _started() -> Child:
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        child = Child(
            [sys.executable, "-m", "dsk.ocr.documents.validation"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
        )
        assert child.process.stdout is not None
        # It is ready: no file is to blame for how long that took.
        if child.process.stdout.readline():
            return child
        asked_to_end = child.stop_requested
        code = child.wait()
        child.process.communicate()
        said.seek(0)
        reason = next((line for line in reversed(said.read().splitlines()) if line.strip()), "")
    if asked_to_end:
        raise _interrupted()
    what = f"the process that opens documents did not start (status {code}: {reason.strip()})"
    raise EngineMissing(what, do="see that it gets the memory it wants (ulimit -v)")


def answer(question: Question) -> _Answer:
    """Open the file of a question, here."""
    said: dict[str, Any]
    try:
        password = password_in(question.password_file) if question.password_file else None
        with open_source(question.path, password=password, limits=question.limits) as source:
            count = source.page_count
        said = {"checked": Checked(kind=filetypes.kind_of(question.path), page_count=count)}
    except InputRefused as refused:
        said = {"what": refused.what, "limit": refused.limit}
    except InputUnreadable as unreadable:
        said = {"what": unreadable.what, "do": unreadable.do}
    except MemoryError:
        said = {"what": f"{printable(question.path)} takes too much memory to open"}
    return _Answer(**said)


def main() -> None:
    """Answer questions until there are no more."""
    confine()
    print(flush=True)
    # Libraries complain of what is in a file, however often it makes them.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for line in sys.stdin:
        print(answer(Question.model_validate_json(line)).model_dump_json(), flush=True)


if __name__ == "__main__":
    main()
