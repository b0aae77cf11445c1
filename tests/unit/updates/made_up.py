"""Made-up wheels of vLLM and transformers: all that dsk needs, less what a test leaves out."""

from __future__ import annotations

import ast
import hashlib
import io
import struct
import zipfile
from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING

from tests.unit.conftest import Index, wheel
from tests.unit.vllm_plugin.guard.test_acceptance import RELEASES

from dsk import paths
from dsk.updates import own_imports

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REGISTRY = "vllm/model_executor/models/registry.py"
HEAD_SIZE = "vllm/transformers_utils/model_arch_config_convertor.py"
PROCESSOR = "vllm/multimodal/processing/processor.py"
LIBRARY = "vllm/_C_stable_libtorch.abi3.so"

_CONVERTOR = """
class ModelArchConfigConvertorBase:
    def get_head_size(self) -> int:
        {test}
            return self.hf_text_config.head_dim
        return self.get_hidden_size() // self.get_total_num_attention_heads()
"""
TAKES_ZERO = _CONVERTOR.format(
    test='if getattr(self.hf_text_config, "head_dim", None) is not None:'
)
LEAVES_ZERO_OUT = _CONVERTOR.format(
    test='if (head_dim := getattr(self.hf_text_config, "head_dim", None)) is not None'
    " and head_dim > 0:"
)
APPLY = """
class BaseMultiModalProcessor:
    def apply(self, {parameters}): ...
"""
MODELS = {
    "DeepseekOCRForCausalLM": ("deepseek_ocr", "DeepseekOCRForCausalLM"),
    "DeepseekOCR2ForCausalLM": ("deepseek_ocr2", "DeepseekOCR2ForCausalLM"),
    "UnlimitedOCRForCausalLM": ("unlimited_ocr", "UnlimitedOCRForCausalLM"),
}


def _stubs(package: str, folder: Path) -> dict[str, str]:
    """Modules of a package with every name that the modules of a folder of ours import from it."""
    names: dict[str, set[str]] = defaultdict(set)
    for file in folder.rglob("*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        for module, name in own_imports._imported(tree, package):
            names[module].add(name)
    sources = {f"{package}/__init__.py": ""}
    for module, held in names.items():
        parts = module.split(".")
        for length in range(1, len(parts) + 1):
            sources.setdefault(f"{'/'.join(parts[:length])}/__init__.py", "")
        sources[f"{'/'.join(parts)}/__init__.py"] += "".join(
            f"{name} = None\n" for name in sorted(held)
        )
    return sources


def vllm_sources(version: str, changed: Mapping[str, str | None]) -> dict[str, str]:
    """Sources of a vLLM of which nothing is wrong; `changed` is by file, None leaves it out."""
    sources = _stubs("vllm", paths.PACKAGE / "vllm_plugin" / "v1")
    # A class behind the package's own name, as in the real ones.
    package = "vllm/multimodal/processing/__init__.py"
    sources[package] = sources[package].replace(
        "BaseMultiModalProcessor = None\n", "from .processor import BaseMultiModalProcessor\n"
    )
    sources |= {
        REGISTRY: f"_MULTIMODAL_MODELS = {MODELS!r}\n",
        HEAD_SIZE: LEAVES_ZERO_OUT,
        PROCESSOR: APPLY.format(parameters="inputs, timing_ctx"),
        **{
            f"vllm/model_executor/models/{module}.py": f"class {name}: ...\n"
            for module, name in MODELS.values()
        },
        **RELEASES[version],
    }
    sources |= {file: text for file, text in changed.items() if text is not None}
    return {file: text for file, text in sources.items() if changed.get(file, "") is not None}


def transformers_sources(*without: str) -> dict[str, str]:
    """Sources of a transformers that has what the patch imports."""
    sources = _stubs("transformers", paths.PACKAGE / "transformers_patch" / "shims")
    sources |= {
        "transformers/generation/__init__.py": "from .utils import GenerationMixin\n",
        "transformers/generation/utils.py": "class GenerationMixin: ...\n",
        "transformers/configuration_utils.py": "class PretrainedConfig: ...\n",
        "transformers/modeling_utils.py": "class PreTrainedModel: ...\n",
    }
    return {
        file: "".join(
            line
            for line in text.splitlines(keepends=True)
            if not any(name in line for name in without)
        )
        for file, text in sources.items()
    }


def library(*capabilities: int, ptx: tuple[int, ...] = ()) -> bytes:
    """A library with fat binaries: machine code and PTX for compute capabilities such as 90."""
    entries = b""
    for kind, held in ((2, capabilities), (1, ptx)):
        for capability in held:
            code = b"code" * 4
            head = struct.pack("<HHIQ12xI", kind, 257, 64, len(code), capability)
            entries += head.ljust(64, b"\0") + code
    container = struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(entries)) + entries
    return b"\x7fELF" + b"\0" * 60 + container + b"libcudart.so.13\0"


CARDS = (75, 80, 86, 89, 90, 100, 120)


def vllm_wheel(
    version: str = "0.30.0",
    requires: tuple[str, ...] = (),
    *,
    cards: tuple[int, ...] = CARDS,
    name: str = "vllm",
    changed: Mapping[str, str | None] = MappingProxyType({}),
) -> bytes:
    """A wheel of vLLM with sources and a library of kernels."""
    release = version if version in RELEASES else "0.30.0"
    packed = io.BytesIO(wheel(name, version, requires, sources=vllm_sources(release, changed)))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(LIBRARY, library(*cards))
    return packed.getvalue()


def put(index: Index, content: bytes, name: str, version: str, uploaded: str = "") -> str:
    """Add a wheel to the index; return its sha256."""
    file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    index.add(file, content, uploaded or "2025-01-01T00:00:00Z")
    return hashlib.sha256(content).hexdigest()
