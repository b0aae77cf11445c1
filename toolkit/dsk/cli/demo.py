"""`dsk demo`: the whole way from nothing to a page read, with a model that fits in a cache."""

from __future__ import annotations

from pathlib import Path

import click

from dsk import console
from dsk.errors import VerificationFailed

TEXT = """\
dsk demo

This page is an eye chart: each cell is one vision token, and the test model reads it cell by cell.

<|ref|>title<|/ref|><|det|>[[62, 40, 420, 90]]<|/det|>
# It works
Prices: $3.50 (50% off!), naïve café, 中文.
"""


@click.command()
@click.option("--stack", default="cpu", show_default=True, help="The stack to read with.")
@click.option(
    "-o",
    "--out",
    default="dsk-demo",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the outputs.",
)
def command(stack: str, out: Path) -> None:
    """Make the test model and a page, read it with the real engine, show both side by side."""
    from dsk.cli.progress import create_environment
    from dsk.eyechart import cache, layout, page
    from dsk.eyechart.architecture import SIDE
    from dsk.files import write_bytes_atomically
    from dsk.matrix import load_matrix
    from dsk.ocr.run import execution, planning
    from dsk.ocr.run.planning import RunRequest
    from dsk.ocr.run.progress import progress
    from dsk.runtime import environments

    say = console.err().print
    matrix = load_matrix()
    found = matrix.stack(stack)
    if environments.find(found) is None:
        say(f"1. making the environment of stack {found.id}", markup=False)
        create_environment(found)
    if not cache.is_whole(cache.place()):
        say("2. making the test model", markup=False)
    model = cache.cached(found, progress=lambda done: say(f"   chart {done}", markup=False))
    charts = layout.charts(TEXT, SIDE)
    file = out / "eyechart.pdf"
    write_bytes_atomically(file, page.draw(charts, SIDE))
    say(f"3. reading {file} with vLLM; the engine takes a minute to start", markup=False)
    request = RunRequest(inputs=(file,), out=out, model=str(model), stack=found.id)
    plan = planning.plan(request, matrix)
    with progress(len(charts)) as listener:
        execution.execute(plan, planning.executor(request, plan.stack, matrix), listener)
    printed = [layout.spelled(chart) for chart in charts]
    folder = plan.documents[0].folder
    _compare(printed, (folder / "eyechart.md").read_text("utf-8"), folder)


def _compare(printed: list[str], read: str, folder: Path) -> None:
    """Show both texts side by side, and say whether they are one."""
    from rich.table import Table
    from rich.text import Text

    from dsk.ocr.outputs.markdown import from_answers

    wanted = from_answers(printed)
    table = Table("printed on the page", "read by the engine")
    table.add_row(Text(wanted), Text(read))
    console.out().print(table)
    if read != wanted:
        what = "the engine did not read what the page shows"
        raise VerificationFailed(what, do=f"compare {folder} with the page, and run dsk doctor")
    console.out().print(f"exact. The outputs are in {folder}", markup=False)
