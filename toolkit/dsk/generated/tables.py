"""Tables of the documentation, made from the matrix, its evidence, the formats and the errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dsk import paths
from dsk.errors import KINDS
from dsk.generated.markdown_table import table
from dsk.matrix.profiles import dotted, driver_release
from dsk.matrix.select import locked_for, unmet_gpu_minimums
from dsk.models import profiles
from dsk.ocr.outputs import registry
from dsk.ocr.schema import run_files
from dsk.vllm_plugin.releases import RELEASES, needed_releases
from dsk.vllm_plugin.stack_support import obstacle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.matrix import Gpu, Matrix, Stack
    from dsk.models.base import ModelProfile, Resolution
    from dsk.ocr.outputs.base import OutputFormat


def stacks(matrix: Matrix) -> str:
    """Return the table of current stacks: engine, pins and requirements, by rank."""
    rows = [
        (
            f"`{stack.id}`",
            f"{stack.engine} on {stack.device.upper()}",
            stack.summary,
            ", ".join(_pins(stack)),
            ", ".join(model.name for model in matrix.models.values() if not obstacle(stack, model)),
            _needs(stack),
        )
        for stack in matrix.current
    ]
    return table(("stack", "engine", "for", "pins", "reads", "needs"), rows)


def _pins(stack: Stack) -> Iterator[str]:
    """Yield each pinned package; one that is built from source is an optional part."""
    for name, version in stack.pins.items():
        optional = "" if name in stack.wheel_pins else " (optional)"
        yield f"{name} {version}{optional}"


def _needs(stack: Stack) -> str:
    host, gpu = stack.host, stack.gpu
    needs = [
        f"Linux on {locked_for(stack)}",
        f"NVIDIA driver {driver_release(gpu.driver)}" if gpu else "",
        f"glibc {dotted(host.glibc)}",
        f"libstdc++ with GLIBCXX_{dotted(host.glibcxx)}" if host.glibcxx else "",
        f"Python {stack.python}",
        f"{gpu.vram_gib} GiB of VRAM" if gpu else "",
        f"{host.ram_gib} GiB of memory" if host.ram_gib else "",
    ]
    return ", ".join(need for need in needs if need)


def gpus(matrix: Matrix) -> str:
    """Return the table of GPUs, each with its default stack and the others that fit it."""
    rows = [
        (
            f"`{gpu.id}`",
            gpu.name,
            gpu.sm,
            f"{gpu.vram_gib} GiB",
            *_stacks_of(gpu, matrix),
        )
        for gpu in matrix.gpus.values()
    ]
    return table(("id", "card", "compute", "VRAM", "stack", "fits too"), rows)


def _stacks_of(gpu: Gpu, matrix: Matrix) -> tuple[str, str]:
    on_cards = [stack for stack in matrix.current if stack.gpu]
    fitting = [f"`{stack.id}`" for stack in on_cards if not unmet_gpu_minimums(stack, gpu)]
    if not fitting:
        # Of the stacks that do not fit, the reason of the one that lacks least.
        return "none", min((unmet_gpu_minimums(stack, gpu) for stack in on_cards), key=len)[0]
    return fitting[0], ", ".join(fitting[1:])


def vllm_releases() -> str:
    """Return the table of vLLM releases that the plugin knows, and what it gives them."""
    rows = [
        (
            f"`>={row.first},<{row.end}`",
            row.support.engine,
            f"`{row.support.package}`" if row.support.package else "vLLM's own",
            "uint8 views and tiles" if row.support.page_format == "views" else "a whole picture",
            "ours" if row.support.package else "vLLM's own",
            "ours" if row.support.scheduler else "vLLM's own",
        )
        for row in RELEASES
    ]
    return table(("vLLM", "engine", "model", "pages", "n-gram guard", "scheduler on a GPU"), rows)


def model_releases() -> str:
    """Return the table of the vLLM releases that each model needs, by the kind of device."""
    rows = [
        (model.name, *(needed_releases(model.record, device) for device in ("cuda", "cpu")))
        for model in profiles().values()
    ]
    return table(("model", "on a GPU", "on a CPU"), rows)


def prompts() -> str:
    """Return the named prompts of each model, without the image token that all begin with."""
    # A list: GitHub ends a table's cell at a bar, and the models' tokens are full of them.
    return "\n\n".join(_prompts(model) for model in profiles().values())


def _prompts(model: ModelProfile) -> str:
    texts = {
        name: text.replace(model.record.image_token, "").strip()
        for name, text in model.record.prompts.items()
    }
    return "\n".join([f"{model.name}:", "", *(f"- `{name}`: `{texts[name]}`" for name in texts)])


def resolutions() -> str:
    """Return the table of each model's resolutions, with the vision tokens of a page."""
    rows = [
        (
            model.name,
            f"`{resolution.name}`"
            + (" (default)" if resolution == model.default_resolution else ""),
            f"{resolution.view} x {resolution.view} px",
            _tiles(resolution),
            f"{resolution.tokens((1, 1))} to {resolution.max_tokens}"
            if resolution.tile
            else str(resolution.max_tokens),
        )
        for model in profiles().values()
        for resolution in model.resolutions.values()
    ]
    return table(("model", "resolution", "view", "tiles", "vision tokens"), rows)


def _tiles(resolution: Resolution) -> str:
    if not resolution.tile:
        return "none"
    most = max(columns * rows for columns, rows in resolution.grids)
    return f"up to {most} of {resolution.tile} x {resolution.tile} px"


_LOADING = ("config", "tokenizer", "saves the original")
_PARTS = ("text", "image", "batch", "beams", "bfloat16")


def patch() -> str:
    """Return the table of results of each model's remote code on each transformers release."""
    evidence = json.loads((paths.compat() / "evidence" / "transformers-patch.json").read_bytes())
    head = ("transformers", "model", "loading", *_PARTS, "SDPA")
    rows = [
        (
            result["transformers"],
            model,
            "same" if all(numbers[check] for check in _LOADING) else "differs",
            *(_difference([numbers["eager"][part]]) for part in _PARTS),
            _difference(list(numbers["sdpa"].values())) if "sdpa" in numbers else "none",
        )
        for result in evidence["results"]
        for model, numbers in result.get("models", {}).items()
    ]
    return table(head, rows)


def _difference(parts: list[dict[str, Any]]) -> str:
    equal = all(part["tokens equal"] and part["steps equal"] for part in parts)
    largest = max(part["largest difference"] for part in parts)
    return f"{'same' if equal else 'other'}, {largest:.1e}"


def exit_codes() -> str:
    """Return the table of exit codes."""
    rows = [("0", "ok"), *((str(kind.exit_code), kind.meaning) for kind in KINDS)]
    return table(("exit code", "meaning"), rows)


def outputs() -> str:
    """Return the table of output files of a document called ``report``."""
    rows = [
        (f"`{file.name.format(stem='report')}`", _choice(fmt), file.content)
        for fmt in registry.formats()
        for file in fmt.files
    ]
    rows += [
        (f"`{run_files.LEDGER}`", "always", "the ledger: a line a page, with state and reason"),
        (f"`{run_files.MANIFEST}`", "always", "every version, hash and setting"),
    ]
    return table(("in `out/report/`", "`--to`", "content"), rows)


def _choice(fmt: OutputFormat) -> str:
    if fmt.is_required:
        return "always"
    return f"`{fmt.name}`, default" if fmt.is_default else f"`{fmt.name}`"
