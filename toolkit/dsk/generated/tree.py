"""The generated files of the repository: rendering, comparing and writing them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk import paths
from dsk.doctor.report import schema as doctor_schema
from dsk.errors import UsageProblem
from dsk.files import write_atomically
from dsk.generated import markdown
from dsk.images.deployment import bake, compose, kubernetes
from dsk.images.dockerfile import dockerfile
from dsk.matrix import evidence
from dsk.ocr.outputs.json_document import schema as document_schema
from dsk.ocr.schema.plan_format import plan_format

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import click

    from dsk.matrix import Matrix, Stack


def repository() -> Path:
    """Return the checkout that contains the generated files.

    Raises:
        UsageProblem: this dsk is an installed wheel, without a repository.
    """
    if not paths.in_checkout():
        what = "this dsk is an installed package; files are rendered in its repository"
        raise UsageProblem(what, do="clone the repository and run dsk from there")
    return paths.CHECKOUT


def of(matrix: Matrix, stack: Stack, *, root: Path | None = None) -> tuple[Path, str]:
    """Return path and text of the Dockerfile of a stack.

    Args:
        matrix: the loaded matrix.
        stack: one of its stacks.
        root: the folder of ``dockerfiles``; the repository by default.
    """
    return _path(stack, root or repository()), dockerfile(stack, evidence.load(matrix))


def everything(matrix: Matrix, commands: click.Group) -> dict[Path, str]:
    """Return each generated file and its text: Dockerfiles, deployment, Markdown, schemas.

    Args:
        matrix: the loaded matrix.
        commands: the command line, for its reference.
    """
    known = evidence.load(matrix)
    root = repository()
    stacks = [there for stack in matrix.stacks.values() for there in stack.on_each]
    images = [(stack, _path(stack, root)) for stack in stacks]
    files = {path: dockerfile(stack, known) for stack, path in images}
    current = [(stack, _path(stack, root)) for stack in matrix.current]
    files[root / "docker-bake.hcl"] = bake(
        ((stack, path.relative_to(root).as_posix()) for stack, path in current),
        plan_format=plan_format(),
    )
    files[root / "docker-compose.yml"] = compose(matrix)
    for name, text in kubernetes(matrix).items():
        files[root / "deploy" / "kubernetes" / name] = text
    files |= markdown.files(root, markdown.parts(matrix, commands))
    files[repository() / "schemas" / "doctor.json"] = doctor_schema()
    files[repository() / "schemas" / "document.json"] = document_schema()
    return files


def _path(stack: Stack, root: Path) -> Path:
    return root / "dockerfiles" / stack.slug / "Dockerfile"


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
