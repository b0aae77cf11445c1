"""Detection of the DeepSeek-OCR family's remote code: no other model's code is changed.

A repository is of the family if one of its files is patched, or uses names in a way that only its
code does.
"""

from __future__ import annotations

import ast
import hashlib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

LLAMA: Final = frozenset({"LlamaAttention", "LlamaFlashAttention2", "LlamaSdpaAttention"})
MASK: Final = "_update_causal_mask"
_WORDS: Final = re.compile(rb"\bLlama(?:Flash|Sdpa)?Attention2?\b|\bdef _update_causal_mask\b")

# Names of the published files: one of them in a repository that is not recognized is reported.
NAMES: Final = frozenset(
    {
        "modeling_deepseekocr.py",
        "modeling_deepseekocr2.py",
        "modeling_deepseekv2.py",
        "modeling_unlimitedocr.py",
    }
)

HEADER: Final = re.compile(rb"# Patched by dsk ([0-9a-f]{12}); original sha256 ([0-9a-f]{64})\.")
# Suffix of an original's name, which is kept beside the patched file.
ORIGINAL_SUFFIX: Final = ".dsk-original"


def is_model_code(sources: Iterable[bytes]) -> bool:
    """Return True if these files of one repository are the model's."""
    return any(read_header(source) or _is_recognized(source) for source in sources)


def _is_recognized(source: bytes) -> bool:
    """Return True if it imports Llama's attention, or overrides a mask method without a call."""
    if not _WORDS.search(source):  # most other code is not even parsed
        return False
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):
        return False
    imported = {
        alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    defined = any(isinstance(node, ast.FunctionDef) and node.name == MASK for node in nodes)
    called = any(isinstance(node, ast.Attribute) and node.attr == MASK for node in nodes)
    # transformers' own copies of such models define the method and call it.
    return bool(imported & LLAMA) or (defined and not called)


def sha256(source: bytes) -> str:
    """Return the hash that identifies a file in headers, manifests and warnings."""
    return hashlib.sha256(source).hexdigest()


def header(revision: str, original: bytes) -> bytes:
    """Return the first line of a patched file, which `read_header` reads."""
    return f"# Patched by dsk {revision}; original sha256 {sha256(original)}.\n".encode()


def read_header(source: bytes) -> tuple[str, str] | None:
    """Return the patch's revision and the original's sha256; None if the file is not patched."""
    match = HEADER.match(source)
    return (match[1].decode(), match[2].decode()) if match else None
