"""A candidate from its proposal to its report: written, resolved, checked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dsk.errors import StackConflict
from dsk.files import write_atomically
from dsk.locks import lock_file
from dsk.locks.check import check
from dsk.locks.resolve import closure_of
from dsk.matrix.load import load_candidate
from dsk.updates import candidate_file, static
from dsk.updates.report import CandidateReport
from dsk.vllm_plugin.stack_support import obstacle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsk.matrix import Matrix, Model, Stack
    from dsk.matrix.evidence import Evidence
    from dsk.updates.proposal import Proposal
    from dsk.updates.wheel_finding import WheelFinding


def create(proposal: Proposal) -> Stack:
    """Write a proposal as a candidate, and return it.

    Raises:
        MatrixInvalid: the stack's file is not as a candidate can be made from.
        UsageProblem: the matrix's folder cannot be written to.
    """
    return load_candidate(candidate_file.write(proposal))


def existing(proposal: Proposal, matrix: Matrix) -> Stack | None:
    """Return the locked candidate with a proposal's pins; None if there is none."""
    candidate = matrix.candidates.get(proposal.id)
    if candidate is None or candidate.pins != proposal.pins:
        return None
    is_locked = all(there.lock_file.is_file() for there in candidate.on_each)
    return candidate if is_locked else None


def resolve(candidate: Stack) -> int:
    """Write a candidate's lock for each architecture; return how many packages the first has.

    Raises:
        StackConflict: its pins contradict some metadata.
        EngineMissing: uv is missing, or the index cannot be reached.
    """
    # All are resolved before one is written: a lock says that the candidate resolves.
    closures = [(there, closure_of(there)) for there in candidate.on_each]
    for there, packages in closures:
        text = lock_file.dump(candidate.base, packages, there.arch)
        write_atomically(there.lock_file, text)
    return len(closures[0][1])


def report_of(
    candidate: Stack, matrix: Matrix, known: Sequence[Evidence], notes: Sequence[str] = ()
) -> CandidateReport:
    """Check a candidate, whether it has a lock or its pins alone, and return the report.

    Raises:
        EngineMissing: metadata is not in the cache yet and the index cannot be reached.
    """
    models = list(matrix.models.values())
    if candidate.lock_file.is_file():
        conflicts = [fault for there in candidate.on_each for fault in check(there).faults]
        findings = [finding for there in candidate.on_each for finding in _on(there, models)]
    else:
        # What does not resolve can be read all the same, if its transformers is pinned.
        conflicts = [f"it has no lock: {_conflict(candidate)}"]
        findings = static.findings_of_pins(candidate, models)
    obstacles = [obstacle(candidate, model) for model in models]
    if all(obstacles):
        conflicts += obstacles
    return CandidateReport(
        live=matrix.stacks[candidate.base],
        candidate=candidate,
        conflicts=conflicts,
        findings=findings,
        known=known,
        notes=notes,
    )


def _on(there: Stack, models: Sequence[Model]) -> list[WheelFinding]:
    """Return the findings on one architecture, which those on a further one name."""
    found = static.findings(there, models)
    if there.full_name == there.id:
        return found
    return [replace(each, check=f"{each.check}, {there.arch}") for each in found]


def _conflict(candidate: Stack) -> str:
    try:
        closure_of(candidate)
    except StackConflict as conflict:
        return conflict.what
    return f"dsk matrix lock {candidate.id}"
