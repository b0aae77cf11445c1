"""The reasons for the choice of a stack, as `dsk matrix select` prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.matrix.evidence import proof_status, summary
from dsk.matrix.profiles import dotted, driver_release, sm
from dsk.matrix.speed import faster
from dsk.matrix.stack import best_kernel

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    from dsk.matrix.evidence import Evidence, Machine
    from dsk.matrix.profiles import Gpu
    from dsk.matrix.select import Choice, Host, Prefer
    from dsk.matrix.speed import Speed
    from dsk.matrix.stack import GpuMinimums


def reasons(
    choice: Choice,
    host: Host,
    known: Sequence[Evidence],
    *,
    prefer: Prefer,
    here: Machine | None = None,
    speeds: Sequence[Speed] = (),
    today: dt.date | None = None,
) -> list[str]:
    """Return the lines: the stack, each minimum beside the host's value, then the other stacks.

    Args:
        choice: made for this host.
        host: the host that the minimums were compared with.
        known: all evidence.
        prefer: the preference it was made by.
        here: this machine, if the host is this very one.
        speeds: all recorded speeds, oldest first.
        today: the day from which old evidence is stale.
    """
    stack = choice.stack
    lines = [f"{stack.id} for {host.name}: {stack.summary}"]
    if stack.gpu and choice.card:
        lines += _on_card(stack.gpu, choice.card, host)
    lines += _on_host(choice, host)
    lines.append(_row("evidence", summary(proof_status(stack, known, here, today))))
    lines += _others(choice, prefer)
    lines += faster(stack, choice.alternatives, speeds)
    return lines


def _on_card(minimums: GpuMinimums, card: Gpu, host: Host) -> Iterator[str]:
    kernel = best_kernel(minimums.kernels, card.compute_capability)
    assert kernel
    compiled = f"compiled for {sm(min(minimums.kernels))} to {sm(max(minimums.kernels))}"
    minimum = f"{sm(minimums.min_compute_capability)} or later"
    yield _row("compute", f"{card.sm}, {minimum} needed; its {sm(kernel)} kernels run ({compiled})")
    yield _row("VRAM", f"{card.vram_gib} GiB, {minimums.vram_gib} needed")
    found = f"{driver_release(host.driver)}, " if host.driver else ""
    # An older driver runs newer CUDA by minor version compatibility; from this one on it needs
    # none.
    native = f"CUDA {minimums.cuda} is its own from {driver_release(minimums.driver_native)} on"
    yield _row("driver", f"{found}{driver_release(minimums.driver)} or later needed; {native}")


def _on_host(choice: Choice, host: Host) -> Iterator[str]:
    minimums = choice.stack.host
    if host.glibc:
        yield _row("glibc", f"{dotted(host.glibc)}, {dotted(minimums.glibc)} needed")
    if host.glibcxx and minimums.glibcxx:
        yield _row("libstdc++", f"{dotted(host.glibcxx)}, {dotted(minimums.glibcxx)} needed")
    if host.ram and minimums.ram_gib:
        yield _row("RAM", f"{host.ram / 2**30:.0f} GiB, {minimums.ram_gib} needed")


def _others(choice: Choice, prefer: Prefer) -> Iterator[str]:
    order = "the newest vLLM comes first" if prefer == "newest" else "the matrix ranks it later"
    for stack in choice.alternatives:
        yield f"not {stack.id}: it fits too, {order}"
    for name, why in choice.rejected.items():
        yield f"not {name}: {'; '.join(why)}"


def _row(title: str, text: str) -> str:
    return f"  {title:10} {text}"
