"""What tells DeepSeek-OCR's remote code from anybody else's, seen without parsing it.

A repository is the model's when one of its files has such a sign; then all its files are looked at.
Nobody else's code is parsed, let alone changed.
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

# The published files' names: one of them without any sign is worth a word.
NAMES: Final = frozenset(
    {"modeling_deepseekocr.py", "modeling_deepseekocr2.py", "modeling_deepseekv2.py"}
)

HEADER: Final = re.compile(rb"# Patched by dsk ([0-9a-f]{12}); original sha256 ([0-9a-f]{64})\.")
# What a patched file's original is called beside it: its own name and this.
BESIDE: Final = ".dsk-original"


def ours(sources: Iterable[bytes]) -> bool:
    """Whether these files, one repository's, are the model's: one has a sign or is patched."""
    return any(patched_from(source) or _has_sign(source) for source in sources)


def _has_sign(source: bytes) -> bool:
    """An import of Llama's attention, or an override of the causal mask that nobody here calls."""
    if not _WORDS.search(source):  # most code of others is not even parsed
        return False
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):
        return False
    imported = {
        alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    defined = any(isinstance(x, ast.FunctionDef) and x.name == MASK for x in nodes)
    called = any(isinstance(x, ast.Attribute) and x.attr == MASK for x in nodes)
    return bool(imported & LLAMA) or (defined and not called)


def sha256(source: bytes) -> str:
    """The hash that names a file in headers, manifests and warnings."""
    return hashlib.sha256(source).hexdigest()


def header(revision: str, original: bytes) -> bytes:
    """The first line of a patched file; `patched_from` reads it."""
    return f"# Patched by dsk {revision}; original sha256 {sha256(original)}.\n".encode()


def patched_from(source: bytes) -> tuple[str, str] | None:
    """Revision of the patch and sha256 of the original, if the file is a patched one."""
    found = HEADER.match(source)
    return (found[1].decode(), found[2].decode()) if found else None
