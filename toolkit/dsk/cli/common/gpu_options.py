"""Options that name a GPU, or describe one that the matrix does not know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dsk.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.matrix import Gpu, Matrix

_Command = TypeVar("_Command", bound="Callable[..., Any]")


def _capability(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    if value is None:
        return None
    found = re.fullmatch(r"(?:sm_?)?(\d{1,2})\.?(\d)", value)
    if not found:
        message = "give it as NVIDIA does, such as 8.6"
        raise click.BadParameter(message)
    return int(found[1]), int(found[2])


def describing(function: _Command) -> _Command:
    """Add the options that describe a GPU: ``capability`` and ``vram`` of the function."""
    for option in (
        click.option(
            "--vram",
            type=click.FloatRange(0, min_open=True),
            metavar="GIB",
            help="Its memory in GiB.",
        ),
        click.option(
            "--compute-capability",
            "capability",
            metavar="X.Y",
            callback=_capability,
            help="In place of --gpu, with --vram: any GPU, by its compute capability, such as 8.6.",
        ),
    ):
        function = option(function)
    return function


def requested(
    matrix: Matrix, name: str | None, capability: tuple[int, int] | None, vram: float | None
) -> Gpu | None:
    """Return the GPU that the options name or describe; None if they do neither.

    Raises:
        UsageProblem: the matrix does not know the name, or the description is not whole.
    """
    from dsk.matrix import Gpu

    if name:
        if capability or vram:
            what = "--gpu excludes --compute-capability and --vram"
            raise UsageProblem(what, do="name the GPU, or describe it")
        return matrix.gpu(name)
    if capability is None and vram is None:
        return None
    if capability is None or vram is None:
        what = "--compute-capability and --vram describe a GPU together"
        raise UsageProblem(what, do="give both, such as --compute-capability 8.6 --vram 10")
    number = ".".join(map(str, capability))
    return Gpu.model_validate(
        {
            "id": "described",
            "name": f"a GPU of compute capability {number} with {vram:g} GiB",
            "compute_capability": number,
            "vram_gib": max(1, round(vram)),
        }
    )
