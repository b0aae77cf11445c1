"""`dsk eyechart`: write the test model and draw pages for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dsk import console
from dsk.cli.common.model_option import NAMES, model_option
from dsk.errors import InputUnreadable

if TYPE_CHECKING:
    from dsk.eyechart.recipe import Size
    from dsk.models.base import ModelProfile

_model = model_option(
    f"Model that the test model replaces: {NAMES}; of a folder, that of its architecture."
)
_side = click.option(
    "--side",
    metavar="N",
    type=int,
    help="Cells in a row: the view of a resolution in pixels / 64. [default: the model's default]",
)


@click.group()
def command() -> None:
    """Make a test model that reads eye charts exactly, and charts for it, without a download."""


@command.command("model")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--size",
    default="tiny",
    show_default=True,
    type=click.Choice(["tiny", "full"]),
    help="tiny: 2 layers of the decoder, 0.9 GB. full: all of its layers and experts, 7 GB.",
)
@_model
@_side
@click.option("--seed", default=0, show_default=True, help="Seed of the random weights.")
@click.option(
    "--stack",
    "stack_id",
    metavar="S",
    default="cpu",
    show_default=True,
    help="Make it in the environment of this stack.",
)
def write_model(
    folder: Path, size: Size, model: str | None, side: int | None, seed: int, stack_id: str
) -> None:
    """Write a test model into FOLDER; the same options give the same bytes."""
    from dsk.eyechart import cache
    from dsk.eyechart.recipe import Recipe
    from dsk.matrix import load_matrix

    def progress(done: str) -> None:
        console.err().print(f"fitting the readout: chart {done}", markup=False)

    stack = load_matrix().stack(stack_id)
    profile, cells = _choose(model, side)
    recipe = Recipe(profile=profile, size=size, side=cells, seed=seed)
    cache.make(folder, stack, recipe, progress=progress)
    console.out().print(str(folder), markup=False)


@command.command()
@click.option(
    "--text-file",
    required=True,
    type=click.Path(path_type=Path),
    help="File of the text to print, UTF-8; <|ref|>, <td> and the like become tokens.",
)
@click.option(
    "--endless", is_flag=True, help="Leave out the end token, so that the answer never ends."
)
@_model
@_side
@click.argument("out", type=click.Path(path_type=Path))
def page(text_file: Path, endless: bool, model: str | None, side: int | None, out: Path) -> None:
    """Draw a text as charts into the PDF file OUT, over several pages."""
    from dsk.eyechart import layout
    from dsk.eyechart import page as drawing
    from dsk.files import write_bytes_atomically

    try:
        text = text_file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = f"{text_file} cannot be read as UTF-8 text"
        raise InputUnreadable(what, do="check the path and the encoding") from error
    profile, cells = _choose(model, side)
    charts = layout.charts(text, cells, endless=endless, profile=profile)
    write_bytes_atomically(out, drawing.draw(charts, cells, profile=profile))
    console.out().print(f"{out}: {len(charts)} pages", markup=False)


def _choose(model: str | None, side: int | None) -> tuple[ModelProfile, int]:
    """Return the named model and the cells in a row, or the defaults.

    Raises:
        UsageProblem: there is no such model, or it has no resolution for such charts.
    """
    from dsk.eyechart import recipe
    from dsk.models.reference import resolve

    profile = resolve(model).profile
    return profile, recipe.chart_side(profile, side)
