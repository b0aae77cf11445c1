"""`dsk build`: build the image for a GPU, or of a CPU stack, from its Dockerfile."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from dsk import console
from dsk.cli.common import gpu_options
from dsk.cli.common.clock import today
from dsk.cli.common.model_option import NAMES, model_option
from dsk.errors import DriftFound, EngineMissing, UsageProblem

if TYPE_CHECKING:
    from dsk.images.command import BuildRequest
    from dsk.images.parts import Part
    from dsk.matrix import Matrix, Stack


# Into a shell's and sed's hands: nothing that either reads as its own.
_SNAPSHOT: Final = re.compile(r"https?://[\w.:/~-]*{archive}[\w.:/~-]*", re.ASCII)


def _snapshot(_context: click.Context, _option: click.Parameter, url: str | None) -> str | None:
    if url is not None and not _SNAPSHOT.fullmatch(url):
        message = "give an http address with {archive} in it, such as http://HOST/{archive}/DAY"
        raise click.BadParameter(message)
    return url


@click.command("build")
@click.option("--gpu", metavar="ID", help="GPU whose stack is installed, such as rtx4090.")
@gpu_options.describing
@click.option("--stack", metavar="ID", help="Stack to install; the GPU's default without it.")
@click.option(
    "--platform",
    "platform_name",
    type=click.Choice(["linux/amd64", "linux/arm64"]),
    help="Platform of the image: that of the card's machine, or this one's, by default. Another"
    " one's is built under emulation.",
)
@click.option(
    "--with",
    "part_name",
    metavar="PART",
    help="Install an optional part, too: flash-attn, compiled for --gpu (without it, for every card"
    " of the stack), or flash-attn-wheel, ready and of known hash.",
)
@model_option(f"Model that the image reads with where none is named: {NAMES}.")
@click.option("--base-image", metavar="REF", help="Override the stack's base image.")
@click.option(
    "--devel-image",
    metavar="REF",
    help="Override the image that CUDA extensions are compiled in.",
)
@click.option(
    "--snapshot",
    metavar="URL",
    callback=_snapshot,
    help="Install system packages from this address of a snapshot service; {archive} in it stands"
    " for debian, debian-security or ubuntu. Today's packages by default.",
)
@click.option("--max-jobs", type=click.IntRange(min=1), help="Parallel compilers, 4 to 8 GB each.")
@click.option("--tag", metavar="NAME", help="Name of the image; dsk:STACK by default.")
@click.option("--push", is_flag=True, help="Push the image to its registry; keep none here.")
@click.option(
    "--cache-from",
    multiple=True,
    metavar="SOURCE",
    help="Cache to read layers from, in the syntax of docker buildx build.",
)
@click.option(
    "--cache-to",
    multiple=True,
    metavar="DEST",
    help="Cache to write layers to, in the syntax of docker buildx build.",
)
@click.option(
    "--network", metavar="MODE", help="Network of the build steps: default, host or none."
)
@click.option(
    "--sbom", type=click.Path(path_type=Path), help="Write a CycloneDX SBOM to this file."
)
@click.option(
    "--reproducible",
    is_flag=True,
    help="Set every file's timestamp above the base image to the lock's date.",
)
@click.option(
    "--verify-reproducible",
    is_flag=True,
    help="Build twice without cache, compare the digests (exit code 10), keep no image.",
)
@click.option("--dry-run", is_flag=True, help="Print the commands, build nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    gpu: str | None,
    capability: tuple[int, int] | None,
    vram: float | None,
    stack: str | None,
    platform_name: str | None,
    part_name: str | None,
    model: str | None,
    base_image: str | None,
    devel_image: str | None,
    snapshot: str | None,
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

    Package index settings and certificates are passed as secrets; no layer contains them. A CPU
    stack reads an eye chart before its image is made; run dsk verify in an image for a GPU.

    \b
    Examples:
      dsk build --gpu rtx4090
      dsk build --stack cpu --reproducible --sbom cpu.json
      dsk build --stack cpu --model unlimited-ocr
    """
    from dsk import models
    from dsk.advisories.audit import reachable_notes
    from dsk.advisories.targets import report_on
    from dsk.images.command import BuildRequest, architecture_of, unpinned
    from dsk.images.parts import part_of
    from dsk.matrix import evidence, load_matrix
    from dsk.matrix.select import stack_for
    from dsk.models.reference import resolve
    from dsk.ocr.schema.plan_format import plan_format
    from dsk.vllm_plugin import stack_support

    if verify_reproducible and push:
        # The comparison keeps no image that could be pushed.
        what = "--verify-reproducible and --push exclude each other"
        raise UsageProblem(what, do="verify first, then push")
    matrix = load_matrix()
    card = gpu_options.requested(matrix, gpu, capability, vram)
    record = resolve(model).profile.record
    arch = architecture_of(platform_name) if platform_name else None
    if card and arch:
        card = card.model_copy(update={"host_arch": arch})
    chosen = stack_for(matrix, card, stack, stack_support.obstacle_for(record), arch=arch)
    stack_support.require(chosen, record, matrix)
    part = part_of(chosen, part_name) if part_name else None
    other_model = "" if record.id == models.default().id else record.id
    for flag, given in (("--devel-image", devel_image), ("--max-jobs", max_jobs)):
        # Ignored in silence, the option would seem to have worked.
        if given and (part is None or part.is_wheel):
            what = f"{flag} is given, and nothing is compiled"
            raise UsageProblem(what, do=f"remove {flag}, or add --with and a part that is compiled")
    if push and not _has_registry(tag or ""):
        name = tag or _tag(chosen, part, other_model)
        what = f"--push is given, and the name {name} has no registry"
        raise UsageProblem(what, do="add --tag REGISTRY/NAME:TAG")
    context, file = _dockerfile(matrix, chosen)
    request = BuildRequest(
        stack=chosen,
        dockerfile=file,
        context=context,
        tag=tag or _tag(chosen, part, other_model),
        plan_format=plan_format(),
        model=other_model,
        base=base_image,
        devel=devel_image,
        snapshot=snapshot,
        part=part,
        gpu=card,
        max_jobs=max_jobs,
        network=network,
        push=push,
        cache_from=cache_from,
        cache_to=cache_to,
        reproducible=reproducible,
    )
    # A warning only: a mirror's or one's own base image is often known by a tag.
    for reference in unpinned(request):
        console.warn(
            f"{reference} is a tag without a digest, so the image depends on what it means today:"
            f" {'name it as NAME:TAG@sha256:...' if base_image else 'dsk matrix lock --images'}"
        )
    # A warning only: the first build on a new card cannot be proved yet.
    if unproved := evidence.unproved(chosen, card, evidence.load(matrix), today()):
        console.warn(unproved)
    if known := report_on(chosen):
        for note in reachable_notes(known):
            console.warn(f"a known vulnerability can be reached: {note}")
    if dry_run:
        _show(request, verify=verify_reproducible, as_json=as_json)
        return
    _build(request, sbom=sbom, verify=verify_reproducible, as_json=as_json)


