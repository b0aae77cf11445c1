"""The test tokenizer, read by the tokenizers library itself."""

import json

import pytest
from tokenizers import Tokenizer

from dsk.eyechart import tokenizer
from dsk.eyechart.alphabet import SPECIAL
from dsk.eyechart.architecture import RECORD


@pytest.fixture(params=[False, True], ids=["tiny", "full"])
def words(request: pytest.FixtureRequest) -> dict[str, int]:
    return tokenizer.vocabulary(real_ids=request.param)


@pytest.fixture
def made(words: dict[str, int]) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(tokenizer.tokenizer_json(words)))


@pytest.mark.parametrize(
    "prompt", [*RECORD.prompts.values(), "<image>\nLocate <|ref|>fox<|/ref|> in it."]
)
def test_every_prompt_is_one_token_behind_the_image(made: Tokenizer, prompt: str) -> None:
    assert len(made.encode(prompt).ids) == 2


def test_a_long_prompt_is_long(made: Tokenizer) -> None:
    assert len(made.encode("<image>" + "word " * 2000).ids) == 10_001


def test_text_comes_back_from_its_bytes(made: Tokenizer) -> None:
    text = "naïve café — 中文\n\t<td>"
    assert made.decode([tokenizer.byte_id(byte) for byte in text.encode()]) == text


def test_what_blank_cells_spell_is_nothing(made: Tokenizer, words: dict[str, int]) -> None:
    blank = words[tokenizer.NOTHING]
    letters = [tokenizer.byte_id(byte) for byte in b"ab"]
    assert made.decode([letters[0], blank, blank, letters[1]]) == "ab"


def test_special_tokens_show_only_when_asked_for(made: Tokenizer, words: dict[str, int]) -> None:
    ids = [words[token] for token in SPECIAL]
    assert made.decode(ids, skip_special_tokens=False) == "".join(SPECIAL)
    assert made.decode(ids) == ""


def test_special_tokens_have_the_models_own_numbers_in_the_full_vocabulary() -> None:
    words = tokenizer.vocabulary(real_ids=True)
    assert (words["<td>"], words["</td>"], words["<image>"]) == (128821, 128822, 128815)


def test_no_two_tokens_share_a_number(words: dict[str, int]) -> None:
    assert len(set(words.values())) == len(words)
