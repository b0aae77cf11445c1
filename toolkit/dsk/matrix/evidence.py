"""Evidence: what was really run of a stack, where, and how it came out; kept as JSON files."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from dsk import paths
from dsk.errors import MatrixInvalid
from dsk.files import write_atomically
from dsk.frozen import Frozen
from dsk.matrix.catalog import normalized_name, spellings_of
from dsk.matrix.profiles import Positive, Text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dsk.matrix.catalog import Matrix
    from dsk.matrix.profiles import Gpu
    from dsk.matrix.stack import Stack

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

EXACT: Final = "exact"


class Machine(Frozen):
    """A machine without its names: what decides whether a stack runs on it."""

    cpu: Text = Field(description="the CPU and its instruction sets, in words")
    cores: Positive = Field(description="logical cores, a whole number above 0")
    ram_gib: Positive = Field(description="RAM in GiB, a whole number above 0")
    system: Text = Field(description="the operating system, in words")
    gpu: Text | None = Field(default=None, description="the card's name as its driver has it")
    compute_capability: Text | None = Field(default=None, description='such as "8.9"')
    vram_gib: Positive | None = Field(default=None, description="a whole number above 0")
    driver: Text | None = Field(default=None, description="the NVIDIA driver's release")

    @property
    def device(self) -> str:
        """What the engine computed on: the card, or else the CPU."""
        return self.gpu or self.cpu


class Evidence(Frozen):
    """One run of a stack."""

    stack: Text = Field(description="the stack's id")
    lock_sha256: Sha256 = Field(description="64 hex digits")
    date: dt.date = Field(description="a date, in UTC")
    dsk: Text = Field(description="the version of dsk")
    where: Literal["venv", "container", "in-place"] = Field(
        description="venv, container, or in-place: an environment that no lock made"
    )
    machine: Machine = Field(description="a table of the machine's facts")
    versions: dict[str, str] = Field(description="packages and versions, as the engine saw them")
    settings: dict[str, Any] = Field(description="what the engine was started with")
    model: Text = Field(description="the model that was run")
    what: Text = Field(description="what was done, in words")
    result: Literal["exact", "different", "failed"] = Field(
        description="exact, different (the text that was read) or failed (no text)"
    )
    reason: str = Field(default="", description="why it is not exact, in words")
    pages: tuple[dict[str, Any], ...] = Field(default=(), description="a list of pages' figures")
    seconds: dict[str, float] = Field(default_factory=dict, description="how long each step took")


class ProofStatus(Frozen):
    """What a stack's evidence comes to, on the machine where it is asked."""

    here: dt.date | None = Field(description="the day it ran right on a machine like this one")
    on: dict[str, dt.date] = Field(description="where else it ran right, by device")
    failed: dict[str, dt.date] = Field(description="where its last run went wrong")
    stale: dict[str, dt.date] = Field(description="where it ran right with an earlier lock only")
    unlocked: dict[str, dt.date] = Field(
        description="where its pins ran right among packages that no lock chose"
    )

    @property
    def proved(self) -> bool:
        """Whether it ran right anywhere with its lock as it is now."""
        return bool(self.here or self.on)


def folder(matrix: Matrix) -> Path:
    """Where a probe's evidence goes: the matrix; for an installed dsk the user's cache."""
    inside = paths.data() / "compat"
    installed = not paths.in_checkout() and matrix.folder == inside.resolve()
    return paths.cache() / "evidence" if installed else matrix.folder / "evidence"


def load(matrix: Matrix) -> list[Evidence]:
    """All evidence, the oldest first: the matrix's own, and what was gathered on this machine.

    Of one day it is in the order of the files' names, wherever they lie.

    Raises:
        MatrixInvalid: a file is not evidence.
    """
    places = {matrix.folder / "evidence", folder(matrix)}
    files = sorted(
        (file for place in places for file in place.glob("*.json")), key=lambda f: f.name
    )
    return sorted((one for file in files if (one := _read(file))), key=lambda one: one.date)