def _tag(stack: Stack, part: Part | None, model: str) -> str:
    """Return an image's name; one for another model than the default does not replace it."""
    from dsk.images.command import image_name

    parts = [f"dsk:{image_name(stack)}", part.name if part else "", model]
    return "-".join(filter(None, parts))


def _has_registry(tag: str) -> bool:
    """Return True if an image's name says which registry it is in, as Docker reads names."""
    host, slash, _ = tag.partition("/")
    return bool(slash) and (host == "localhost" or "." in host or ":" in host)


def _dockerfile(matrix: Matrix, chosen: Stack) -> tuple[Path, Path]:
    """Return the build context and the Dockerfile."""
    from dsk import paths
    from dsk.generated import tree
    from dsk.images import context

    root = context.folder()
    file, text = tree.of(matrix, chosen, root=root)
    if not paths.in_checkout():
        tree.write({file: text})
    # An image must come from the committed Dockerfile that a reviewer has seen.
    elif tree.drifted({file: text}):
        what = f"{file.relative_to(root)} is out of date"
        raise DriftFound(what, do=f"dsk render --stack {chosen.id}")
    return root, file


def _commands(request: BuildRequest, *, verify: bool) -> list[list[str]]:
    """Return the commands that a build would run, without its temporary files and secrets."""
    from dsk.images import command, docker_engine

    file = Path("FILE")
    if verify:
        return command.comparison_commands(request, metadata=(file, file))
    try:
        engine = docker_engine.inspect()
    except EngineMissing:
        containerd_store = False  # a dry run needs no Docker
    else:
        docker_engine.require(engine, rewrites=request.reproducible)
        containerd_store = engine.containerd_store
    return command.image_commands(request, containerd_store=containerd_store, archive=file)


def _show(request: BuildRequest, *, verify: bool, as_json: bool) -> None:
    commands = _commands(request, verify=verify)
    if as_json:
        answer = {"dockerfile": str(request.dockerfile), "tag": request.tag, "commands": commands}
        console.echo(json.dumps(answer, indent=2))
        return
    console.echo(f"Dockerfile: {request.dockerfile}")
    for arguments in commands:
        console.echo(shlex.join(arguments))


def _build(request: BuildRequest, *, sbom: Path | None, verify: bool, as_json: bool) -> None:
    from dsk.files import write_atomically
    from dsk.images import build, docker_engine
    from dsk.locks.sbom import sbom as sbom_of

    engine = docker_engine.inspect()
    docker_engine.require(engine, rewrites=request.reproducible and not verify)
    for warning in docker_engine.warnings(engine):
        console.warn(warning)
    before = None if verify else docker_engine.image_id(request.tag)

    def report(line: str) -> None:
        console.err().print(line, markup=False, highlight=False, soft_wrap=True)

    if before:
        report(f"{request.tag} exists already ({before}); the new image takes over its name")
    log = build.log_file(request.stack.id)
    if verify:
        digest: str | None = build.twice(request, report, log=log)
    else:
        store = engine.containerd_store
        digest = build.image(request, report, containerd_store=store, log=log)
    if sbom:
        # A comparison keeps no image, and nothing to list.
        inventory = None if verify else build.inventory(request, report, log=log)
        write_atomically(sbom, sbom_of(request.stack_as_built, inventory))
    answer = {
        "stack": request.stack.id,
        "lock_sha256": request.stack.lock_sha256(),
        "tag": None if verify else request.tag,
        "digest": digest,
        "bases": build.bases(log),
        "log": str(log),
        "sbom": str(sbom) if sbom else None,
    }
    if as_json:
        console.echo(json.dumps(answer, indent=2))
    elif verify:
        console.echo(f"reproducible: {digest}, twice")
    else:
        console.echo(f"{request.tag}: {digest or 'built'}")
