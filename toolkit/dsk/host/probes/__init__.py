"""Gathering facts: every probe at once, each with a time limit, none able to bring us down."""

from __future__ import annotations

import functools
import queue
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dsk.host.facts import Facts, Record
from dsk.host.probes import containers, models, nvidia, processor, pythons, system

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    _Answer = queue.SimpleQueue[Record | Exception]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One look at the host.

    Args:
        name: the field of `Facts` that it fills.
        look: does it; may raise and may hang.
        seconds: how long it may take.
    """

    name: str
    look: Callable[[], Record]
    seconds: float = 3.0


PROBES: Final = (
    Probe(name="system", look=system.system),
    Probe(name="nvidia", look=nvidia.look, seconds=nvidia.SECONDS + 2),
    Probe(name="libraries", look=system.libraries),
    Probe(name="processor", look=processor.look),
    Probe(name="python", look=pythons.this_one),
    Probe(name="environments", look=pythons.environments),
    Probe(name="docker", look=containers.look, seconds=3 * containers.SECONDS),
    Probe(name="models", look=models.look),
    Probe(name="memory", look=system.memory),
    Probe(name="disk", look=system.disk),
    Probe(name="process", look=system.process),
)
FOR_A_CHOICE: Final = tuple(
    probe for probe in PROBES if probe.name in ("system", "nvidia", "libraries", "memory")
)
"""What choosing a stack reads, quick to look at."""
FROM_THE_START: Final = tuple(probe for probe in PROBES if probe.name == "docker")
"""What takes longest, and waits for no choice."""


def others(lock_sha256: str) -> tuple[Probe, ...]:
    """All but those, for a stack that has been chosen: of the environments, its own is opened."""
    look = functools.partial(pythons.environments, lock_sha256)
    rest = (probe for probe in PROBES if probe not in (*FOR_A_CHOICE, *FROM_THE_START))
    return tuple(replace(one, look=look) if one.name == "environments" else one for one in rest)


def gather(probes: Sequence[Probe] = PROBES) -> Facts:
    """Run the probes beside each other; one that fails or takes too long becomes a failure."""
    return begin(probes)()


def stack_facts() -> Facts:
    """Gather what selecting and proving a stack need, without the slow probes (Docker, disk)."""
    wanted = ("system", "nvidia", "libraries", "processor", "memory")
    return gather([probe for probe in PROBES if probe.name in wanted])


def begin(probes: Sequence[Probe]) -> Callable[[], Facts]:
    """Start the probes; what is returned waits for them and tells what they found."""
    begun = time.monotonic()
    answers = [(probe, _started(probe)) for probe in probes]
    return lambda: _found(begun, answers)


def _found(begun: float, answers: list[tuple[Probe, _Answer]]) -> Facts:
    found: dict[str, Record] = {}
    failures: dict[str, str] = {}
    for probe, answer in answers:
        try:
            left = max(0.0, begun + probe.seconds - time.monotonic())
            result = answer.get(timeout=left)
        except queue.Empty:
            failures[probe.name] = f"no answer in {probe.seconds:g} s"
            continue
        if isinstance(result, Record):
            found[probe.name] = result
        else:
            failures[probe.name] = _in_one_line(result)
    return Facts.model_validate({**found, "failures": failures})


def _started(probe: Probe) -> _Answer:
    """The probe in a thread that does not keep us from leaving."""
    answer: _Answer = queue.SimpleQueue()

    def look() -> None:
        try:
            answer.put(probe.look())
        except Exception as error:
            answer.put(error)

    threading.Thread(target=look, name=probe.name, daemon=True).start()
    return answer


def _in_one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:200]
