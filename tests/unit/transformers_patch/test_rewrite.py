"""Rewriting by the syntax tree: what is gone comes from dsk, what is not known is left alone."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from dsk import transformers_patch
from dsk.transformers_patch import detection, rewrite

DECODER = b'''\
# coding=utf-8
"""A decoder."""
from __future__ import annotations

import ast
from pathlib import Path

from dsk import transformers_patch
from transformers.modeling_utils import PreTrainedModel
from transformers.models.llama.modeling_llama import (
    LlamaAttention,
    LlamaFlashAttention2
)
from transformers.utils import logging, replace_return_docstrings as documented

ATTENTION_CLASSES = {"mha_eager": LlamaAttention, "mha_flash_attention_2": LlamaFlashAttention2}

class Decoder(PreTrainedModel):
    def forward(self, cache):
        cache = DynamicCache.from_legacy_cache(cache)
        length = cache.get_usable_length(3, self.layer)  # tokens
        return cache.to_legacy_cache(), length, cache.seen_tokens, cache.get_max_length()

    def prepare_inputs_for_generation(self, input_ids):
        pass
'''


def rewritten(source: bytes) -> str:
    return rewrite.rewritten(source).decode()


def test_the_first_line_names_the_original() -> None:
    mark = detection.read_header(rewrite.rewritten(DECODER))
    assert mark == (rewrite.revision(), detection.sha256(DECODER))


def test_names_that_are_gone_come_from_the_compatibility_module() -> None:
    text = rewritten(DECODER)
    assert "LlamaFlashAttention2 = _dsk.LlamaFlashAttention2\n" in text
    assert "PreTrainedModel = _dsk.PreTrainedModel\n" in text
    assert "from transformers.utils import logging\n" in text
    assert "documented = _dsk.replace_return_docstrings\n" in text
    assert "modeling_llama" not in text


def test_the_import_follows_the_docstring_and_the_future() -> None:
    lines = rewritten(DECODER).splitlines()
    place = lines.index("from dsk.transformers_patch import shims as _dsk")
    assert lines[place - 1] == "from __future__ import annotations"
    compile(rewritten(DECODER), "decoder.py", "exec")


def test_caches_lend_what_they_lost() -> None:
    text = rewritten(DECODER)
    assert "cache = _dsk.from_legacy_cache(cache)" in text
    assert "length = _dsk.get_usable_length(cache, 3, self.layer)  # tokens" in text
    assert (
        "_dsk.to_legacy_cache(cache), length, _dsk.seen_tokens(cache), _dsk.get_max_length(cache)"
    ) in text


def test_generation_is_inherited_and_called_as_before() -> None:
    text = rewritten(DECODER)
    assert "class Decoder(PreTrainedModel, _dsk.GenerationMixin):" in text
    assert "    @_dsk.old_call\n    def prepare_inputs_for_generation" in text


def test_a_class_that_names_generation_itself_inherits_it_once() -> None:
    text = rewritten(
        b"from transformers.generation import GenerationMixin\n"
        b"class Decoder(Base, GenerationMixin):\n"
        b"    def prepare_inputs_for_generation(self): pass\n"
    )
    assert "GenerationMixin = _dsk.GenerationMixin\nclass Decoder(Base, GenerationMixin):" in text


def test_a_cache_is_reordered_by_itself_below_a_static_method() -> None:
    text = rewritten(b"class A(B):\n    @staticmethod\n    def _reorder_cache(past, order): pass\n")
    assert "    @staticmethod\n    @_dsk.reordering\n    def _reorder_cache(" in text


def test_a_subclass_of_llama_s_attention_gets_the_old_one() -> None:
    text = rewritten(
        b"from transformers.models.llama.modeling_llama import (\n"
        b"    LlamaAttention, apply_rotary_pos_emb as rotated, repeat_kv\n)\n"
        b"class Sliding(LlamaAttention): ...\n"
        b'CLASSES = {"mha_eager": Sliding}\n'
    )
    assert "rotated = _dsk.apply_rotary_pos_emb\nrepeat_kv = _dsk.repeat_kv\n" in text
    assert "class Sliding(LlamaAttention): ...\n" in text
    assert 'CLASSES = _dsk.attention_classes({"mha_eager": Sliding})\n' in text


def test_functions_of_the_same_name_from_other_models_stay_theirs() -> None:
    source = b"from transformers.models.qwen2.modeling_qwen2 import repeat_kv\n"
    assert rewrite.rewritten(source) is source


@pytest.mark.parametrize(
    ("expression", "becomes"),
    [
        (
            "getattr(past, 'get_max_length', lambda: None)()",
            "_dsk.cache_method(past, 'get_max_length', lambda: None)()",
        ),
        (
            'getattr(past, "get_usable_length")(3)',
            '_dsk.cache_method(past, "get_usable_length")(3)',
        ),
        ("getattr(past, 'seen_tokens', 0)", "_dsk.seen_tokens(past)"),
    ],
)
def test_an_attribute_of_caches_that_is_asked_for_by_name(expression: str, becomes: str) -> None:
    assert f"x = {becomes}\n" in rewritten(f"x = {expression}\n".encode())


def test_other_attributes_are_asked_for_as_before() -> None:
    source = b"x = getattr(self, 'sam_model', None)\ny = getattr(past, name)\n"
    assert rewrite.rewritten(source) is source


def test_an_attention_map_gains_sdpa() -> None:
    assert "ATTENTION_CLASSES = _dsk.attention_classes({" in rewritten(DECODER)


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("import matplotlib.pyplot as plt", 'plt = _dsk.when_used("matplotlib.pyplot")'),
        ("import matplotlib", 'matplotlib = _dsk.when_used("matplotlib")'),
    ],
)
def test_a_needless_package_is_imported_when_it_is_used(line: str, becomes: str) -> None:
    source = f"def draw():\n    {line}\n".encode()
    assert f"def draw():\n    {becomes}\n" in rewritten(source)


def test_a_needless_package_leaves_its_neighbours() -> None:
    text = rewritten(b"import os, matplotlib.pyplot as plt, re\n")
    assert "import os, re\nplt = _dsk.when_used" in text


def test_an_override_that_nobody_calls_is_called_by_its_base() -> None:
    source = b"def make(Base):\n    class A(Base):\n        def _update_causal_mask(self): pass\n"
    assert "class A(_dsk.calling_update_causal_mask(Base)):" in rewritten(source)


def test_a_mask_that_the_file_itself_calls_is_left_alone() -> None:
    source = (
        b"class A(B):\n    def _update_causal_mask(self): pass\n"
        b"    def forward(self): return self._update_causal_mask()\n"
    )
    assert rewrite.rewritten(source) is source


def test_a_file_with_nothing_to_mend_keeps_its_bytes() -> None:
    source = b"import torch\r\nx = 1"
    assert rewrite.rewritten(source) is source


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"def broken(:\n", "not Python"),
        (b"class Mine(LlamaFlashAttention2):\n    pass\n", "LlamaFlashAttention2"),
        (b"old = LlamaAttention.forward\n", "LlamaAttention"),
        (b"x = llama.LlamaFlashAttention2\n", "LlamaFlashAttention2"),
        (b"from transformers.models.llama.modeling_llama import *\n", "everything"),
    ],
)
def test_a_use_that_is_not_known_is_refused_with_its_reason(source: bytes, reason: str) -> None:
    with pytest.raises(rewrite.UnknownCode, match=reason):
        rewrite.rewritten(source)


def test_only_the_model_s_code_has_a_sign() -> None:
    copied = b"# Copied from transformers.models.llama.modeling_llama.LlamaFlashAttention2\nx = 1\n"
    own = (
        b"class A:\n    def _update_causal_mask(self): ...\n"
        b"    def f(self): self._update_causal_mask()\n"
    )
    assert not detection.is_model_code([copied, own])
    assert detection.is_model_code([copied, DECODER])


def test_an_interpreter_pays_for_nothing_until_transformers_is_imported() -> None:
    script = (
        "import sys; before = set(sys.modules); import dsk.transformers_patch.startup;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = {name for name in done.stdout.split() if name != "__future__"}
    package = "dsk.transformers_patch"
    ours = {f"{package}.{module}" for module in ("hook", "startup", "switch")}
    assert loaded <= {"dsk", package, *ours}


def test_files_that_an_earlier_dsk_patched_find_their_names() -> None:
    # Read, not imported: the shims need torch.
    folder = Path(transformers_patch.__file__).parent
    (statement,) = ast.parse((folder / "compat.py").read_text("utf-8")).body[1:]
    assert ast.unparse(statement) == "from dsk.transformers_patch.shims import *"
