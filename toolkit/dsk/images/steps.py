"""Progress of a build: buildx's output condensed to a line for each step; no I/O."""

from __future__ import annotations

import re
from typing import Final

_NAMED: Final = re.compile(r"^#(\d+) (\[[^\]]+\] .*|exporting .*)$")
_ENDED: Final = re.compile(r"^#(\d+) (?:DONE (\S+)s|(CACHED)|(ERROR|CANCELED).*)$")
# BuildKit names an image that a stage starts from with the digest that it resolved.
_BASE: Final = re.compile(r"^#\d+ \[[^\]]+\] FROM (\S+@sha256:[0-9a-f]{64})(?: |$)")
# ninja's count of a step's compiled files, behind BuildKit's number and time.
_COMPILED: Final = re.compile(r"^#(\d+) [\d.]+ .*?\[(\d+)/(\d+)\] ")
_WIDTH: Final = 84


def base_image(line: str) -> str | None:
    """Return the image that a stage starts from, with its digest, if this line names one."""
    named = _BASE.match(line)
    return named[1] if named else None


class Steps:
    """The steps of a build, from the lines of `--progress=plain`."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._ended: set[str] = set()
        self._compiled: dict[str, int] = {}

    def on_line(self, line: str) -> str | None:
        """Return the line to show for a step that ends or compiled a file with this line."""
        if compiled := _COMPILED.match(line):
            return self._on_compiled(compiled[1], int(compiled[2]), int(compiled[3]))
        if named := _NAMED.match(line):
            self._names.setdefault(named[1], " ".join(named[2].split()))
            return None
        ended = _ENDED.match(line)
        # buildx may print DONE more than once for a step.
        if not ended or ended[1] not in self._names or ended[1] in self._ended:
            return None
        self._ended.add(ended[1])
        name = self._names[ended[1]]
        # Loading the Dockerfile and the context.
        if "[internal]" in name:
            return None
        name = name if len(name) <= _WIDTH else name[: _WIDTH - 3] + "..."
        took = f"{float(ended[2]):.1f} s" if ended[2] else (ended[3] or ended[4]).lower()
        return f"{took:>9}  {name}"

    def _on_compiled(self, step: str, done: int, files: int) -> str | None:
        # A compiler's warnings repeat the count.
        if done <= self._compiled.get(step, 0):
            return None
        self._compiled[step] = done
        return f"{'':>9}  compiled {done} of {files} files"
