"""`dsk demo`: read a page with the real engine and a test model, nothing else needed."""

from __future__ import annotations

from pathlib import Path

import click

from dsk import console, own_image
from dsk.cli.common.model_option import NAMES, model_option
from dsk.errors import VerificationFailed

TEXT = """\
dsk demo

This page is an eye chart: each cell is one vision token, and the test model reads it cell by cell.

<|ref|>title<|/ref|><|det|>[[62, 40, 420, 90]]<|/det|>
# It works
Prices: $3.50 (50% off!), naïve café, 中文.
"""


@click.command()
@click.option(
    "--stack",
    "stack_id",
    metavar="S",
    envvar="DSK_STACK",
    default="cpu",
    show_default="the image's, else cpu",
    help="Read with this stack.",
)
@model_option(f"Model whose test model reads: {NAMES}; of a folder, that of its architecture.")
@click.option(
    "-o",
    "--out",
    default="dsk-demo",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the outputs.",
)
def command(stack_id: str, model: str | None, out: Path) -> None:
    """Make the test model and a page, read it with the real engine, and show both side by side."""
    from dsk.cli.common.progress import create_environment
    from dsk.eyechart import cache, layout, page
    from dsk.files import write_bytes_atomically
    from dsk.host import container_start
    from dsk.host.probes import stack_facts
    from dsk.matrix import load_matrix
    from dsk.models.reference import resolve
    from dsk.ocr.engines import loading
    from dsk.ocr.run import execution, output_folder, planning
    from dsk.ocr.run.planning import RunRequest
    from dsk.ocr.run.progress import progress
    from dsk.runtime import environments
    from dsk.vllm_plugin import stack_support

    log = console.err().print
    matrix, profile = load_matrix(), resolve(model).profile
    stack = matrix.stack(stack_id)
    # An image is its stack's environment.
    runtime = "in-place" if own_image.around() else "venv"
    container_start.require(stack, stack_facts())
    stack_support.require(stack, profile.record, matrix)
    output_folder.ensure_writable(out)
    if runtime == "venv" and environments.find(stack) is None:
        log(f"1. creating the environment of stack {stack.id}", markup=False)
        create_environment(stack)
    recipe = cache.tiny_model(profile)
    if not cache.is_complete(cache.folder_of(recipe)):
        log("2. making the test model", markup=False)

    def encoded(done: str) -> None:
        log(f"   chart {done}", markup=False)

    made = cache.cached(stack, recipe, runtime=runtime, progress=encoded)
    charts = layout.charts(TEXT, recipe.side, profile=recipe.profile)
    file = out / "eyechart.pdf"
    write_bytes_atomically(file, page.draw(charts, recipe.side, profile=recipe.profile))
    log(
        f"3. reading {file} as {profile.name} in vLLM; the engine takes a minute to start",
        markup=False,
    )
    # Another model may have read the page of an earlier demo.
    request = RunRequest(
        inputs=(file,),
        out=out,
        model=str(made),
        stack=stack.id,
        runtime=runtime,
        overwrite=True,
    )
    plan = planning.plan(request, matrix)
    usual = loading.usual_time(plan.engine.device)
    with progress(len(charts), usual_start=usual) as listener:
        execution.execute(plan, planning.executor(request, plan.stack, matrix), listener)
    printed = [layout.spelled(chart, profile=recipe.profile) for chart in charts]
    outputs = plan.documents[0].folder
    _compare(printed, (outputs / "eyechart.md").read_text("utf-8"), outputs)


def _compare(printed: list[str], read: str, folder: Path) -> None:
    """Show both texts side by side; raise an error if they differ."""
    from rich.table import Table
    from rich.text import Text

    from dsk.ocr.outputs.markdown import from_answers

    expected = from_answers(printed)
    table = Table("printed on the page", "read by the engine")
    table.add_row(Text(expected), Text(read))
    console.out().print(table)
    if read != expected:
        what = "the engine did not read what the page shows"
        raise VerificationFailed(what, do=f"compare {folder} with the page and run dsk doctor")
    console.out().print(f"exact. The outputs are in {folder}", markup=False)
