"""`dsk bench`: how fast documents are read, against the plain way."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click

from dsk import console
from dsk.cli import reading_options, run_plan
from dsk.errors import PagesDegraded, UsageProblem

if TYPE_CHECKING:
    from dsk.ocr.schema.run_plan import RunPlan
    from dsk.runtime.base import Runtime


@click.command()
@reading_options.of_a_bench
@click.option(
    "--fixed-tokens",
    type=click.IntRange(1),
    metavar="N",
    help="Let answers have N tokens on average, half to three halves, whatever the model says.",
)
@click.option("--price", type=float, metavar="USD", help="What an hour of the machine costs.")
@click.pass_context
def command(
    context: click.Context,
    /,
    fixed_tokens: int | None,
    price: float | None,
    *,
    dry_run: bool,
    **wishes: Any,
) -> None:
    """Read documents the plain way and with dsk, and write OUT/bench.json.

    The plain way renders every page first and gives vLLM one list of images, by vLLM's own model
    and guard. Each loads the engine anew; pages a second are counted from a started engine on. What
    is read goes to a new folder of OUT: bench-1, bench-2 and so on.

    \b
    Examples:
      dsk bench scans/ -o out --stack v1
      dsk bench scans/ -o out --fixed-tokens 800 --price 2.50
    """
    from dsk.matrix import load_matrix
    from dsk.ocr.benchmark import benchmark
    from dsk.ocr.run import planning
    from dsk.runtime.base import runtime_for

    limits = reading_options.limits(wishes)
    if fixed_tokens is not None:
        if wishes["max_tokens"] is not None:
            what = "--fixed-tokens and --max-tokens do not go together"
            raise UsageProblem(what, do="leave --max-tokens out")
        wishes |= {"max_tokens": math.ceil(1.5 * fixed_tokens), "attempts": 1}
    request = planning.RunRequest(limits=limits, **wishes)
    matrix = load_matrix()
    plan = planning.plan(request, matrix).model_copy(update={"fixed_tokens": fixed_tokens})
    run_plan.name_rejected(plan)
    whole = not plan.rejected
    if dry_run:
        run_plan.show(benchmark.in_new_folder(plan))
    else:
        baseline = planning.baseline(plan, request, matrix)
        place = runtime_for(matrix.stack(plan.stack), request.runtime)
        whole &= _measured(plan, baseline, place, price)
    if not whole:
        context.exit(PagesDegraded.exit_code)


def _measured(plan: RunPlan, baseline: RunPlan, place: Runtime, price: float | None) -> bool:
    """Measure, and tell; whether every page came out whole."""
    from dsk.files import write_atomically
    from dsk.ocr.benchmark import benchmark
    from dsk.ocr.run import output_folder
    from dsk.ocr.schema import run_files

    with output_folder.locked(plan.out):
        found = benchmark.measure(
            benchmark.in_new_folder(plan), baseline, place, dollars_an_hour=price
        )
        write_atomically(plan.out / run_files.BENCHMARK, json.dumps(found, indent=2) + "\n")
    console.out().print_json(json.dumps(found))
    missing: int = found["dsk"]["not_whole"]
    if missing:
        console.warn(f"{missing} pages did not come out whole: 'states' counts them")
    return not missing
