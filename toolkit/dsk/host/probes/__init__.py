"""Run of the probes that gather facts: all at once, each with a time limit."""

from __future__ import annotations

import functools
import queue
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dsk.frozen import Frozen
from dsk.host.facts import Facts
from dsk.host.probes import containers, models, nvidia, processor, pythons, system

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    _Answers = queue.SimpleQueue[Frozen | Exception]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Source of one record of facts.

    Args:
        name: the field of `Facts` that it fills.
        look: function that examines the host; may raise and may hang.
        seconds: time limit.
    """

    name: str
    look: Callable[[], Frozen]
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
    Probe(name="confinement", look=system.confinement),
)
# Probes that the choice of a stack reads; all are quick.
FOR_STACK_CHOICE: Final = tuple(
    probe for probe in PROBES if probe.name in ("system", "nvidia", "libraries", "memory")
)
# Probes that take longest, and can start before the stack is chosen.
SLOW: Final = tuple(probe for probe in PROBES if probe.name == "docker")


def remaining(lock_sha256: str) -> tuple[Probe, ...]:
    """Return the other probes; of the environments only that of the given lock is read whole."""
    look = functools.partial(pythons.environments, lock_sha256)
    rest = (probe for probe in PROBES if probe not in (*FOR_STACK_CHOICE, *SLOW))
    return tuple(
        replace(probe, look=look) if probe.name == "environments" else probe for probe in rest
    )


def gather(probes: Sequence[Probe] = PROBES) -> Facts:
    """Run the probes in parallel; record one that fails or takes too long as a failure."""
    return start(probes)()


def stack_facts() -> Facts:
    """Gather what selecting and proving a stack need, without the slow probes (Docker, disk)."""
    wanted = ("system", "nvidia", "libraries", "processor", "memory")
    return gather([probe for probe in PROBES if probe.name in wanted])


def start(probes: Sequence[Probe]) -> Callable[[], Facts]:
    """Start the probes; return a function that waits for them and returns the facts."""
    started = time.monotonic()
    answers = [(probe, _start_thread(probe)) for probe in probes]
    return lambda: _collect(started, answers)


def _collect(started: float, answers: list[tuple[Probe, _Answers]]) -> Facts:
    records: dict[str, Frozen] = {}
    failures: dict[str, str] = {}
    for probe, answer in answers:
        try:
            left = max(0.0, started + probe.seconds - time.monotonic())
            result = answer.get(timeout=left)
        except queue.Empty:
            failures[probe.name] = f"no answer in {probe.seconds:g} s"
            continue
        if isinstance(result, Frozen):
            records[probe.name] = result
        else:
            failures[probe.name] = _in_one_line(result)
    return Facts.model_validate({**records, "failures": failures})


def _start_thread(probe: Probe) -> _Answers:
    """Run a probe in a thread; return the queue that gets its record or its exception."""
    answer: _Answers = queue.SimpleQueue()

    def look() -> None:
        try:
            answer.put(probe.look())
        except Exception as error:
            answer.put(error)

    # A daemon thread: a probe that hangs, say in NFS, must not keep the process from ending.
    threading.Thread(target=look, name=probe.name, daemon=True).start()
    return answer


def _in_one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:200]
