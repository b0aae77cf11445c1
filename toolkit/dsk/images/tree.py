"""The generated files of the repository: what they should hold, what differs, writing them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk import paths
from dsk.compat.select import misfits, require, select
from dsk.doctor.report import schema as doctor_schema
from dsk.errors import UsageProblem
from dsk.files import write_atomically
from dsk.images.render import dockerfile
from dsk.readme import rendered

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dsk.compat import Gpu, Matrix, Stack


def repository() -> Path:
    """The checkout that the generated files lie in.

    Raises:
        UsageProblem: this dsk is an installed wheel; there is nothing to write to.
    """
    if not paths.in_checkout():
        what = "this dsk is installed as a package, and Dockerfiles are rendered in its repository"
        raise UsageProblem(what, do="clone the repository and run dsk from there")
    return paths.CHECKOUT


def of_gpu(
    matrix: Matrix, gpu: Gpu, stack: Stack | None = None, *, root: Path | None = None
) -> tuple[Path, str]:
    """Where the Dockerfile of one GPU lies, and its text.

    Args:
        matrix: the loaded matrix.
        gpu: one of its profiles.
        stack: another stack than the one the GPU gets by itself.
        root: where ``dockerfiles`` is; the repository when not given.

    Raises:
        NoStackFits: none does, or the wished one does not.
    """
    stack = stack or select(matrix, gpu)
    require(stack, gpu)
    return _place(matrix, gpu, stack, root or repository()), dockerfile(gpu, stack)


def everything(matrix: Matrix) -> dict[Path, str]:
    """Each generated file and its text: a Dockerfile a GPU, the README, the JSON schema.

    A Dockerfile of a GPU on another stack than its usual one is kept up to date once it is there.
    """
    pairs = (
        (gpu, stack, _place(matrix, gpu, stack, repository()))
        for gpu in matrix.gpus.values()
        for stack in matrix.stacks.values()
        if not misfits(stack, gpu)
    )
    files = {
        place: dockerfile(gpu, stack)
        for gpu, stack, place in pairs
        if place.parent.name == gpu.id or place.is_file()
    }
    readme = repository() / "README.md"
    files[readme] = rendered(readme.read_text("utf-8"), matrix)
    files[repository() / "schemas" / "doctor.json"] = doctor_schema()
    return files


def _place(matrix: Matrix, gpu: Gpu, stack: Stack, root: Path) -> Path:
    """``dockerfiles/GPU``; with the stack's name behind it where it is not the GPU's usual one."""
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
