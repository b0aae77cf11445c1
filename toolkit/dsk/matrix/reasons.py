"""Why a stack was chosen, in words: what `dsk matrix select` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.matrix.evidence import proof_status, summary
from dsk.matrix.profiles import driver_release, sm
from dsk.matrix.stack import best_kernel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dsk.matrix.evidence import Evidence, Machine
    from dsk.matrix.profiles import Gpu
    from dsk.matrix.select import Choice, Host, Prefer
    from dsk.matrix.stack import GpuMinimums


def reasons(
    choice: Choice,
    host: Host,
    known: Sequence[Evidence],
    *,
    prefer: Prefer,
    here: Machine | None = None,
) -> list[str]:
    """The choice's lines: the stack, each floor beside what the host has, then the other stacks.

    Args:
        choice: made for this host.
        host: what the floors were held against.
        known: all evidence.
        prefer: the order it was made by.
        here: the machine that asks, where the host is this very one.
    """
    stack = choice.stack
    lines = [f"{stack.id} for {host.name}: {stack.summary}"]
    if stack.gpu and choice.card:
        lines += _on_card(stack.gpu, choice.card, host)
    lines += _around(choice, host)
    lines.append(_row("evidence", summary(proof_status(stack, known, here))))
    lines += _others(choice, prefer)
    return lines


def _on_card(floors: GpuMinimums, card: Gpu, host: Host) -> Iterator[str]:
    kernel = best_kernel(floors.kernels, card.compute_capability)
    assert kernel
    compiled = f"compiled for {sm(min(floors.kernels))} to {sm(max(floors.kernels))}"
    floor = f"{sm(floors.min_compute_capability)} or later"
    yield _row("compute", f"{card.sm}, {floor} needed; its {sm(kernel)} kernels run ({compiled})")
    yield _row("VRAM", f"{card.vram_gib} GiB, {floors.vram_gib} needed")
    found = f"{driver_release(host.driver)}, " if host.driver else ""
    native = f"CUDA {floors.cuda} is its own from {driver_release(floors.driver_native)} on"
    yield _row("driver", f"{found}{driver_release(floors.driver)} or later needed; {native}")


def _around(choice: Choice, host: Host) -> Iterator[str]:
    floors = choice.stack.host
    if host.glibc:
        yield _row("glibc", f"{_dotted(host.glibc)}, {_dotted(floors.glibc)} needed")
    if host.glibcxx and floors.glibcxx:
        yield _row("libstdc++", f"{_dotted(host.glibcxx)}, {_dotted(floors.glibcxx)} needed")
    if host.ram and floors.ram_gib:
        yield _row("RAM", f"{host.ram / 2**30:.0f} GiB, {floors.ram_gib} needed")


def _others(choice: Choice, prefer: Prefer) -> Iterator[str]:
    order = "the newest vLLM comes first" if prefer == "newest" else "the matrix ranks it later"
    for stack in choice.alternatives:
        yield f"not {stack.id}: it fits too, {order}"
    for name, why in choice.rejected.items():
        yield f"not {name}: {'; '.join(why)}"


def _row(title: str, said: str) -> str:
    return f"  {title:10} {said}"


def _dotted(number: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in number)
