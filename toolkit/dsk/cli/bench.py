"""`dsk bench`: how fast documents are read, against the plain way."""

from __future__ import annotations

import json
from typing import Any

import click

from dsk import console
from dsk.cli import reading_options


@click.command()
@reading_options.all_of_them
@click.option(
    "--fixed-tokens",
    type=click.IntRange(1),
    metavar="N",
    help="Let every answer have N tokens, whatever the model says.",
)
@click.option("--price", type=float, metavar="USD", help="What an hour of the machine costs.")
def command(fixed_tokens: int | None, price: float | None, **wishes: Any) -> None:
    """Read documents the plain way and with dsk, and write OUT/bench.json.

    The plain way renders every page first and gives vLLM one list of images, by vLLM's own model.
    Each loads the engine anew; pages a second are counted from a started engine on.

    \b
    Examples:
      dsk bench scans/ -o out --stack v1
      dsk bench scans/ -o out --fixed-tokens 800 --price 2.50
    """
    from dsk.compat import load_matrix
    from dsk.files import write_atomically
    from dsk.ocr import bench, reading
    from dsk.runtime.launch import runtime_for

    for name in ("dry_run", "servers", "api_key", "retry_failed", "compat"):
        wishes.pop(name)
    limits = reading_options.limits(wishes)
    if fixed_tokens is not None:
        wishes |= {"max_tokens": fixed_tokens, "attempts": 1}
    wishes |= {"overwrite": True, "compat": ""}
    request = reading.Request(limits=limits, **wishes)
    job = reading.job(request)
    job = job.model_copy(update={"fixed_tokens": fixed_tokens is not None})
    stack = load_matrix().stack(job.stack)
    runtime = runtime_for(stack, request.runtime)
    found = bench.measure(job, runtime, request.out, dollars_an_hour=price)
    write_atomically(request.out / "bench.json", json.dumps(found, indent=2) + "\n")
    console.out().print_json(json.dumps(found))
