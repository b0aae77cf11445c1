"""The log of a server: pass it on as it comes, keep its end, explain it when the server fails."""

from __future__ import annotations

import codecs
import contextlib
import os
import subprocess
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from dsk import console
from dsk.control_characters import visible
from dsk.errors import DskError, EngineMissing, InputUnreadable, Interrupted
from dsk.explain import explain_end, report
from dsk.explain.tail import last_line
from dsk.ocr.engines import loading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dsk.matrix import Stack
    from dsk.processes import Child
    from dsk.runtime.base import Runtime

# Bytes kept. vLLM's start writes some 100 kB; what ends a server later stands at the end.
KEPT: Final = 8 << 20

_CHUNK: Final = 1 << 16
_TAIL: Final = 1 << 14  # bytes that hold the last line
_SECONDS_TO_DRAIN: Final = 5.0  # for what a server wrote as it ended


class ServerLog:
    """Passes a server's output on to our stderr; stdout is for our own answer.

    Args:
        child: started with ``stdout=subprocess.PIPE``.
    """

    def __init__(self, child: Child) -> None:
        assert child.process.stdout is not None
        self._descriptor = os.dup(child.process.stdout.fileno())  # the child closes its own
        self._chunks: deque[bytes] = deque()
        self._size = 0
        # The log is read while the server still writes, when it does not become healthy.
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._pass_on, daemon=True)
        self._reader.start()

    def finish(self) -> None:
        """Wait for the rest of the output of a server that has ended."""
        self._reader.join(_SECONDS_TO_DRAIN)

    def kept(self) -> bytes:
        """Return the last `KEPT` bytes of the output."""
        with self._lock:
            return b"".join(self._chunks)

    def last_line(self) -> str:
        """Return the last line of the output, safe to print."""
        return last_line(self.kept()[-_TAIL:])

    def explain(self, stack: Stack) -> None:
        """Write the explanation of the output to stderr."""
        try:
            explanation = explain_end(self.kept(), stack=stack.id, pins=stack.pins)
        except InputUnreadable as error:  # whatever it wrote, its end is what is to be said
            console.echo(f"\nIts log cannot be explained: {error}\n", err=True)
            return
        console.echo(f"\n{report.as_text(explanation)}\n", err=True)

    def _pass_on(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        while data := os.read(self._descriptor, _CHUNK):
            # Requests and files put words of others into the log. A progress bar returns to the
            # start of its line: here each of its states gets a line.
            text = visible(decoder.decode(data).replace("\r\n", "\n").replace("\r", "\n"))
            # Whoever read our stderr may have gone; a server must not stand still for that.
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(text)
                sys.stderr.flush()
            with self._lock:
                self._chunks.append(data)
                self._size += len(data)
                while self._size > KEPT:
                    self._size -= len(self._chunks.popleft())
        os.close(self._descriptor)


@contextlib.contextmanager
def running(
    place: Runtime, module: str, arguments: Sequence[str], environment: Mapping[str, str]
) -> Iterator[tuple[Child, ServerLog]]:
    """Start a server and yield it with its log; leaving the block ends it."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with place.start(module, arguments, environment=environment, **streams) as child:
        log = ServerLog(child)
        try:
            yield child, log
        finally:
            child.end()
            log.finish()


def loading_error(child: Child, log: ServerLog, stack: Stack, limit: int) -> DskError:
    """Return the error for a server that is not healthy although nothing waits any longer.

    Args:
        child: the server; it is ended if it still loads.
        log: its log, whose explanation is written to stderr.
        stack: the stack that it runs with.
        limit: seconds that it had to load.
    """
    if child.process.poll() is not None:
        return end_error(child, log, stack, when="before it answered")
    child.end()
    log.finish()
    log.explain(stack)
    what = f"the server {loading.timeout_report(limit)}"
    return EngineMissing(what, do="the explanation of its log stands above")


def end_error(child: Child, log: ServerLog, stack: Stack, *, when: str) -> DskError:
    """Return the error for a server that ended, and write the explanation of its log to stderr.

    Args:
        when: the moment, to follow "ended".
    """
    child.end()
    log.finish()
    if child.stop_requested:
        return Interrupted(f"the server was stopped {when}")
    log.explain(stack)
    ended = f"the server ended with {child.described_end()} {when}"
    return EngineMissing(ended, do="the explanation of its log stands above")
