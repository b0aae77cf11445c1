"""The text that `dsk matrix show` prints of a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.matrix.profiles import dotted, driver_release, sm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dsk.matrix.stack import Stack


def describe(stack: Stack) -> str:
    """Return everything that a stack's file contains, as text."""
    return "\n".join(_lines(stack))


def _lines(stack: Stack) -> Iterator[str]:
    yield f"{stack.id}: {stack.summary}"
    yield f"  vLLM engine {stack.engine} on {stack.device}, Python {stack.python}"
    yield from _table("pins", stack.pins)
    own_dates = {f"{name} before": day for name, day in stack.resolve_package_before.items()}
    yield from _table("uploaded", {"all before": stack.resolve_before} | own_dates)
    yield from _table("environment", stack.environment)
    yield from _table("engine settings", stack.settings)
    yield from _table("minimums", _minimums(stack))
    for override in stack.overrides:
        yield f"override: {override.package} {stack.pins[override.package]}"
        yield f"  {override.asked_by} asks {override.package}{override.asks}"
        yield f"  because {override.why}"
        yield f"  evidence: {override.evidence}"
    for source in stack.sources:
        yield f"from source: {source.package} {stack.pins[source.package]}"
        yield f"  {source.file}, sha256 {source.sha256}"
        yield f"  {source.build}"
    state = f"sha256 {stack.lock_sha256()}" if stack.lock_file.is_file() else "none yet"
    yield f"lock: {stack.lock_file}, {state}"


def _table(title: str, rows: Mapping[str, object]) -> Iterator[str]:
    yield f"{title}:"
    width = max(map(len, rows), default=0)
    for name, value in rows.items():
        yield f"  {name:{width}}  {value}"


def _minimums(stack: Stack) -> dict[str, str]:
    minimums = {"glibc": dotted(stack.host.glibc)}
    if stack.host.glibcxx:
        minimums["libstdc++"] = f"GLIBCXX_{dotted(stack.host.glibcxx)}"
    if stack.host.ram_gib:
        minimums["RAM"] = f"{stack.host.ram_gib} GiB"
    if stack.gpu:
        minimums["GPU"] = f"{sm(stack.gpu.min_compute_capability)} or later"
        minimums["kernels"] = ", ".join(sm(kernel) for kernel in stack.gpu.kernels)
        minimums["VRAM"] = f"{stack.gpu.vram_gib} GiB"
        minimums["driver"] = (
            f"{driver_release(stack.gpu.driver)}; knows CUDA {stack.gpu.cuda} itself "
            f"from {driver_release(stack.gpu.driver_native)} on"
        )
    return minimums
