"""Tokenizer of the model, loaded as transformers 4.46.3 loaded it."""

# It is byte-level BPE that declares itself ``LlamaTokenizerFast``. transformers 5.0 to 5.7 rebuild
# it as the Llama tokenizer it is not, which loses spaces; all of 5 forget its begin-of-sentence
# token.

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dsk.transformers_patch import detection, repository

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dsk.transformers_patch.repository import Find

DECLARED: Final = frozenset({"LlamaTokenizer", "LlamaTokenizerFast"})
_LOCATION_OPTIONS: Final = ("cache_dir", "revision", "subfolder", "token")


def as_declared(
    tokenizer: Any, repo: str, inputs: tuple[Any, ...], options: Mapping[str, Any]
) -> Any:
    """Return the tokenizer as its files declare it, without downloading anything.

    Args:
        tokenizer: the one that transformers made.
        repo: a remote id or a local folder.
        inputs: the other positional arguments of ``AutoTokenizer.from_pretrained``.
        options: its keyword arguments.
    """
    find = _finder(repo, options)
    declared = repository.read_json(find, "tokenizer_config.json")
    if declared.get("tokenizer_class") not in DECLARED or not _is_model(find):
        return tokenizer
    from tokenizers import Tokenizer
    from transformers.tokenization_utils_tokenizers import TokenizersBackend

    file = find("tokenizer.json")
    if file is None or not isinstance(tokenizer, TokenizersBackend):
        return tokenizer
    published = Tokenizer.from_file(str(file)).pre_tokenizer
    if _state(tokenizer.backend_tokenizer.pre_tokenizer) != _state(published):
        known = {name: value for name, value in options.items() if name != "trust_remote_code"}
        tokenizer = TokenizersBackend.from_pretrained(repo, *inputs, **known)
    for name, default in (("add_bos_token", True), ("add_eos_token", False)):
        setattr(tokenizer, name, options.get(name, declared.get(name, default)))
    return tokenizer


def _finder(repo: str, options: Mapping[str, Any]) -> Find:
    from transformers.utils import cached_file

    location = {name: options[name] for name in _LOCATION_OPTIONS if options.get(name) is not None}
    look = functools.partial(cached_file, repo, local_files_only=True, **location)

    def find(name: str) -> Path | None:
        try:
            path = look(name)
        except OSError:
            return None
        return Path(path) if path else None

    return find


def _is_model(find: Find) -> bool:
    """Return True if the configuration names remote code of the model."""
    classes = repository.auto_map(find).values()
    modules = {f"{str(reference).split('.')[0]}.py" for reference in classes}
    return bool(modules & detection.NAMES) or detection.is_model_code(
        source for source, _ in repository.auto_map_sources(find).values()
    )


def _state(part: Any) -> bytes | None:
    state: bytes | None = part.__getstate__() if part is not None else None
    return state
