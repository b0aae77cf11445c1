"""Promotion of a candidate to its stack, and the retirement of what it replaced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.version import Version

from dsk.errors import MatrixInvalid, UsageProblem, VerificationFailed
from dsk.files import write_atomically
from dsk.locks import lock_file
from dsk.matrix.evidence import EXACT, runs_of
from dsk.updates.listing import releases_of
from dsk.updates.static import lead_of
from dsk.vllm_plugin.stack_support import stack_version

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from dsk.matrix import Matrix, Stack
    from dsk.matrix.evidence import Evidence


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A device on which a stack read a model right; the model's profile, empty for the default."""

    device: str
    profile: str

    @property
    def text(self) -> str:
        """The proof in words."""
        return f"{self.device} with {self.profile or 'the default model'}"


def proofs(stack: Stack, known: Iterable[Evidence]) -> set[Proof]:
    """Return the devices and models that a stack's evidence covers, from its lock or in place."""
    return {
        Proof(device=run.machine.device, profile=run.profile)
        for run in runs_of(stack, known)
        if run.result == EXACT
    }


def uncovered(live: Stack, candidate: Stack, known: Sequence[Evidence]) -> list[Proof]:
    """Return what the present stack's evidence covers and the candidate's does not."""
    missing = proofs(live, known) - proofs(candidate, known)
    return sorted(missing, key=lambda proof: (proof.device, proof.profile))


def promote(candidate: Stack, matrix: Matrix, known: Sequence[Evidence]) -> list[Path]:
    """Make a candidate its stack; the present one stays as STACK@VERSION.

    Returns:
        The files written.

    Raises:
        UsageProblem: it is no candidate.
        MatrixInvalid: it has no lock.
        VerificationFailed: the present stack's evidence covers devices that its own does not.
    """
    if candidate.id not in matrix.candidates or candidate.base not in matrix.stacks:
        what = f"{candidate.id} is no candidate of a stack"
        raise UsageProblem(what, do=f"known are {', '.join(matrix.candidates) or 'none'}")
    live = matrix.stacks[candidate.base]
    for there in candidate.on_each:
        lock_file.parse(there.lock_file)
    if missing := uncovered(live, candidate, known):
        listed = ", ".join(proof.text for proof in missing)
        what = f"{candidate.id} has no evidence for what proves {live.id}: {listed}"
        raise VerificationFailed(what, do=f"dsk matrix probe --stack {candidate.id}, on each")
    stacks = matrix.folder / "stacks"
    old = f"{live.base}@{stack_version(live)}"
    moves = {
        stacks / f"{old}.toml": (stacks / f"{live.id}.toml").read_text("utf-8"),
        **{
            there.lock_file.with_name(there.lock_file.name.replace(live.id, old, 1)): (
                there.lock_file.read_text("utf-8")
            )
            for there in live.on_each
        },
        **{
            live.lock_file.with_name(there.lock_file.name.replace(candidate.id, live.id, 1)): (
                there.lock_file.read_text("utf-8")
            )
            for there in candidate.on_each
        },
        stacks / f"{live.id}.toml": _file_of(candidate).read_text("utf-8"),
    }
    # The old one is kept before the new one takes its place.
    for file, text in moves.items():
        write_atomically(file, text)
    for file in (_file_of(candidate), *(there.lock_file for there in candidate.on_each)):
        file.unlink()
    return list(moves)


def _file_of(candidate: Stack) -> Path:
    return candidate.folder / "candidates" / f"{candidate.id}.toml"


@dataclass(frozen=True, kw_only=True)
class Retirement:
    """An old version of a stack, and why it may go; no reason if it may not."""

    stack: Stack
    reasons: tuple[str, ...]


def old_versions(matrix: Matrix) -> list[Stack]:
    """Return the old versions of stacks, the oldest first."""
    old = [stack for stack in matrix.stacks.values() if stack.earlier]
    return sorted(old, key=lambda stack: (stack.base, Version(stack_version(stack))))


def retirement(stack: Stack, known: Sequence[Evidence], today: dt.date, days: int) -> Retirement:
    """Judge an old version by its evidence and by the index.

    Args:
        stack: an old version.
        known: all evidence.
        today: the day that ages are counted to.
        days: the age up to which evidence counts.

    Raises:
        EngineMissing: the index cannot be reached.
    """
    reasons = []
    last = max((run.date for run in runs_of(stack, known) if run.result == EXACT), default=None)
    if last is None:
        reasons.append("no evidence")
    elif (today - last).days > days:
        reasons.append(f"its last evidence is of {last}, older than {days} days")
    locked = {each.name: each for each in lock_file.parse(stack.lock_file)}
    for name in dict.fromkeys([lead_of(stack), *stack.wheel_pins]):
        package = locked.get(name)
        if package is None:
            what = f"{stack.lock_file} has no {name}, which {stack.id} pins"
            raise MatrixInvalid(what, do=f"dsk matrix lock {stack.id}")
        offered = {hash_ for each in releases_of(stack, name) for hash_ in each.hashes}
        if package.sha256 not in offered:
            reasons.append(f"the wheel of {name} {package.version} is yanked or gone")
    return Retirement(stack=stack, reasons=tuple(reasons))


def remove(stack: Stack) -> list[Path]:
    """Delete the files of an old version; return them."""
    locks = [there.lock_file for there in stack.on_each]
    files = [stack.folder / "stacks" / f"{stack.id}.toml", *locks]
    for file in files:
        file.unlink(missing_ok=True)
    return files
