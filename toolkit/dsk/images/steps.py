"""What buildx prints, as a row of steps that a person can follow: pure."""

from __future__ import annotations

import re
from typing import Final

_NAMED: Final = re.compile(r"^#(\d+) (\[[^\]]+\] .*|exporting .*)$")
_ENDED: Final = re.compile(r"^#(\d+) (?:DONE (\S+)s|(CACHED)|(ERROR|CANCELED).*)$")
_WIDTH: Final = 84


class Steps:
    """Told of each line of `--progress=plain`; tells of each step as it ends."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._told: set[str] = set()

    def heard(self, line: str) -> str | None:
        """What to show for a line; None for nothing."""
        if named := _NAMED.match(line):
            self._names.setdefault(named[1], " ".join(named[2].split()))
            return None
        ended = _ENDED.match(line)
        if not ended or ended[1] not in self._names or ended[1] in self._told:
            return None
        self._told.add(ended[1])
        name = self._names[ended[1]]
        if "[internal]" in name:
            return None
        name = name if len(name) <= _WIDTH else name[: _WIDTH - 3] + "..."
        took = f"{float(ended[2]):.1f} s" if ended[2] else (ended[3] or ended[4]).lower()
        return f"{took:>9}  {name}"
