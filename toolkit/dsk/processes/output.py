"""Output of a running program, line by line, without waiting longer than the program runs."""

from __future__ import annotations

import codecs
import io
import os
import select
import time
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

_POLL: Final = 0.2  # seconds between two looks while a program prints nothing
_CHUNK: Final = 1 << 16
# Characters of a line; a longer one comes in pieces, so that a program cannot fill our memory.
_MOST: Final = 1 << 20
# Seconds for which output of descendants is read that go on after the program.
_DRAIN_SECONDS: Final = 5.0


def lines(process: subprocess.Popen[str]) -> Iterator[str | None]:
    """Yield each line of a program's stdout as it comes, without its end; None while none comes.

    It ends with the output, or with the program, though a descendant still holds the output open.
    """
    assert process.stdout is not None
    stream: IO[str] = process.stdout
    decoder = io.IncrementalNewlineDecoder(
        codecs.getincrementaldecoder("utf-8")("replace"), translate=True
    )
    poller = select.poll()
    poller.register(stream.fileno(), select.POLLIN)
    rest = ""
    ended_at = float("inf")
    while True:
        if process.poll() is not None:
            ended_at = min(ended_at, time.monotonic())
        # Read past the text layer: its buffer would hide from the poller what it has read ahead.
        is_readable = bool(poller.poll(_POLL * 1000))
        chunk = os.read(stream.fileno(), _CHUNK) if is_readable else b""
        is_over = is_readable and not chunk
        *complete, rest = (rest + decoder.decode(chunk, final=is_over)).split("\n")
        yield from complete
        if len(rest) > _MOST:
            yield rest
            rest = ""
        # Once nothing is left to read of a program that has ended, only others could write more.
        is_over |= ended_at < time.monotonic() - (_DRAIN_SECONDS if is_readable else 0)
        if is_over:
            break
        if not is_readable:
            yield None
    if rest:
        yield rest
