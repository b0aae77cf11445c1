"""How a check is made and what it says; the checks themselves are `dsk.doctor.checks`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dsk.host.facts import Facts, Release
    from dsk.matrix import Gpu, Model, Stack

Status = Literal["ok", "warning", "error", "unknown", "skipped"]
"""``unknown``: its probe failed. ``skipped``: not reached, or nothing to do with the stack."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is judged: a host's facts, against a stack.

    Args:
        facts: of this machine, or recorded on another.
        stack: the stack that is to run.
        lock_sha256: of the stack's lock; empty when it has none.
        model: the model that is to run on it.
        gpu: the profile of a card that was asked about in place of those in the facts.
    """

    facts: Facts
    stack: Stack
    lock_sha256: str
    model: Model
    gpu: Gpu | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one check has to say.

    Args:
        status: how it stands.
        said: one line, without a full stop.
        details: more lines, for a status that is not ok.
        commands: what to paste into a shell, in order; the first lines of the finding's mending.
    """

    status: Status
    said: str
    details: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Check:
    """One link of the chain.

    Args:
        id: its name in JSON.
        title: its name in text.
        needs: the probes whose records it reads.
        after: the checks that must have been passed for it to mean anything.
        judge: pure; the records it needs are there when it is called.
        look: what to paste to see why its probe failed; by default, what else dsk found.
    """

    id: str
    title: str
    judge: Callable[[Question], Verdict]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    look: tuple[str, ...] = ("dsk doctor --json",)


class Finding(BaseModel):
    """A check's verdict, under its name."""

    check: str
    title: str
    status: Status
    said: str
    details: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


def judge(question: Question, checks: Sequence[Check]) -> list[Finding]:
    """Every check's finding, in the chain's order.

    A check behind one that failed is not reached: it does not repeat the cause.
    """
    findings: dict[str, Finding] = {}
    failed: dict[str, str] = {}
    for check in checks:
        verdict = _broken(check, findings) or _blind(check, question, failed)
        verdict = verdict or check.judge(question)
        findings[check.id] = Finding(check=check.id, title=check.title, **vars(verdict))
    return list(findings.values())


def _broken(check: Check, findings: dict[str, Finding]) -> Verdict | None:
    for earlier in (findings[name] for name in check.after):
        if earlier.status == "skipped":
            return Verdict(status="skipped", said=earlier.said)
        if earlier.status in ("error", "unknown"):
            return Verdict(status="skipped", said=f"not reached: {earlier.title} first")
    return None


def _blind(check: Check, question: Question, told: dict[str, str]) -> Verdict | None:
    """The first check that needs a failed probe says so; ``told`` keeps which one that was."""
    for name in check.needs:
        if getattr(question.facts, name) is not None:
            continue
        reason = question.facts.failures.get(name, "these facts do not tell")
        first = told.setdefault(name, check.title)
        if first != check.title:
            return Verdict(status="skipped", said=f"not reached: {first} first")
        said = f"could not be looked at: {reason}"
        return Verdict(status="unknown", said=said, commands=check.look)
    return None


def dotted(release: Release) -> str:
    """A release as most write it: ``2.35``."""
    return ".".join(str(part) for part in release)


def as_driver(release: Release) -> str:
    """A release as NVIDIA writes it: ``535.183.01``."""
    return ".".join(str(part) if at < 2 else f"{part:02}" for at, part in enumerate(release))
