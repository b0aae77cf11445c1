"""`dsk build`: build the image of a GPU, or of a stack of the CPU, from its Dockerfile."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dsk import console
from dsk.errors import DriftFound, EngineMissing, UsageProblem

if TYPE_CHECKING:
    from dsk.images.command import BuildRequest
    from dsk.matrix import Gpu, Matrix, Stack


@click.command("build")
@click.option("--gpu", metavar="ID", help="The GPU to build for, such as rtx4090.")
@click.option("--stack", metavar="ID", help="Another stack than the GPU's own; or a CPU's, alone.")
@click.option("--base-image", metavar="REF", help="Another base than the stack's, local or not.")
@click.option("--devel-image", metavar="REF", help="Another image to compile in, likewise.")
@click.option("--max-jobs", type=click.IntRange(min=1), help="Compilers at once, 4 to 8 GB each.")
@click.option("--tag", metavar="NAME", help="The image's name; dsk:GPU-STACK if not given.")
@click.option("--push", is_flag=True, help="Send it to the registry of its name, keep none here.")
@click.option("--cache-from", multiple=True, metavar="WHERE", help="As docker buildx takes it.")
@click.option("--cache-to", multiple=True, metavar="WHERE", help="As docker buildx takes it.")
@click.option("--network", metavar="MODE", help="Of the build's steps: host, default or none.")
@click.option("--sbom", type=click.Path(path_type=Path), help="Write CycloneDX JSON to this file.")
@click.option("--reproducible", is_flag=True, help="Every time above the base is the lock's.")
@click.option(
    "--verify-reproducible",
    is_flag=True,
    help="Build twice without cache and compare the digests (exit code 10); keep no image.",
)
@click.option("--dry-run", is_flag=True, help="Print the commands and build nothing.")
@click.option("--json", "as_json", is_flag=True, help="Say what came of it as JSON.")
def command(
    gpu: str | None,
    stack: str | None,
    base_image: str | None,
    devel_image: str | None,
    max_jobs: int | None,
    tag: str | None,
    push: bool,
    cache_from: tuple[str, ...],
    cache_to: tuple[str, ...],
    network: str | None,
    sbom: Path | None,
    reproducible: bool,
    verify_reproducible: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Build an image with docker buildx, test it, and load it into the local Docker engine.

    Settings of the package index and certificates reach the build as secrets, and no layer. A
    stack of the CPU reads an eye chart before its image is made; on a GPU, dsk verify does in it.

    \b
    Examples:
      dsk build --gpu rtx4090
      dsk build --stack cpu --reproducible --sbom cpu.json
    """
    from dsk.images.command import BuildRequest
    from dsk.matrix import evidence, load_matrix

    if verify_reproducible and push:
        what = "--verify-reproducible and --push exclude each other"
        raise UsageProblem(what, do="verify first, then push")
    matrix = load_matrix()
    card, chosen = _wished(matrix, gpu, stack)
    for flag, given in (("--devel-image", devel_image), ("--max-jobs", max_jobs)):
        if given and not chosen.sources:
            what = f"{flag} is given, and nothing is compiled for stack '{chosen.id}'"
            raise UsageProblem(what, do=f"leave {flag} out")
    context, file, name = _dockerfile(matrix, card, chosen)
    request = BuildRequest(
        stack=chosen,
        dockerfile=file,
        context=context,
        tag=tag or (f"dsk:{card.id}-{chosen.id}" if card else f"dsk:{chosen.id}"),
        base=base_image,
        devel=devel_image,
        max_jobs=max_jobs,
        network=network,
        push=push,
        cache_from=cache_from,
        cache_to=cache_to,
        reproducible=reproducible,
    )
    if unproved := evidence.unproved(chosen, card, evidence.load(matrix)):
        console.warn(unproved)
    if dry_run:
        _show(request, verify=verify_reproducible, as_json=as_json)
        return
    _build(request, name, sbom=sbom, verify=verify_reproducible, as_json=as_json)


