"""The generated files of the repository: what they should hold, what differs, writing them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk import paths
from dsk.doctor.report import schema as doctor_schema
from dsk.errors import UsageProblem
from dsk.files import write_atomically
from dsk.generated import markdown
from dsk.images.deployment import bake, compose
from dsk.images.dockerfile import dockerfile
from dsk.matrix import evidence
from dsk.matrix.select import require, select, unmet_gpu_minimums
from dsk.ocr.outputs.json_document import schema as document_schema

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import click

    from dsk.matrix import Gpu, Matrix, Stack


def repository() -> Path:
    """The checkout that the generated files lie in.

    Raises:
        UsageProblem: this dsk is an installed wheel; there is nothing to write to.
    """
    if not paths.in_checkout():
        what = "this dsk is installed as a package, and Dockerfiles are rendered in its repository"
        raise UsageProblem(what, do="clone the repository and run dsk from there")
    return paths.CHECKOUT


def of(
    matrix: Matrix, gpu: Gpu | None, stack: Stack | None = None, *, root: Path | None = None
) -> tuple[Path, str]:
    """Where the Dockerfile of a GPU, or of a stack of the CPU, lies, and its text.

    Args:
        matrix: the loaded matrix.
        gpu: one of its profiles; None for a stack of the CPU.
        stack: another stack than the one the GPU gets by itself.
        root: where ``dockerfiles`` is; the repository when not given.

    Raises:
        NoStackFits: none does, or the wished one does not.
        UsageProblem: a stack of the GPU without a GPU.
    """
    if gpu is None:
        if stack is None or stack.gpu is not None:
            what = f"stack '{stack.id}' runs on a GPU, and none is named" if stack else "no GPU"
            raise UsageProblem(what, do="name it with --gpu, such as --gpu rtx4090")
    else:
        stack = stack or select(matrix, gpu)
        require(stack, gpu)
    place = _place(matrix, gpu, stack, root or repository())
    return place, dockerfile(gpu, stack, evidence.load(matrix))


def everything(matrix: Matrix, commands: click.Group) -> dict[Path, str]:
    """Each generated file and its text: Dockerfiles, Compose, bake, Markdown tables, the schemas.

    There is a Dockerfile for every GPU on every stack that fits it, and for each stack of the CPU.

    Args:
        matrix: the loaded matrix.
        commands: the command line, for its reference; `dsk.cli` alone may import it.
    """
    known = evidence.load(matrix)
    pairs: list[tuple[Gpu | None, Stack]] = [
        (gpu, stack)
        for gpu in matrix.gpus.values()
        for stack in matrix.stacks.values()
        if not unmet_gpu_minimums(stack, gpu)
    ]
    pairs += [(None, stack) for stack in matrix.stacks.values() if stack.gpu is None]
    root = repository()
    placed = [(gpu, stack, _place(matrix, gpu, stack, root)) for gpu, stack in pairs]
    files = {place: dockerfile(gpu, stack, known) for gpu, stack, place in placed}
    files[root / "docker-bake.hcl"] = bake(
        (gpu, stack, place.relative_to(root).as_posix()) for gpu, stack, place in placed
    )
    files[root / "docker-compose.yml"] = compose(matrix)
    files |= markdown.files(root, markdown.parts(matrix, commands))
    files[repository() / "schemas" / "doctor.json"] = doctor_schema()
    files[repository() / "schemas" / "document.json"] = document_schema()
    return files


def _place(matrix: Matrix, gpu: Gpu | None, stack: Stack, root: Path) -> Path:
    """In ``GPU``, with the stack's name behind it unless it is the usual one; or in ``STACK``."""
    if gpu is None:
        name = stack.id
    else:
        name = gpu.id if stack.id == select(matrix, gpu).id else f"{gpu.id}-{stack.id}"
    return root / "dockerfiles" / name / "Dockerfile"


def strays(files: Mapping[Path, str]) -> list[Path]:
    """Rendered Dockerfiles that nothing renders to any more."""
    there = (repository() / "dockerfiles").glob("*/Dockerfile")
    return sorted(file for file in there if file not in files)


def drifted(files: Mapping[Path, str]) -> list[Path]:
    """Those files that are missing or hold other bytes."""
    return [
        file
        for file, text in files.items()
        if not file.is_file() or file.read_bytes() != text.encode()
    ]


def write(files: Mapping[Path, str]) -> list[Path]:
    """Write what differs, atomically; the files written."""
    changed = drifted(files)
    for file in changed:
        write_atomically(file, files[file])
    return changed
