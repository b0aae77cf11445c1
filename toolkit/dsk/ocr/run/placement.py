"""Decide which cards read, how many engines each has, and what of its memory each engine may have.

One V1 engine prepares its next step on the CPU for longer than a large card takes for the last: an
H200 was busy for 46 % of the steady part of a run with one, for 80 % with two.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dsk.errors import NoStackFits, UsageProblem
from dsk.host.gpu_profile import as_profile
from dsk.matrix import memory_plan
from dsk.matrix.select import unmet_gpu_minimums
from dsk.ocr.schema.engine_config import CardPlacement, Placement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsk.host.facts import Memory
    from dsk.host.gpu_selection import Device
    from dsk.matrix import Model, Stack

_ON_A_LARGE_CARD: Final = 2
# Bytes of KV cache that leave an engine as quick as it was: some 350,000 tokens.
_LEAST_CACHE: Final = 20 * memory_plan.GIB
# Each engine keeps two busy, beside the processes that render.
_LEAST_CORES: Final = 8
# Fewer are read before a second engine is worth its start.
_LEAST_PAGES: Final = 256
# What an engine takes while it loads: two on an H200 were seen with 13.6 GB together, the processes
# that render among them.
_LOADING_MEMORY: Final = 6 * memory_plan.GIB
_LOADING_CORES: Final = 2


@dataclass(frozen=True, kw_only=True)
class HostResources:
    """Resources that engines share on a host.

    Args:
        cores: that this process may use.
        memory: bytes that engines may take while they load; None where it is not known.
    """

    cores: int
    memory: int | None = None


def resources(memory: Memory | None) -> HostResources:
    """Return what this host has for engines.

    Args:
        memory: of the host; None where it is not known.
    """
    free = min(memory.available, memory.limit or memory.available) if memory else None
    return HostResources(cores=len(os.sched_getaffinity(0)), memory=free)


def fitting(
    stack: Stack, devices: Sequence[Device], *, named: bool
) -> tuple[tuple[Device, ...], list[str]]:
    """Return the devices that a stack runs on, and in words which are left out, and why.

    Args:
        stack: the engines' stack.
        devices: those to choose from.
        named: whether the user named each of them.

    Raises:
        NoStackFits: the stack does not run on a device that was named.
    """
    if stack.gpu is None:
        return (), []
    reasons = {device: _unmet(stack, device) for device in devices}
    left_out = [
        f"{device.label} ({device.card.name}) is left out: stack '{stack.id}': {'; '.join(unmet)}"
        for device, unmet in reasons.items()
        if unmet
    ]
    found = tuple(device for device, unmet in reasons.items() if not unmet)
    if named and left_out:
        device = next(device for device, unmet in reasons.items() if unmet)
        what = f"stack '{stack.id}' does not fit {device.label} ({device.card.name})"
        raise NoStackFits(what, do="; ".join(reasons[device]))
    instances = tuple(device for device in found if device.instance is not None)
    if instances and not named and stack.engine == "V1":
        # Releases of vLLM's V1 engine end where CUDA_VISIBLE_DEVICES has an instance's UUID
        # (vllm-project/vllm issue 41848); the instance that CUDA takes by itself works.
        found = tuple(device for device in found if device.instance is None)
        left_out += [
            f"{device.label} ({device.card.name}) is left out: not every vLLM runs on a MIG "
            f"instance by its name; --gpus {device.address} tries it"
            for device in (instances if found else instances[1:])
        ]
        if not found:
            return (), left_out
    # With --stack a user tries what does not fit: where no card does, CUDA takes its first.
    return found, left_out if found else []


def place(
    stack: Stack,
    model: Model,
    devices: Sequence[Device],
    pages: int,
    requested: int | None,
    host: HostResources,
) -> Placement:
    """Decide which devices read at once, with how many engines, and what memory each may have.

    Args:
        stack: the engines' stack.
        model: the model that they load.
        devices: those that the stack runs on; none where it is not known what there is.
        pages: how many there are to read.
        requested: how many engines each device gets; None for as many as are worth their start.
        host: what the engines share.

    Raises:
        UsageProblem: a device does not hold as many, or the stack's engines share none.
    """
    shares = stack.device == "cuda" and stack.engine == "V1"
    if requested is not None and requested > 1:
        if not shares:
            what = f"stack '{stack.id}' has one engine at a time on a card"
            raise UsageProblem(what, do="leave --engines out")
        if not devices:
            what = "no card answers here that engines could share"
            raise UsageProblem(what, do="leave --engines out")
    if not devices:
        return Placement()
    # More cards than pages would load for nothing: the largest ones read.
    largest = sorted(devices, key=lambda device: -device.memory)[: max(1, pages)]
    used = [device for device in devices if device in largest]
    is_worth_more = pages >= _LEAST_PAGES * len(used) and host.cores >= _LEAST_CORES * len(used)
    cards = []
    for device in used:
        number, settings = _share(
            stack, model, device, requested, worth_more=shares and is_worth_more
        )
        cards.append(_card(device, number, settings))
    return Placement(cards=tuple(cards), starts_at_once=_starts_at_once(host))


def one_card(stack: Stack, devices: Sequence[Device], gpus: str | None) -> CardPlacement:
    """Return the card of a server, which has one engine: the first that its stack runs on.

    Args:
        stack: the engine's stack.
        devices: those to choose from.
        gpus: the words of ``--gpus``; None where the user named none.

    Raises:
        UsageProblem: several are named, or one for a stack that runs on the CPU.
        NoStackFits: the stack does not run on the one that is named.
    """
    if gpus is not None and stack.gpu is None:
        what = f"stack '{stack.id}' runs on the CPU"
        raise UsageProblem(what, do="leave --gpus out, or name another --stack")
    if gpus is not None and len(devices) > 1:
        what = f"--gpus {gpus}: a server has one GPU, and these are {len(devices)}"
        raise UsageProblem(what, do="start a server on each, with a --port of its own")
    found, _ = fitting(stack, devices, named=gpus is not None)
    return _card(found[0]) if found else CardPlacement()


def _card(
    device: Device, engines: int = 1, settings: dict[str, Any] | None = None
) -> CardPlacement:
    return CardPlacement(
        device=device.cuda_name,
        number=device.number,
        uuid=device.uuid,
        label=device.label,
        name=device.card.name,
        engines=engines,
        settings=settings or {},
    )


def _share(
    stack: Stack, model: Model, device: Device, requested: int | None, *, worth_more: bool
) -> tuple[int, dict[str, Any]]:
    """Return the number of engines on a device, and their settings that are not the stack's.

    Raises:
        UsageProblem: the device does not hold as many as are requested.
    """
    if requested == 1 or (requested is None and not (worth_more and device.instance is None)):
        return 1, {}
    number = requested or _ON_A_LARGE_CARD
    utilization = float(stack.settings["gpu_memory_utilization"]) / number
    cache = memory_plan.kv_cache_of_share(model, device.memory, utilization)
    if requested is None and cache < _LEAST_CACHE:
        return 1, {}
    if cache < model.kv_cache_bytes_per_token * int(stack.settings["max_model_len"]):
        what = f"{device.label} does not hold {number} engines"
        raise UsageProblem(what, do="give --engines a smaller number, or leave it out")
    return number, {"gpu_memory_utilization": utilization, "kv_cache_memory_bytes": cache}


def _unmet(stack: Stack, device: Device) -> list[str]:
    card = device.card
    if device.instance is not None:
        card = card.model_copy(update={"mig": (device.memory,)})
    return unmet_gpu_minimums(stack, as_profile(card, stack.arch))


def _starts_at_once(host: HostResources) -> int:
    """Return how many engines may load at once, so that they do not take the host's memory."""
    by_memory = host.memory // _LOADING_MEMORY if host.memory is not None else host.cores
    return max(1, min(host.cores // _LOADING_CORES, by_memory))