def _wished(matrix: Matrix, gpu: str | None, stack: str | None) -> tuple[Gpu | None, Stack]:
    from dsk.matrix.select import select

    if not gpu and not stack:
        what = "neither --gpu nor --stack is given"
        raise UsageProblem(what, do="name a card with --gpu, or a stack of the CPU with --stack")
    card = matrix.gpu(gpu) if gpu else None
    if stack:
        return card, matrix.stack(stack)
    assert card is not None
    return card, select(matrix, card)


def _dockerfile(matrix: Matrix, card: Gpu | None, chosen: Stack) -> tuple[Path, Path, str]:
    """The context, the Dockerfile and its folder's name."""
    from dsk import paths
    from dsk.generated import tree
    from dsk.images import context

    root = context.folder()
    file, text = tree.of(matrix, card, chosen, root=root)
    if not paths.in_checkout():
        tree.write({file: text})
    elif tree.drifted({file: text}):
        again = f"--gpu {card.id} --stack {chosen.id}" if card else f"--stack {chosen.id}"
        what = f"{file.relative_to(root)} is not as rendered"
        raise DriftFound(what, do=f"dsk render {again}")
    return root, file, file.parent.name


def _commands(request: BuildRequest, *, verify: bool) -> list[list[str]]:
    from dsk.images import build, command, docker_engine

    if verify:
        return [command.build(request, build.IMAGE, [], more=command.compared(Path("FILE")))] * 2
    try:
        found = docker_engine.ask()
    except EngineMissing:
        containerd_store = False
    else:
        docker_engine.require(found, rewrites=request.reproducible)
        containerd_store = found.containerd_store
    archive = Path("FILE")
    output = command.image(request, containerd_store=containerd_store, archive=archive)
    image = [command.build(request, build.IMAGE, output), *command.load_or_push(request, archive)]
    test = command.build(request, build.SELF_TEST, ["--output=type=cacheonly"])
    return [test, *image] if request.stack.device == "cpu" else image


def _show(request: BuildRequest, *, verify: bool, as_json: bool) -> None:
    commands = _commands(request, verify=verify)
    if as_json:
        told = {"dockerfile": str(request.dockerfile), "tag": request.tag, "commands": commands}
        click.echo(json.dumps(told, indent=2))
        return
    click.echo(f"Dockerfile: {request.dockerfile}")
    for one in commands:
        click.echo(shlex.join(one))


def _build(
    request: BuildRequest, name: str, *, sbom: Path | None, verify: bool, as_json: bool
) -> None:
    from dsk.files import write_atomically
    from dsk.images import build, docker_engine
    from dsk.locks import sbom as bills

    found = docker_engine.ask()
    docker_engine.require(found, rewrites=request.reproducible and not verify)
    for warning in docker_engine.warnings(found):
        console.warn(warning)
    before = None if verify else docker_engine.image_id(request.tag)

    def heard(line: str) -> None:
        console.err().print(line, markup=False, highlight=False, soft_wrap=True)

    if before:
        heard(f"{request.tag} exists already ({before}); its name goes to what is built now")
    log = build.log_file(name)
    if verify:
        digest: str | None = build.twice(request, heard, log=log)
    else:
        digest = build.image(request, heard, containerd_store=found.containerd_store, log=log)
    if sbom:
        write_atomically(sbom, bills.sbom(request.stack))
    told = {
        "stack": request.stack.id,
        "lock_sha256": request.stack.lock_sha256(),
        "tag": None if verify else request.tag,
        "digest": digest,
        "log": str(log),
        "sbom": str(sbom) if sbom else None,
    }
    if as_json:
        click.echo(json.dumps(told, indent=2))
    elif verify:
        click.echo(f"reproducible: {digest}, twice")
    else:
        click.echo(f"{request.tag}: {digest or 'built'}")
