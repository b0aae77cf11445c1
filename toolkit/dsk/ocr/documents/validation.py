"""Validate documents in a separate process, which a damaged file may hang or crash.

``python -m dsk.ocr.documents.validation``: requests on standard input, replies on standard output,
a line of JSON each. Each file is opened by a process of its own, forked for it and confined.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, Final, Self

from dsk.confinement import privileges
from dsk.errors import EngineMissing, InputUnreadable, Interrupted
from dsk.filenames import printable
from dsk.frozen import Frozen
from dsk.ocr.documents import sandbox
from dsk.ocr.documents.base import InputRefused
from dsk.ocr.documents.opening import open_source
from dsk.ocr.documents.passwords import read_password
from dsk.ocr.ipc.channel import Channel, Message
from dsk.ocr.schema import filetypes
from dsk.ocr.schema.filetypes import Kind
from dsk.ocr.schema.limits import Limits, described
from dsk.ocr.schema.run_plan import AnyPath
from dsk.processes import Child
from dsk.processes.exit_status import shell_code

if TYPE_CHECKING:
    from pathlib import Path

# What a process that opened a file may send, in bytes, and how long that may take, in seconds.
_MOST_BYTES: Final = 1 << 16
_MOST_SECONDS: Final = 10.0
# Seconds from the end of such a process's channel to its own, for its true exit status.
_EXIT_SECONDS: Final = 1.0
_START_SECONDS: Final = 300.0  # for importing the parsers, from a network disk perhaps


class ValidationRequest(Frozen):
    """A file to open."""

    path: AnyPath
    password_file: AnyPath | None
    limits: Limits


class ValidFile(Frozen):
    """The kind and the number of pages of a file that can be read."""

    kind: Kind
    page_count: int


class _Reply(Message):
    valid: ValidFile | None = None
    what: str = ""
    do: str = ""
    limit: str = ""


class Validator:
    """Validates files one by one. A context manager that ends its process."""

    def __init__(self, limits: Limits, password_file: Path | None) -> None:
        self._limits = limits
        self._password_file = password_file
        self._child: Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        stop_requested = self._child is not None and self._child.stop_requested
        self._end()
        if stop_requested and kind is None:
            raise _interrupted()

    def validate(self, path: Path) -> ValidFile:
        """Open a file in the other process.

        Raises:
            InputRefused: the file is beyond a limit.
            InputUnreadable: the file cannot be opened.
            EngineMissing: the process cannot be started.
            Interrupted: the user interrupted the command.
        """
        request = ValidationRequest(
            path=path, password_file=self._password_file, limits=self._limits
        )
        reply = self._exchange(request)
        if reply.limit:
            raise InputRefused(reply.what, limit=reply.limit)
        if reply.valid is None:
            raise InputUnreadable(reply.what, do=reply.do)
        return reply.valid

    def _exchange(self, request: ValidationRequest) -> _Reply:
        child = self._child = self._child or _start()
        assert child.process.stdin is not None
        assert child.process.stdout is not None
        try:
            child.process.stdin.write(request.model_dump_json() + "\n")
            child.process.stdin.flush()
            seconds = self._limits.render_seconds
            ready, _, _ = select.select([child.process.stdout], [], [], seconds)
            line = child.process.stdout.readline() if ready else None
        except BrokenPipeError:
            line = ""
        if line:
            return _Reply.model_validate_json(line)
        # No reply: the process hangs (None) or is gone ("").
        # A signal that ends the command ends the process, too: the file is not to blame.
        stop_requested = child.stop_requested
        end = "" if line is None or child.exit_code() is None else child.described_end()
        child.process.kill()
        self._end()
        if stop_requested:
            raise _interrupted()
        if line is None:
            what = f"{printable(request.path)} did not open within {seconds} s"
            return _Reply(what=what, limit="render_seconds")
        what = f"{printable(request.path)} is too damaged to open: its reader crashed"
        what += f" with {end}" if end else ""
        return _Reply(what=what, do="open it in a viewer and export it as PDF again")

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            assert child.process.stdin is not None
            # The end of its input ends the process.
            with contextlib.suppress(BrokenPipeError):
                child.process.stdin.close()
            child.end()


def _interrupted() -> Interrupted:
    return Interrupted("stopped before anything was read")


def _start() -> Child:
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        child = Child(
            [sys.executable, "-P", "-m", "dsk.ocr.documents.validation"],
            environment=sandbox.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        assert child.process.stdout is not None
        # The process prints an empty line when it is ready, so that its start does not count
        # against the time limit of the first file.
        ready, _, _ = select.select([child.process.stdout], [], [], _START_SECONDS)
        if ready and child.process.stdout.readline():
            return child
        if not ready:
            child.process.kill()
        stop_requested = child.stop_requested
        code = child.wait()
        child.end()
        log.seek(0)
        reason = next((line for line in reversed(log.read().splitlines()) if line.strip()), "")
    if stop_requested:
        raise _interrupted()
    what = f"the process that opens documents did not start (status {code}: {reason.strip()})"
    raise EngineMissing(what, do="give it more memory (ulimit -v)")


def reply_to(request: ValidationRequest) -> _Reply:
    """Open the file of a request in this process."""
    path = request.path
    reply: dict[str, Any]
    try:
        password = read_password(request.password_file) if request.password_file else None
        with open_source(path, password=password, limits=request.limits) as source:
            count = source.page_count
        reply = {"valid": ValidFile(kind=filetypes.kind_of(path), page_count=count)}
    except InputRefused as refused:
        reply = {"what": refused.what, "limit": refused.limit}
    except InputUnreadable as unreadable:
        reply = {"what": unreadable.what, "do": unreadable.do}
    except MemoryError:
        reply = {"what": f"{printable(path)} takes too much memory to open"}
    return _Reply(**reply)


def _reply_of_a_process(request: ValidationRequest) -> _Reply:
    """Open the file of a request in a process of its own.

    Raises:
        SystemExit: the process has crashed; the exit code is its own.
        ValueError: it has sent what `reply_to` does not return.
    """
    ours, theirs = Channel.pair(max_bytes=_MOST_BYTES, seconds=_MOST_SECONDS)
    process = privileges.fork()
    if process == 0:
        try:
            ours.close()
            secret = request.password_file
            reads = [request.path, *([secret] if secret else [])]
            sandbox.confine(reads, request.limits, channel=theirs.fileno())
            Channel(theirs).send(reply_to(request))
        finally:
            os._exit(0)
    theirs.close()
    ended = 0
    try:
        body, file = ours.receive()
        if file is not None:
            os.close(file)
        return _checked(_Reply.model_validate_json(body), request.limits)
    except EOFError:
        # It has crashed. This process ends as it did, for the launcher to say how.
        deadline = time.monotonic() + _EXIT_SECONDS
        status = 0
        while not ended and time.monotonic() < deadline:
            ended, status = os.waitpid(process, os.WNOHANG)
            time.sleep(0.01)
        sys.exit(shell_code(os.waitstatus_to_exitcode(status)) or 1)
    finally:
        ours.close()
        if not ended:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def _checked(reply: _Reply, limits: Limits) -> _Reply:
    """Return a reply that a hostile file cannot have forged to any effect."""
    if reply.valid is not None and not 0 < reply.valid.page_count <= limits.max_pages:
        what = f"{reply.valid.page_count} pages"
        raise ValueError(what)
    if reply.limit and reply.limit not in {name for name, *_ in described()}:
        raise ValueError(reply.limit)
    return reply.model_copy(update={"what": printable(reply.what), "do": printable(reply.do)})


def main() -> None:
    """Reply to requests until standard input ends; end where a file's process has crashed."""
    sandbox.import_parsers()
    print(flush=True)
    for line in sys.stdin:
        reply = _reply_of_a_process(ValidationRequest.model_validate_json(line))
        print(reply.model_dump_json(), flush=True)


if __name__ == "__main__":
    main()
