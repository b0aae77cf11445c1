"""The test tokenizer, read by the tokenizers library itself."""

import json

import pytest
from tokenizers import Tokenizer

from dsk import models
from dsk.eyechart import tokenizer
from dsk.eyechart.alphabet import alphabet_of
from dsk.models.base import ModelProfile

PROFILES = models.profiles()


@pytest.fixture(params=list(PROFILES.values()), ids=list(PROFILES))
def profile(request: pytest.FixtureRequest) -> ModelProfile:
    found: ModelProfile = request.param
    return found


@pytest.fixture(params=[False, True], ids=["tiny", "full"])
def words(profile: ModelProfile, request: pytest.FixtureRequest) -> dict[str, int]:
    return tokenizer.vocabulary(profile, real_ids=request.param)


@pytest.fixture
def made(profile: ModelProfile, words: dict[str, int]) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(tokenizer.tokenizer_json(profile, words)))


def test_every_prompt_is_one_token_behind_the_image(profile: ModelProfile, made: Tokenizer) -> None:
    located = "<image>\nLocate <|ref|>fox<|/ref|> in it."
    for prompt in (*profile.record.prompts.values(), located):
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


def test_special_tokens_show_only_when_asked_for(
    profile: ModelProfile, made: Tokenizer, words: dict[str, int]
) -> None:
    special = alphabet_of(profile).special
    ids = [words[token] for token in special]
    assert made.decode(ids, skip_special_tokens=False) == "".join(special)
    assert made.decode(ids) == ""


def test_special_tokens_have_the_models_own_numbers_in_the_full_vocabulary() -> None:
    words = tokenizer.vocabulary(models.default(), real_ids=True)
    assert (words["<td>"], words["</td>"], words["<image>"]) == (128821, 128822, 128815)


def test_no_two_tokens_share_a_number(words: dict[str, int]) -> None:
    assert len(set(words.values())) == len(words)
