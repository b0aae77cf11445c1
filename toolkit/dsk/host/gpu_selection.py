"""Selection of this machine's GPUs: by CUDA_VISIBLE_DEVICES, and by the words of ``--gpus``.

A GPU that MIG divides is as many devices as it has instances, since programs run on these alone.
Numbers are those of PCI order, as nvidia-smi shows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dsk.host.facts import Card, Nvidia

ALL: Final = "all"
VARIABLE: Final = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, kw_only=True)
class Device:
    """Something that an engine can run on: a GPU, or a MIG instance of one.

    Args:
        number: the GPU's.
        instance: the instance's number on its GPU; None for a whole GPU.
        uuid: the GPU's, or the instance's; empty where NVML does not tell it.
        memory: in bytes.
        card: the GPU.
    """

    number: int
    instance: int | None = None
    uuid: str = ""
    memory: int
    card: Card

    @property
    def label(self) -> str:
        """Its name in messages, such as ``GPU 1`` or ``GPU 1:0``."""
        return f"GPU {self.address}"

    @property
    def address(self) -> str:
        """Its name for ``--gpus``, such as ``1`` or ``1:0``."""
        return str(self.number) if self.instance is None else f"{self.number}:{self.instance}"

    @property
    def cuda_name(self) -> str:
        """Its name in CUDA_VISIBLE_DEVICES, with CUDA_DEVICE_ORDER=PCI_BUS_ID."""
        return str(self.number) if self.instance is None else self.uuid


def numbers_of(nvidia: Nvidia) -> list[int]:
    """Return the number of each GPU in PCI order; recorded facts without them count from 0."""
    return [
        position if card.number is None else card.number
        for position, card in enumerate(nvidia.cards)
    ]


def devices_of(nvidia: Nvidia | None) -> tuple[Device, ...]:
    """Return everything that an engine can run on; a MIG instance without a UUID is none."""
    found: list[Device] = []
    for number, card in zip(numbers_of(nvidia), nvidia.cards, strict=True) if nvidia else ():
        if card.mig is None:
            found.append(Device(number=number, uuid=card.uuid, memory=card.memory_total, card=card))
            continue
        found += [
            Device(number=number, instance=instance, uuid=uuid, memory=memory, card=card)
            for instance, (memory, uuid) in enumerate(zip(card.mig, card.mig_uuids, strict=False))
            if uuid
        ]
    return tuple(found)


def visible(devices: Sequence[Device], variable: str | None) -> tuple[Device, ...]:
    """Return the devices that CUDA_VISIBLE_DEVICES leaves, in its order.

    Args:
        devices: those of the machine.
        variable: its value; None where it is not set.
    """
    if variable is None:
        return tuple(devices)
    found: list[Device] = []
    for entry in variable.split(","):
        matches = _entry(devices, entry.strip())
        if not matches:
            break  # as CUDA does: what follows an invalid entry, such as -1, does not count
        # Of a divided GPU that is named as a whole CUDA shows the first instance alone.
        found += matches[:1]
    return tuple(dict.fromkeys(found))


def hides_all(variable: str | None) -> bool:
    """Return True if a value of CUDA_VISIBLE_DEVICES leaves programs no GPU at all."""
    if variable is None:
        return False
    # CUDA looks no further than the first entry that is none: a negative number, or a word.
    first = variable.split(",")[0].strip()
    return not (first.isdecimal() or first.upper().startswith(("GPU-", "MIG-")))


def names_by_cuda(variable: str) -> bool:
    """Return True if a value names an instance as CUDA did before NVML had UUIDs of them."""
    # MIG-GPU-<uuid>/<GPU instance>/<compute instance>
    return variable.strip().upper().startswith("MIG-GPU-")


def limited_to(nvidia: Nvidia, devices: Sequence[Device]) -> Nvidia:
    """Return the facts of a machine that has no GPUs but those of the devices."""
    cards = tuple(dict.fromkeys(_alone(device) for device in devices))
    # Without any, nothing must look like a GPU that does not answer.
    gone = {} if cards else {"on_bus": 0, "module": (), "device_files": 0}
    return nvidia.model_copy(update={"cards": cards, **gone})


def _alone(device: Device) -> Card:
    """Return the GPU of a device, with that instance alone if it is one."""
    if device.instance is None:
        return device.card
    one = {"mig": (device.memory,), "mig_free": (), "mig_uuids": (device.uuid,)}
    return device.card.model_copy(update=one)


def select(devices: Sequence[Device], wanted: str, variable: str | None) -> tuple[Device, ...]:
    """Return the devices that the user wants.

    Args:
        devices: those of the machine.
        wanted: ``all``, or GPUs by number or UUID (its beginning is enough), and instances as
            ``GPU:INSTANCE`` or by UUID, with commas between them.
        variable: the value of CUDA_VISIBLE_DEVICES; None where it is not set.

    Raises:
        UsageProblem: there is no such device, or CUDA_VISIBLE_DEVICES hides it.
    """
    left = visible(devices, variable)
    words = [word.strip() for word in wanted.split(",") if word.strip()]
    if wanted.strip().lower() == ALL:
        if not left:
            what = f"--gpus {ALL}: {_none(devices, variable)}"
            raise UsageProblem(what, do="leave --gpus out, or run dsk doctor")
        return left
    if not words:
        what = "--gpus names no GPU"
        raise UsageProblem(what, do=f"give it {ALL}, or numbers as nvidia-smi -L lists them")
    found: list[Device] = []
    for word in words:
        matches = _entry(devices, word)
        if not matches:
            what = f"--gpus {word}: there is no such GPU here"
            raise UsageProblem(what, do=f"there are: {_listed(devices)}")
        shown = [device for device in matches if device in left]
        if not shown:
            what = f"--gpus {word}: {VARIABLE}={variable} hides it"
            raise UsageProblem(what, do=f"unset {VARIABLE}, or name one of: {_listed(left)}")
        found += shown
    return tuple(dict.fromkeys(found))


def _entry(devices: Iterable[Device], word: str) -> list[Device]:
    """Return the devices that a number, an address or a UUID names; all instances of a GPU."""
    if word.isdecimal():
        return [device for device in devices if device.number == int(word)]
    if not word.upper().startswith(("GPU-", "MIG-")):
        return [device for device in devices if device.address == word]
    prefix = word.lower()
    matches = [
        device
        for device in devices
        if device.uuid.lower().startswith(prefix) or device.card.uuid.lower().startswith(prefix)
    ]
    # A beginning that several have names none of them.
    one_card = len({device.number for device in matches}) == 1
    one_instance = prefix.startswith("gpu-") or len(matches) == 1
    return matches if one_card and one_instance else []


def _none(devices: Sequence[Device], variable: str | None) -> str:
    if devices and variable is not None:
        return f"{VARIABLE}={variable} hides every GPU"
    return "no NVIDIA GPU answers here"


def _listed(devices: Sequence[Device]) -> str:
    return ", ".join(f"{each.address} ({each.card.name})" for each in devices) or "none"
