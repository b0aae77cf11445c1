"""A check, its verdict, and the run of a chain of them; the checks are `dsk.doctor.checks`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dsk.advisories.audit import AuditReport
    from dsk.host.facts import Facts, Release
    from dsk.matrix import Gpu, Model, Stack

    Evaluate = Callable[["CheckContext"], "Verdict"]

# `unknown`: the check's probe failed. `skipped`: behind another check that failed, or not needed by
# the stack.
CheckStatus = Literal["ok", "warning", "error", "unknown", "skipped"]


@dataclass(frozen=True, kw_only=True)
class CheckContext:
    """Input of every check: a host's facts and the stack that is to run on it.

    Args:
        facts: of this machine, or recorded on another.
        stack: the stack that is to run.
        lock_sha256: of the stack's lock; empty when it has none.
        model: the model that is to run on it.
        gpu: the profile of a card that was asked about in place of those in the facts.
        audit: what is known of the vulnerabilities of the stack's lock.
        alternatives: other stacks whose minimums the machine meets, the preferred one first.
        by_card: the stack of each card that this one does not run on, by the card's name.
    """

    facts: Facts
    stack: Stack
    lock_sha256: str
    model: Model
    gpu: Gpu | None = None
    audit: AuditReport | None = None
    alternatives: tuple[str, ...] = ()
    by_card: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Result of one check.

    Args:
        status: ok, or what kind of not ok.
        summary: one line, without a full stop.
        details: more lines, for a status that is not ok.
        commands: shell commands that fix or show the problem, in order; the first one is the
            report's next step.
    """

    status: CheckStatus
    summary: str
    details: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Check:
    """One link of the chain.

    Args:
        id: its name in JSON.
        title: its name in text.
        evaluate: pure; called only when the facts that it needs are there.
        needs: the facts that it reads, by the names of their probes.
        after: the checks that must have passed for this one to mean anything.
        inspect: commands that show why its probe failed.
    """

    id: str
    title: str
    evaluate: Evaluate
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    inspect: tuple[str, ...] = ("dsk doctor --json",)


@dataclass(frozen=True)
class CheckGroup:
    """The checks of one module, in the order in which they are defined.

    Args:
        position: its place in the chain; a lower one is checked and reported first.
    """

    position: int
    checks: list[Check] = field(default_factory=list)

    def check(
        self,
        name: str,
        title: str,
        *,
        needs: tuple[str, ...] = (),
        after: tuple[str, ...] = (),
        inspect: tuple[str, ...] = ("dsk doctor --json",),
    ) -> Callable[[Evaluate], Evaluate]:
        """Return a decorator that registers a function as a check, see `Check`."""

        def register(evaluate: Evaluate) -> Evaluate:
            self.checks.append(
                Check(
                    id=name,
                    title=title,
                    evaluate=evaluate,
                    needs=needs,
                    after=after,
                    inspect=inspect,
                )
            )
            return evaluate

        return register


class Finding(BaseModel):
    """A check's verdict under the check's name, as `dsk doctor --json` has it."""

    # The names of the fields are keys of the JSON that users parse: they stay as they are.
    check: str
    title: str
    status: CheckStatus
    said: str
    details: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


def run_checks(context: CheckContext, checks: Sequence[Check]) -> list[Finding]:
    """Return every check's finding, in the chain's order.

    A check behind one that failed is skipped: it would only repeat the cause.
    """
    findings: dict[str, Finding] = {}
    first_without: dict[str, str] = {}
    for check in checks:
        verdict = _stopped_by_earlier(check, findings)
        verdict = verdict or _without_facts(check, context, first_without)
        verdict = verdict or check.evaluate(context)
        findings[check.id] = Finding(
            check=check.id,
            title=check.title,
            status=verdict.status,
            said=verdict.summary,
            details=verdict.details,
            commands=verdict.commands,
        )
    return list(findings.values())


def blocked_by(title: str) -> Verdict:
    """Return the verdict of a check that means nothing until the check of that title is ok."""
    return Verdict(status="skipped", summary=f"not checked: see {title}")


def _stopped_by_earlier(check: Check, findings: dict[str, Finding]) -> Verdict | None:
    """Return `skipped` if a check that must have passed before this one has not."""
    for earlier in (findings[name] for name in check.after):
        if earlier.status == "skipped":
            return Verdict(status="skipped", summary=earlier.said)
        if earlier.status in ("error", "unknown"):
            return blocked_by(earlier.title)
    return None


def _without_facts(
    check: Check, context: CheckContext, first_without: dict[str, str]
) -> Verdict | None:
    """Return `unknown` for the first check whose probe failed, `skipped` for later ones.

    ``first_without`` maps each failed probe to the title of the check that reported it.
    """
    for name in check.needs:
        # Only one check reports the failed probe; repeating it would hide the others.
        if getattr(context.facts, name) is not None:
            continue
        reason = context.facts.failures.get(name, "these facts do not say why")
        first = first_without.setdefault(name, check.title)
        if first != check.title:
            return blocked_by(first)
        summary = f"could not be checked: {reason}"
        return Verdict(status="unknown", summary=summary, commands=check.inspect)
    return None


def dotted(release: Release) -> str:
    """Return a release as most write it: ``2.35``."""
    return ".".join(str(part) for part in release)


def as_driver(release: Release) -> str:
    """Return a release as NVIDIA writes it: ``535.183.01``."""
    return ".".join(str(part) if at < 2 else f"{part:02}" for at, part in enumerate(release))
