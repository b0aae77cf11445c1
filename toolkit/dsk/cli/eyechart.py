"""`dsk eyechart`: write the test model and draw pages for it."""

from __future__ import annotations

from pathlib import Path

import click

from dsk import console
from dsk.errors import InputUnreadable

_side = click.option(
    "--side",
    default=16,
    show_default=True,
    type=click.Choice([8, 10, 16, 20]),
    help="Cells in a row: 16 for Gundam and Base, 8 Tiny, 10 Small, 20 Large.",
)


@click.group()
def command() -> None:
    """Make a test model that reads eye charts exactly, and charts for it, without a download."""


@command.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--size",
    default="tiny",
    show_default=True,
    type=click.Choice(["tiny", "full"]),
    help="tiny: 2 layers, 0.9 GB. full: DeepSeek-OCR's own 12 layers and 64 experts, 7 GB.",
)
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
def model(folder: Path, size: str, side: int, seed: int, stack_id: str) -> None:
    """Write a test model into FOLDER; the same options give the same bytes."""
    from dsk.eyechart import cache
    from dsk.matrix import load_matrix

    def progress(done: str) -> None:
        console.err().print(f"fitting the readout: chart {done}", markup=False)

    stack = load_matrix().stack(stack_id)
    cache.make(folder, stack, size=size, side=side, seed=seed, progress=progress)
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
@_side
@click.argument("out", type=click.Path(path_type=Path))
def page(text_file: Path, endless: bool, side: int, out: Path) -> None:
    """Draw a text as charts into the PDF file OUT, over several pages."""
    from dsk.eyechart import layout
    from dsk.eyechart import page as drawing
    from dsk.files import write_bytes_atomically

    try:
        text = text_file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = f"{text_file} cannot be read as UTF-8 text"
        raise InputUnreadable(what, do="check the path and the encoding") from error
    charts = layout.charts(text, side, endless=endless)
    write_bytes_atomically(out, drawing.draw(charts, side))
    console.out().print(f"{out}: {len(charts)} pages", markup=False)
