"""Names of GPUs, as people and drivers write them, read as a model and its memory."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dsk.matrix.profiles import Gpu

# Words that do not tell one model from another: brands, generations that the number tells already,
# form factors and kinds of memory.
_WORDS: Final = re.compile(
    r"\b(?:nvidia|geforce|tesla|quadro|gpu|generation|blackwell|workstation|server|edition|with|"
    r"max ?q|design|active|sff|pcie?|sxm\d*|hbm\w*)\b"
)
_LAPTOP: Final = re.compile(r"\b(?:mobile|notebook)\b")
_MEMORY: Final = re.compile(r"\b(\d{1,3}) ?g(?:i?b)?\b")
_BRAND: Final = re.compile(r"^[rg]tx(?=pro|[a-z]?\d)")
# A series is what a generation calls its cards: RTX 40.., A.., L..; RTX 40.. Ada is another one.
_SERIES: Final = re.compile(r"(?P<letters>[a-z]*?)(?P<digits>\d+)[a-z]*?(?P<kind>ada)?\w*$")
# A nominal size and the one that a driver reports differ by this share at most.
_CLOSE: Final = 0.1

# Two digits of four in other places, and it is another card: RTX 6090 is no RTX 6000.
_LIKE: Final = 0.8
_OTHER_MAKERS: Final = re.compile(
    r"\b(?:amd|radeon|instinct|mi ?\d{2,3}x?|rx ?\d{3,4}|intel|arc|gaudi|apple|"
    r"m[1-5] (?:pro|max|ultra))\b"
)

_DESCRIBE: Final = (
    "--compute-capability and --vram describe any card: "
    "nvidia-smi --query-gpu=compute_cap,memory.total --format=csv shows them"
)


@dataclass(frozen=True, kw_only=True)
class CardName:
    """A GPU's name, taken apart.

    Args:
        model: the name without brand, form factor and memory, such as ``4090laptop``.
        memory: in GB, if the name has it.
    """

    model: str
    memory: int | None = None

    @property
    def series(self) -> tuple[str, str, str]:
        """Letters, leading digits and kind that cards of one generation share."""
        found = _SERIES.match(self.model)
        if not found:
            return self.model, "", ""
        digits = found["digits"]
        return found["letters"], digits[:2] if len(digits) > 2 else "", found["kind"] or ""


def parsed(name: str) -> CardName:
    """Take a name apart."""
    text = _LAPTOP.sub("laptop", re.sub(r"[\s_()/-]+", " ", name.casefold()))
    memory = _MEMORY.search(text)
    text = _MEMORY.sub(" ", _WORDS.sub(" ", text))
    model = _BRAND.sub("", re.sub(r"\s+", "", text))
    return CardName(model=model, memory=int(memory[1]) if memory else None)


def find(name: str, gpus: Iterable[Gpu]) -> Gpu:
    """Return the GPU that a name means.

    A name that is one of a GPU's own, spelt in whatever way, is that GPU. Else the model decides,
    and its memory where several GPUs are of one model.

    Raises:
        UsageProblem: there is none; the message has the nearest of the same series, if there is
            one, and the way to describe a card that is not known.
    """
    known = list(gpus)
    spelling = normalized(name)
    for gpu in known:
        if spelling in spellings(gpu):
            return gpu
    asked = parsed(name)
    alike = [gpu for gpu in known if asked.model in {parsed(text).model for text in _names(gpu)}]
    if not alike:
        raise _unknown(name, asked, known)
    if asked.memory is None:
        return alike[0]
    nearest = min(alike, key=lambda gpu: abs(gpu.vram_gib - (asked.memory or 0)))
    if abs(nearest.vram_gib - asked.memory) <= max(1, _CLOSE * nearest.vram_gib):
        return nearest
    sizes = " or ".join(str(gpu.vram_gib) for gpu in alike)
    what = f"no such GPU '{name}': {alike[0].name} has {sizes} GiB"
    major, minor = nearest.compute_capability
    do = f"for one with another memory: --compute-capability {major}.{minor} --vram {asked.memory}"
    raise UsageProblem(what, do=do)


def spellings(gpu: Gpu) -> set[str]:
    """Return every normalized spelling of a GPU's names."""
    return {normalized(text) for text in _names(gpu)}


def normalized(name: str) -> str:
    """Return a GPU's name without case, spaces, hyphens, underscores and brand."""
    # Drivers write "NVIDIA GeForce RTX 4090" and "Tesla T4", people "rtx-4090" and "t4".
    return re.sub(r"^(nvidia)?(geforce|tesla)?", "", re.sub(r"[\s_-]+", "", name.casefold()))


def _names(gpu: Gpu) -> tuple[str, ...]:
    return gpu.id, gpu.name, *gpu.aliases


def _unknown(name: str, asked: CardName, known: list[Gpu]) -> UsageProblem:
    # Only of the same series: a card of another generation is another card, however alike its name.
    models = {
        parsed(text).model: gpu
        for gpu in known
        for text in _names(gpu)
        if parsed(text).series == asked.series
    }
    if _OTHER_MAKERS.search(name.casefold()):
        what = f"'{name}' is no NVIDIA GPU"
        return UsageProblem(what, do="the stack for its machine's processor is --stack cpu")
    near = difflib.get_close_matches(asked.model, models, n=1, cutoff=_LIKE)
    do = f"did you mean {models[near[0]].id}? {_DESCRIBE}" if near else _DESCRIBE
    return UsageProblem(f"no such GPU '{name}'", do=do)
