"""Evidence: recorded runs of a stack, with machine and result; kept as JSON files."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, model_validator

from dsk import paths
from dsk.errors import MatrixInvalid
from dsk.files import write_atomically
from dsk.frozen import Frozen
from dsk.matrix.card_names import normalized, spellings
from dsk.matrix.profiles import Positive, Text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from dsk.matrix.catalog import Matrix
    from dsk.matrix.profiles import Gpu
    from dsk.matrix.stack import Stack

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

EXACT: Final = "exact"
# Drivers, kernels and the runs' own code move on: what ran half a year ago is seen again.
FRESH_DAYS: Final = 180


class Machine(Frozen):
    """An anonymous machine: the properties that decide which stacks run on it."""

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
        """Device that the engine computed on: the card, or else the CPU."""
        return self.gpu or self.cpu


class ReadAmount(Frozen):
    """The amount that a run read."""

    pages: Annotated[int, Field(ge=0)] = Field(description="a whole number")
    tokens: Annotated[int, Field(ge=0)] = Field(description="a whole number: those that came back")


class Evidence(Frozen):
    """A recorded run of a stack."""

    stack: Text = Field(description="the stack's id")
    lock_sha256: Sha256 = Field(description="64 hex digits")
    date: dt.date = Field(description="a date, in UTC")
    dsk: Text = Field(description="the version of dsk")
    where: Literal["venv", "container", "in-place"] = Field(
        description="venv, container, or in-place: an environment that no lock made"
    )
    from_lock: bool = Field(description="true or false: every package was the lock's")
    machine: Machine = Field(description="a table of the machine's facts")
    versions: dict[str, str] = Field(description="packages and versions, as the engine saw them")
    settings: dict[str, Any] = Field(description="what the engine was started with")
    model: Text = Field(description="the model that was run")
    profile: str = Field(default="", description="its profile's id; empty for the default model")
    size: Literal["", "tiny", "full"] = Field(
        default="", description="its test model's size; empty if not recorded"
    )
    what: Text = Field(description="what was done, in words")
    result: Literal["exact", "different", "failed"] = Field(
        description="exact, different (the text that was read) or failed (no text)"
    )
    reason: str = Field(default="", description="why it is not exact, in words")
    read: ReadAmount = Field(description="a table of pages and tokens")
    pages: tuple[dict[str, Any], ...] = Field(default=(), description="a list of pages' figures")
    seconds: dict[str, float] = Field(default_factory=dict, description="how long each step took")

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, values: Any) -> Any:
        """Fill in what earlier releases did not write, from what they did."""
        if not isinstance(values, dict) or "where" not in values:
            return values
        pages = values.get("pages", ())
        read = {"pages": len(pages), "tokens": sum(page.get("tokens") or 0 for page in pages)}
        return {"from_lock": values["where"] != "in-place", "read": read} | values

    @property
    def line(self) -> str:
        """The run in a line, as `dsk matrix show` prints it."""
        count = self.read.pages
        read = f"{count} page{'' if count == 1 else 's'}, {self.read.tokens} tokens"
        source = "from the lock" if self.from_lock else "not from the lock"
        return f"{self.date} {self.machine.device}: {self.result}, {self.model}, {read}, {source}"


class ProofStatus(Frozen):
    """Summary of a stack's evidence, as seen from one machine."""

    here: dt.date | None = Field(description="the day it ran right on a machine like this one")
    on: dict[str, dt.date] = Field(description="where else it ran right, by device")
    failed: dict[str, dt.date] = Field(description="where its last run went wrong")
    stale: dict[str, dt.date] = Field(
        description="where it ran right with an earlier lock, or other pins, only"
    )
    old: dict[str, dt.date] = Field(
        default_factory=dict, description="where it ran right longer ago than `FRESH_DAYS`"
    )
    unlocked: dict[str, dt.date] = Field(
        description="where its pins ran right among packages that no lock chose"
    )

    @property
    def proved(self) -> bool:
        """True if it ran correctly on some machine with its present lock."""
        return bool(self.here or self.on)


def folder(matrix: Matrix) -> Path:
    """Return the folder for new evidence: the matrix's; the user's cache for an installed dsk."""
    inside = paths.data() / "compat"
    installed = not paths.in_checkout() and matrix.folder == inside.resolve()
    return paths.cache() / "evidence" if installed else matrix.folder / "evidence"


def load(matrix: Matrix) -> list[Evidence]:
    """Load all evidence, oldest first: the matrix's own and that gathered on this machine.

    Evidence of one day is in the order of the files' names, whichever folder they are in.

    Raises:
        MatrixInvalid: a file is not evidence.
    """
    folders = {matrix.folder / "evidence", folder(matrix)}
    files = sorted(
        (file for parent in folders for file in parent.glob("*.json")), key=lambda f: f.name
    )
    return sorted((run for file in files if (run := _read(file))), key=lambda run: run.date)


def write(evidence: Evidence, folder: Path) -> Path:
    """Write evidence to a file named after its stack, model, device and day; return the file.

    The name of a run with a full-size test model says so.

    Raises:
        UsageProblem: the folder cannot be written to.
    """
    # A CPU's name goes on with its instruction sets, after a comma.
    device = re.sub(r"[^a-z0-9]+", "-", evidence.machine.device.split(",")[0].lower()).strip("-")
    parts = [
        evidence.stack,
        *filter(None, [evidence.profile, "full" if evidence.size == "full" else ""]),
        device,
        evidence.where,
        evidence.date.isoformat(),
    ]
    file = folder / f"{'-'.join(parts)}.json"
    write_atomically(file, evidence.model_dump_json(indent=2, exclude_none=True) + "\n")
    return file


