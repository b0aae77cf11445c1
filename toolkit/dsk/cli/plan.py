"""`dsk plan`: the number of requests that fit in a card's memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from dsk import console
from dsk.cli.common.model_option import NAMES, model_option
from dsk.errors import UsageProblem

if TYPE_CHECKING:
    from dsk.matrix import Gpu, Matrix
    from dsk.matrix.memory_plan import KvCache, MemoryPlan
    from dsk.models.base import ModelProfile

# Pages of a run in which every engine is worth its start.
_LONG_RUN: Final = 100_000


@click.command("plan")
@model_option(f"Model: {NAMES}, or a folder, whose own decoder is then planned for.")
@click.option("--gpu", "name", default="rtx4090", show_default=True, help="A GPU's name.")
@click.option(
    "--gpus",
    metavar="GPU[,GPU]",
    help="GPUs of this machine instead, as dsk run takes them: all, or some by number or UUID.",
)
@click.option(
    "--tokens",
    type=click.IntRange(1),
    default=4096,
    show_default=True,
    help="Tokens of a request, prompt and answer together.",
)
@click.option(
    "--utilization",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.9,
    show_default=True,
    help="Share of the card that vLLM may use (gpu_memory_utilization).",
)
@click.option(
    "--vram",
    type=click.FloatRange(0, min_open=True),
    help="The card's memory in GiB, as torch reports it.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="A checkpoint's config.json, for the KV cache of another decoder.",
)
def command(
    name: str,
    gpus: str | None,
    model: str | None,
    tokens: int,
    utilization: float,
    vram: float | None,
    config: Path | None,
) -> None:
    """Plan a card's memory: the requests that fit in its KV cache beside the model.

    With --gpus it plans for GPUs of this machine, and shows the engines that dsk run would start on
    each of them for a long run.
    """
    from dsk.matrix import load_matrix, memory_plan
    from dsk.models.reference import resolve
    from dsk.vllm_plugin.stack_support import no_gpu_stack

    reference, matrix = resolve(model), load_matrix()
    if gpus is not None:
        _refuse_described_gpu()
        _show_machine(gpus, reference.profile, matrix, tokens=tokens, share=utilization)
        return
    gpu = matrix.gpu(name)
    config = config or (reference.folder and reference.folder / "config.json")
    memory = memory_plan.plan(
        gpu,
        reference.profile.record,
        utilization=utilization,
        reported=vram,
        kv=memory_plan.of_configuration(config) if config else None,
    )
    # The figures hold for a newer vLLM as well: no reason to keep them back.
    if missing := no_gpu_stack(reference.profile.record, matrix):
        console.warn(missing)
    console.echo(f"{reference.profile.name} ({reference})")
    page = reference.profile.default_resolution.max_tokens
    for line in lines(gpu, memory, tokens=tokens, page=page, utilization=utilization):
        console.echo(line)


def _refuse_described_gpu() -> None:
    """Check that nothing else describes the GPUs that --gpus takes from this machine.

    Raises:
        UsageProblem: something does.
    """
    context = click.get_current_context()
    for parameter, flag in (("name", "--gpu"), ("vram", "--vram"), ("config", "--config")):
        if context.get_parameter_source(parameter) is click.core.ParameterSource.COMMANDLINE:
            what = f"--gpus and {flag} exclude each other"
            raise UsageProblem(what, do="leave one out: --gpus takes the GPUs of this machine")


def _show_machine(
    gpus: str, profile: ModelProfile, matrix: Matrix, *, tokens: int, share: float
) -> None:
    """Print the memory of this machine's GPUs, and the engines of a long run on each of them.

    Raises:
        UsageProblem: a GPU that is named is not there, or has no room for a KV cache.
        NoStackFits: no stack runs on the GPUs, or the chosen one not on one that is named.
    """
    from dsk.cli.reading import preview
    from dsk.host import this_machine
    from dsk.host.facts import GIB
    from dsk.host.gpu_profile import as_profile
    from dsk.host.gpu_selection import ALL
    from dsk.matrix import memory_plan
    from dsk.ocr.run import placement

    model, page = profile.record, profile.default_resolution.max_tokens
    facts, devices = this_machine.probe(gpus)
    stack = this_machine.stack_for_this_machine(matrix, model, facts=facts)
    fitting, left_out = placement.fitting(stack, devices, named=gpus.lower() != ALL)
    for message in left_out:
        console.warn(message)
    console.echo(f"stack {stack.id}")
    for device in fitting:
        gpu = as_profile(device.card, stack.arch)
        memory = memory_plan.plan(gpu, model, utilization=share, reported=device.memory / GIB)
        shown = lines(gpu, memory, tokens=tokens, page=page, utilization=share)
        console.echo(f"{device.label}: " + "\n".join(shown))
    host = placement.resources(facts.memory)
    placed = placement.place(stack, model, fitting, _LONG_RUN, None, host)
    for line in preview.cards(placed):
        console.echo(line)


def lines(gpu: Gpu, memory: MemoryPlan, *, tokens: int, page: int, utilization: float) -> list[str]:
    """Return the plan as text lines.

    Args:
        gpu: the card.
        memory: its plan.
        tokens: of a request, prompt and answer.
        page: those of them that are the prompt's, where they matter.
        utilization: vLLM's share of the card.
    """
    kept = memory.kv.kept(min(page, tokens), max(0, tokens - page))
    return [
        f"{gpu.name}, {memory.reported:.2f} GiB, {utilization:.0%} of it for vLLM",
        f"  usable       {memory.usable:8.2f} GiB",
        f"  weights      {memory.weights:8.2f} GiB{_source(memory, 'weights')}",
        f"  activations  {memory.activations:8.2f} GiB{_source(memory, 'activations')}",
        f"  KV cache     {memory.kv_cache:8.2f} GiB",
        f"  {_a_token(memory.kv)}",
        f"  requests of {tokens} tokens at once: {memory.requests(kept):.1f}"
        + (f"; {kept} of them are kept, a page and the window" if kept < tokens else ""),
    ]


def _source(memory: MemoryPlan, name: str) -> str:
    return ", computed, not measured" if name in memory.computed else ""


def _a_token(kv: KvCache) -> str:
    line = f"a token takes {kv.bytes_per_token:,} B ({kv.kind})"
    if kv.other:
        kind, size = kv.other
        line += f"; {size:,} B as {kind}"
    return line
