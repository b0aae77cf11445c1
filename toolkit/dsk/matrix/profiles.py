"""GPU profiles. Errors quote the fields' descriptions."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from dsk.frozen import Frozen

Positive = Annotated[int, Field(gt=0, strict=True)]
Text = Annotated[str, Field(min_length=1, strict=True)]


def _capability(value: Any) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)\.(\d)", value) if isinstance(value, str) else None
    if not match:
        raise ValueError
    return int(match[1]), int(match[2])


# Major and minor, written as ``"8.9"``.
ComputeCapability = Annotated[tuple[int, int], BeforeValidator(_capability)]


def sm(capability: tuple[int, int]) -> str:
    """Return a compute capability in the compilers' notation: (8, 9) is ``sm_89``."""
    return f"sm_{capability[0]}{capability[1]}"


def driver_release(number: tuple[int, ...]) -> str:
    """Return a driver's release as NVIDIA writes it: ``535.183.01``."""
    # The third part has two digits: 535.183.01, not 535.183.1.
    return ".".join(str(part) if at < 2 else f"{part:02}" for at, part in enumerate(number))


def dotted(number: tuple[int, ...]) -> str:
    """Return a release number as text: (2, 28) is ``2.28``."""
    return ".".join(str(part) for part in number)


class Gpu(Frozen):
    """A GPU model, by its maker's figures."""

    id: Text = Field(description="a name")
    name: Text = Field(description="the maker's name for the card")
    aliases: tuple[Text, ...] = Field(
        default=(), description="a list of further names that people write for it"
    )
    compute_capability: ComputeCapability = Field(
        description='a compute capability such as "8.9", in quotes'
    )
    vram_gib: Positive = Field(description="the nominal VRAM in GiB, a whole number above 0")
    seen_gib: float | None = Field(
        default=None, gt=0, description="the VRAM in GiB as torch reports it, a number above 0"
    )
    host_arch: Literal["x86_64", "aarch64"] = Field(
        default="x86_64", description="the CPU architecture beside the card: x86_64 or aarch64"
    )

    @property
    def sm(self) -> str:
        """Compute capability in the compilers' notation, ``sm_89``."""
        return sm(self.compute_capability)