def runs_of(stack: Stack, known: Iterable[Evidence]) -> list[Evidence]:
    """Return the runs of a stack as it is: from its lock, or in place with the versions it pins.

    They count for whichever version of the stack has that lock or those pins today: v1's run is
    v1@0.24.0's once that is what it was made with.
    """
    # Each architecture has a lock of its own.
    locks = {there.lock_sha256() for there in stack.on_each if there.lock_file.is_file()}
    own = [run for run in known if run.stack.partition("@")[0] == stack.base]
    return [
        run
        for run in own
        if (run.lock_sha256 in locks if _is_locked(run) else _has_pins(stack, run))
    ]


def proof_status(
    stack: Stack,
    known: Iterable[Evidence],
    here: Machine | None = None,
    today: dt.date | None = None,
) -> ProofStatus:
    """Return what is known of a stack; the last run on a device counts.

    A container and an environment have a last run with each model, and a device on which one failed
    is listed among the failures only.

    Args:
        stack: one with or without a lock.
        known: all evidence, oldest first.
        here: this machine, with the device that the stack would compute on.
        today: the day from which evidence is stale after `FRESH_DAYS`; None lets it never be, for
            pages that are the same every day.
    """
    known = list(known)
    oldest = today - dt.timedelta(days=FRESH_DAYS) if today else dt.date.min
    own = runs_of(stack, known)
    fresh = [run for run in own if run.date >= oldest]
    locked = [run for run in fresh if _is_locked(run)]
    # An in-place run had packages that no lock chose: it proves the pins, not the lock.
    unlocked = _exact(run for run in fresh if not _is_locked(run))
    # Evidence is oldest first, so a later run replaces an earlier one.
    latest = {(run.machine.device, run.where, run.profile): run for run in locked}
    last = sorted(latest.values(), key=lambda run: run.date)
    failed = {run.machine.device: run.date for run in last if run.result != EXACT}
    on = {run.machine.device: run.date for run in last if run.machine.device not in failed}
    devices = on.keys() | failed.keys() | unlocked.keys()
    old = _exact(own, without=devices)
    others = (run for run in known if run.stack == stack.id and run not in own)
    stale = _exact(others, without=devices | old.keys())
    # A CPU's instruction sets select its kernels: "here" means the same CPU, not the card alone.
    device = here.device if here and here.device in on and _same_cpu(last, here) else ""
    return ProofStatus(
        here=on.pop(device, None), on=on, failed=failed, stale=stale, old=old, unlocked=unlocked
    )


def summary(status: ProofStatus) -> str:
    """Return a stack's status in a line."""
    parts = [f"run here {status.here}"] if status.here else []
    parts += [f"run on {device} {day}" for device, day in status.on.items()]
    parts += [f"FAILED on {device} {day}" for device, day in status.failed.items()]
    if not status.proved:
        stale, old = status.stale.items(), status.old.items()
        parts += [
            f"stale: run on {device} {day}, the lock has changed since" for device, day in stale
        ]
        parts += [
            f"stale: run on {device} {day}, over {FRESH_DAYS} days ago" for device, day in old
        ]
    unlocked = status.unlocked.items()
    parts += [
        f"its pins run on {device} {day}, not from the lock"
        for device, day in unlocked
        if device not in status.on
    ]
    return "; ".join(parts) or "never run"


def unproved(
    stack: Stack, gpu: Gpu | None, known: Iterable[Evidence], today: dt.date | None = None
) -> str:
    """Return a warning if a stack is not proved on a card, or an empty text.

    Args:
        stack: the stack to be built.
        gpu: the card it is built for; None for a CPU.
        known: all evidence, oldest first.
        today: as in `proof_status`.
    """
    status = proof_status(stack, known, today=today)
    names = spellings(gpu) if gpu else None
    if any(names is None or normalized(device) in names for device in status.on):
        return ""
    name = gpu.name if gpu else "any CPU"
    return (
        f"UNPROVED: stack {stack.id} with this lock has not been seen to run on {name} "
        f"({summary(status)}): dsk matrix probe --stack {stack.id}, on such a machine, proves it"
    )


def _exact(runs: Iterable[Evidence], without: Collection[str] = ()) -> dict[str, dt.date]:
    """Return the last day on which a run was right on each device, without some of them."""
    return {
        run.machine.device: run.date
        for run in runs
        if run.result == EXACT and run.machine.device not in without
    }


def _is_locked(run: Evidence) -> bool:
    return run.from_lock and run.where != "in-place"


def _has_pins(stack: Stack, run: Evidence) -> bool:
    """Return True if a run had the versions that a stack pins, in whichever build."""
    public = {name: version.partition("+")[0] for name, version in run.versions.items()}
    return all(public.get(name, pin) == pin for name, pin in stack.pins.items())


def _same_cpu(last: Iterable[Evidence], here: Machine) -> bool:
    machines = (run.machine for run in last if run.machine.device == here.device)
    return any(machine.cpu == here.cpu for machine in machines)


def _read(file: Path) -> Evidence | None:
    """Return a file's evidence; None if it is evidence of something else than a stack."""
    try:
        read = json.loads(file.read_bytes())
        # The folder also holds the evidence of the transformers patch, which is of no stack.
        return Evidence.model_validate(read) if "stack" in read else None
    except ValueError as invalid:
        if not isinstance(invalid, ValidationError):
            what = f"{file}: {invalid}"
            raise MatrixInvalid(what, do="dsk matrix probe writes it anew") from invalid
        first = invalid.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        what = f"{file}, key '{key}': {first['msg']}"
        raise MatrixInvalid(what, do="dsk matrix probe writes it anew") from invalid
