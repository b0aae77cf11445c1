"""`dsk bench`: measure how fast documents are read, against a baseline."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click

from dsk import console
from dsk.cli.common.sections import SectionedCommand, option
from dsk.cli.reading import options as reading_options
from dsk.cli.reading import preview
from dsk.errors import PagesDegraded, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.ocr.schema.run_plan import RunPlan


@click.command(cls=SectionedCommand)
@reading_options.bench_options
@option(
    "Measurement",
    "--fixed-tokens",
    type=click.IntRange(1),
    metavar="N",
    help="Length of answers, whatever the model says: N tokens on average, from 0.5 to 1.5 N.",
)
@option(
    "Measurement",
    "--price",
    type=float,
    metavar="USD",
    help="Price of an hour of the machine, for the cost of a million pages.",
)
@option(
    "Measurement",
    "--against",
    type=click.Choice(["vllm", "one-gpu"]),
    default="vllm",
    show_default=True,
    help="Baseline: vLLM alone on one GPU, or dsk itself on the first of the GPUs with its share "
    "of the pages.",
)
@click.pass_context
def command(
    context: click.Context,
    /,
    fixed_tokens: int | None,
    price: float | None,
    *,
    against: str,
    dry_run: bool,
    **options: Any,
) -> None:
    """Read documents with a baseline and with dsk, and write OUT/bench.json.

    The baseline renders all pages first and gives vLLM one list of images, with vLLM's own model
    and guard. Each starts an engine of its own; pages a second are counted from a started engine
    on. Outputs go to a new folder of OUT: bench-1, bench-2 and so on. With --against one-gpu, dsk
    on all GPUs is compared with dsk on one.

    \b
    Examples:
      dsk bench scans/ -o out --stack v1
      dsk bench scans/ -o out --fixed-tokens 800 --price 2.50
      dsk bench scans/ -o out --gpus 0,1 --against one-gpu
    """
    from dsk.matrix import load_matrix
    from dsk.ocr.benchmark import benchmark, scaling
    from dsk.ocr.run import planning
    from dsk.runtime.base import runtime_for

    limits = reading_options.take_limits(options)
    if fixed_tokens is not None:
        if options["max_tokens"] is not None:
            what = "--fixed-tokens and --max-tokens exclude each other"
            raise UsageProblem(what, do="leave --max-tokens out")
        options |= {"max_tokens": math.ceil(1.5 * fixed_tokens), "attempts": 1}
    request = planning.RunRequest(limits=limits, **options)
    matrix = load_matrix()
    plan = planning.plan(request, matrix).model_copy(update={"fixed_tokens": fixed_tokens})
    preview.warn_rejected(plan)
    is_whole = not plan.rejected
    if dry_run:
        preview.show(benchmark.in_new_folder(plan))
    else:
        runtime = runtime_for(matrix.stack(plan.stack), request.runtime)
        baseline = planning.baseline(plan, request, matrix) if against == "vllm" else None

        def measure(fresh: RunPlan) -> Any:
            if baseline is None:
                return scaling.measure(fresh, runtime, dollars_an_hour=price)
            return benchmark.measure(fresh, baseline, runtime, dollars_an_hour=price)

        is_whole &= _measure(plan, measure)
    if not is_whole:
        context.exit(PagesDegraded.exit_code)


def _measure(plan: RunPlan, measure: Callable[[RunPlan], Any]) -> bool:
    """Measure, print and write the result; return True if all pages came out whole."""
    from dsk.files import write_atomically
    from dsk.ocr.benchmark import benchmark
    from dsk.ocr.run import output_folder
    from dsk.ocr.schema import run_files

    with output_folder.locked(plan.out):
        fresh = benchmark.in_new_folder(plan)
        result = measure(fresh)
        write_atomically(plan.out / run_files.BENCHMARK, json.dumps(result, indent=2) + "\n")
    console.echo_json(json.dumps(result, indent=2, ensure_ascii=False))
    missing: int = result["dsk"]["not_whole"]
    if missing:
        console.warn(f"{missing} pages did not come out whole: 'states' counts them")
    return not missing