def write(evidence: Evidence, place: Path) -> Path:
    """Write evidence under the name of its stack, device and day; the file.

    Raises:
        UsageProblem: the folder cannot be written to.
    """
    device = re.sub(r"[^a-z0-9]+", "-", evidence.machine.device.split(",")[0].lower()).strip("-")
    parts = [evidence.stack, device, evidence.where, evidence.date.isoformat()]
    file = place / f"{'-'.join(parts)}.json"
    write_atomically(file, evidence.model_dump_json(indent=2, exclude_none=True) + "\n")
    return file


def proof_status(
    stack: Stack, known: Iterable[Evidence], here: Machine | None = None
) -> ProofStatus:
    """What is known of a stack; of several runs on a device the last one counts.

    Runs in a container and in an environment are apart: each has its last one, and a device on
    which either went wrong is among the failures alone.

    Args:
        stack: one with or without a lock.
        known: all evidence, the oldest first.
        here: the machine that asks, with the device that the stack would compute on.
    """
    lock = stack.lock_sha256() if stack.lock_file.is_file() else ""
    own = [one for one in known if one.stack == stack.id]
    mine = [one for one in own if one.where != "in-place"]
    unlocked = {
        one.machine.device: one.date
        for one in own
        if one.where == "in-place" and one.result == EXACT
    }
    latest = {(one.machine.device, one.where): one for one in mine if one.lock_sha256 == lock}
    last = sorted(latest.values(), key=lambda one: one.date)
    failed = {one.machine.device: one.date for one in last if one.result != EXACT}
    on = {one.machine.device: one.date for one in last if one.machine.device not in failed}
    devices = on.keys() | failed.keys()
    stale = {
        one.machine.device: one.date
        for one in mine
        if one.result == EXACT and one.machine.device not in devices
    }
    device = here.device if here and here.device in on and _alike(last, here) else ""
    return ProofStatus(
        here=on.pop(device, None), on=on, failed=failed, stale=stale, unlocked=unlocked
    )


def summary(status: ProofStatus) -> str:
    """A stack's standing in a line."""
    said = [f"run here {status.here}"] if status.here else []
    said += [f"run on {device} {day}" for device, day in status.on.items()]
    said += [f"FAILED on {device} {day}" for device, day in status.failed.items()]
    if not status.proved:
        stale = status.stale.items()
        said += [
            f"stale: run on {device} {day}, the lock has changed since" for device, day in stale
        ]
    unlocked = status.unlocked.items()
    said += [
        f"its pins run on {device} {day}, not from the lock"
        for device, day in unlocked
        if device not in status.on
    ]
    return "; ".join(said) or "never run"


def unproved(stack: Stack, gpu: Gpu | None, known: Iterable[Evidence]) -> str:
    """What a user must know before building on a stack; empty when it is proved on that card.

    Args:
        stack: what is to be built.
        gpu: the card it is built for; None for a CPU.
        known: all evidence, the oldest first.
    """
    found = proof_status(stack, known)
    wanted = spellings_of(gpu) if gpu else None
    if any(wanted is None or normalized_name(device) in wanted for device in found.on):
        return ""
    name = gpu.name if gpu else "any CPU"
    return (
        f"UNPROVED: stack {stack.id} with this lock has not been seen to run on {name} "
        f"({summary(found)}): dsk matrix probe --stack {stack.id}, on such a machine, proves it"
    )


def _alike(last: Iterable[Evidence], here: Machine) -> bool:
    same = (one.machine for one in last if one.machine.device == here.device)
    return any(machine.cpu == here.cpu for machine in same)


def _read(file: Path) -> Evidence | None:
    """A file's evidence; None for evidence of something else than a stack."""
    try:
        read = json.loads(file.read_bytes())
        return Evidence.model_validate(read) if "stack" in read else None
    except ValueError as invalid:
        if not isinstance(invalid, ValidationError):
            what = f"{file}: {invalid}"
            raise MatrixInvalid(what, do="dsk matrix probe writes it anew") from invalid
        first = invalid.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        what = f"{file}, key '{key}': {first['msg']}"
        raise MatrixInvalid(what, do="dsk matrix probe writes it anew") from invalid
