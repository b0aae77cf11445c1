"""The model's tokenizer, read as transformers 4.46.3 read it.

It is byte-level BPE that declares itself ``LlamaTokenizerFast``. transformers 5.0 to 5.7 rebuild it
as the Llama tokenizer it is not, which loses spaces; all of 5 forget its begin-of-sentence token.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dsk.transformers_patch import detection, repository

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dsk.transformers_patch.repository import Find

DECLARED: Final = frozenset({"LlamaTokenizer", "LlamaTokenizerFast"})
_WHERE: Final = ("cache_dir", "revision", "subfolder", "token")


def as_declared(
    tokenizer: Any, repo: str, inputs: tuple[Any, ...], options: Mapping[str, Any]
) -> Any:
    """The tokenizer that transformers made, or the one it should have made.

    Only files that are there already are read.

    Args:
        tokenizer: transformers'.
        repo: a remote id or a local folder.
        inputs: the other positional arguments of ``AutoTokenizer.from_pretrained``.
        options: its keyword arguments.
    """
    find = _finder(repo, options)
    declared = repository.read_json(find, "tokenizer_config.json")
    if declared.get("tokenizer_class") not in DECLARED or not _ours(find):
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

    where = {name: options[name] for name in _WHERE if options.get(name) is not None}
    look = functools.partial(cached_file, repo, local_files_only=True, **where)

    def find(name: str) -> Path | None:
        try:
            found = look(name)
        except OSError:
            return None
        return Path(found) if found else None

    return find


def _ours(find: Find) -> bool:
    """Whether the configuration names remote code that is the model's."""
    modules = {f"{str(x).split('.')[0]}.py" for x in repository.auto_map(find).values()}
    return bool(modules & detection.NAMES) or detection.ours(
        x for x, _ in repository.named(find).values()
    )


def _state(part: Any) -> bytes | None:
    state: bytes | None = part.__getstate__() if part is not None else None
    return state
