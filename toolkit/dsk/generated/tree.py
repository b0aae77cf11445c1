"""The generated files of the repository: rendering, comparing and writing them."""

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
from dsk.ocr.schema.plan_format import plan_format

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import click

    from dsk.matrix import Gpu, Matrix, Stack


def repository() -> Path:
    """Return the checkout that contains the generated files.

    Raises:
        UsageProblem: this dsk is an installed wheel, without a repository.
    """
    if not paths.in_checkout():
        what = "this dsk is an installed package; files are rendered in its repository"
        raise UsageProblem(what, do="clone the repository and run dsk from there")
    return paths.CHECKOUT


def of(
    matrix: Matrix, gpu: Gpu | None, stack: Stack | None = None, *, root: Path | None = None
) -> tuple[Path, str]:
    """Return path and text of the Dockerfile of a GPU, or of a CPU stack.

    Args:
        matrix: the loaded matrix.
        gpu: a GPU of the matrix; None for a CPU stack.
        stack: replaces the GPU's default stack.
        root: the folder of ``dockerfiles``; the repository by default.

    Raises:
        NoStackFits: no stack fits the GPU, or the given one does not.
        UsageProblem: a GPU stack without a GPU.
    """
    if gpu is None:
        if stack is None or stack.gpu is not None:
            what = f"stack '{stack.id}' needs a GPU, and none is given" if stack else "no GPU"
            raise UsageProblem(what, do="name it with --gpu, such as --gpu rtx4090")
    else:
        stack = stack or select(matrix, gpu)
        require(stack, gpu)
    file = _path(matrix, gpu, stack, root or repository())
    return file, dockerfile(gpu, stack, evidence.load(matrix))


def everything(matrix: Matrix, commands: click.Group) -> dict[Path, str]:
    """Return each generated file and its text: Dockerfiles, Compose, bake, Markdown, schemas.

    There is a Dockerfile for every GPU on every stack that fits it, and for each CPU stack.

    Args:
        matrix: the loaded matrix.
        commands: the command line, for its reference.
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
    images = [(gpu, stack, _path(matrix, gpu, stack, root)) for gpu, stack in pairs]
    files = {path: dockerfile(gpu, stack, known) for gpu, stack, path in images}
    files[root / "docker-bake.hcl"] = bake(
        ((gpu, stack, path.relative_to(root).as_posix()) for gpu, stack, path in images),
        plan_format=plan_format(),
    )
    files[root / "docker-compose.yml"] = compose(matrix)
    files |= markdown.files(root, markdown.parts(matrix, commands))
    files[repository() / "schemas" / "doctor.json"] = doctor_schema()
    files[repository() / "schemas" / "document.json"] = document_schema()
    return files


def _path(matrix: Matrix, gpu: Gpu | None, stack: Stack, root: Path) -> Path:
    """Return the path of a Dockerfile, in a folder named GPU, GPU-STACK or STACK."""
    # The short name GPU is for the GPU's default stack.
    if gpu is None:
        name = stack.id
    else:
        name = gpu.id if stack.id == select(matrix, gpu).id else f"{gpu.id}-{stack.id}"
    return root / "dockerfiles" / name / "Dockerfile"


def strays(files: Mapping[Path, str]) -> list[Path]:
    """Return the Dockerfiles that are no longer rendered from anything."""
    present = (repository() / "dockerfiles").glob("*/Dockerfile")
    return sorted(file for file in present if file not in files)


def drifted(files: Mapping[Path, str]) -> list[Path]:
    """Return the files that are missing or differ from their text."""
    return [
        file
        for file, text in files.items()
        # Bytes, not text: line ends must not differ either.
        if not file.is_file() or file.read_bytes() != text.encode()
    ]


def write(files: Mapping[Path, str]) -> list[Path]:
    """Write the files that differ, atomically, and return them."""
    changed = drifted(files)
    for file in changed:
        write_atomically(file, files[file])
    return changed
