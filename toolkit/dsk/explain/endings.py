"""The part of a server's log that can explain its end: what it survived cannot.

A server logs the traceback of every request that it refuses, and goes on. Of its log counts what
came after the last sign that its engine worked, without the tracebacks of refused requests.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Final

from dsk.explain import lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.explain.search_result import SearchResult

# uvicorn's line for an answered request, whose end it is: before it stands the client's address,
# which a client on this machine may make up (X-Forwarded-For).
_ANSWERED: Final = re.compile(
    rb'"(?P<method>[A-Z]{3,7}) (?P<path>[^ "]{1,300})[^"]{0,300}? HTTP/1\.[01]" (?P<status>\d{3})\b'
    rb'[^"]*$'
)
# The engine took part in these; other paths are answered though it is gone.
_BY_ENGINE: Final = re.compile(
    rb"/health|/ping|/invocations|/v1/(?:chat/completions|completions|responses)"
)
_OK: Final = range(200, 300)
_REFUSED: Final = range(400, 500)
# Processes and files that compute: what they log as an error is no answer to one client.
_ENGINE: Final = re.compile(
    rb"\((?:EngineCore|Worker|VllmWorker|Engine)\w{0,20} ?[^)]{0,60}\)"
    rb"|\[(?:engine|core|core_client|client|multiproc_executor|llm_engine|async_llm\w{0,9}|"
    rb"worker\w{0,9}|model_runner|gpu_model_runner|cpu_model_runner|launcher)\.py:\d"
)
_TROUBLE: Final = ("WARNING", "ERROR", "CRITICAL")
# Lines of a traceback that have no prefix: indented ones, its first, and the exception itself.
_TRACEBACK: Final = re.compile(
    rb"\s|$|Traceback |[\w.]{1,120}(?:Error|Exception|Exit|Interrupt)\b|During handling|"
    rb"The above exception|\^|ERROR: {1,8}Exception in ASGI"
)


def relevant(log: bytes) -> bytes:
    """Return a log with the lines emptied that cannot explain its end; their number stays."""
    found = log.split(b"\n")
    start = _last_sign_of_life(found) + 1
    found[:start] = [b""] * start
    for number in range(start, len(found)):
        answered = _ANSWERED.search(found[number])
        if answered and int(answered["status"]) in _REFUSED:
            for refused in _traceback_before(found, number):
                found[refused] = b""
    return b"\n".join(found)


def _last_sign_of_life(found: list[bytes]) -> int:
    for number in range(len(found) - 1, -1, -1):
        answered = _ANSWERED.search(found[number])
        if (
            answered
            and int(answered["status"]) in _OK
            and _BY_ENGINE.fullmatch(answered["path"].partition(b"?")[0])
        ):
            return number
    return -1


def _traceback_before(found: list[bytes], number: int) -> Iterator[int]:
    """Yield the lines of errors directly before a line, but for those of the engine."""
    for before in range(number - 1, -1, -1):
        line = found[before]
        if _ENGINE.search(line):
            return
        if _ANSWERED.search(line) or not (
            lines.clean(line).level in _TROUBLE or _TRACEBACK.match(line)
        ):
            return
        yield before


def merged(whole: SearchResult, end: SearchResult) -> SearchResult:
    """Return a search's result for an end: evidence of the end, all else of the whole log.

    Args:
        whole: the result for the log.
        end: the result for what `relevant` leaves of it.
    """
    evidence = {key: matches for key, matches in end.matches.items() if key[1] == "patterns"}
    others = {key: matches for key, matches in whole.matches.items() if key[1] != "patterns"}
    return dataclasses.replace(
        whole,
        matches=evidence | others,
        last_lines=end.last_lines,
        tracebacks=end.tracebacks,
        last_error=end.last_error,
    )
