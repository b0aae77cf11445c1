"""The exception that ended a log, and what led to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsk.explain import pattern_safety

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsk.explain.rules import Symptoms
    from dsk.explain.tracebacks import Traceback


@dataclass(frozen=True, kw_only=True)
class Incident:
    """Exceptions of which each led to the next, first to last."""

    tracebacks: tuple[Traceback, ...]

    @property
    def lines(self) -> range:
        """Lines of the log from the first traceback to the last exception."""
        return range(self.tracebacks[0].first_line, self.tracebacks[-1].line + 1)


def final(symptoms: Symptoms, tracebacks: Sequence[Traceback]) -> Incident | None:
    """Return the last incident that is more than the report of another; None if there is none.

    Exceptions that only pass on another one, or that follow from the end of a process, lead to
    what stands above them.

    Args:
        symptoms: the rules, for their patterns of such exceptions.
        tracebacks: the log's exceptions, in order.
    """
    wrappers = [pattern_safety.compiled(pattern) for pattern in symptoms.wrapper]
    own = [found for found in tracebacks if not any(p.search(found.text) for p in wrappers)]
    if not own:
        return None
    chain = [own[-1]]
    for earlier in reversed(own[:-1]):
        later = chain[0]
        # A process logs its exception, and Python prints the same one again as the process ends.
        if not later.chained and earlier.text != later.text:
            break
        if earlier.source == later.source or earlier.text == later.text:
            chain.insert(0, earlier)
    return Incident(tracebacks=tuple(chain))
