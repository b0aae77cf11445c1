"""A model's names and numbers stand in its table and its folder, and nowhere else in the code."""

import io
import tokenize
from collections.abc import Iterator

import pytest

from dsk import models, paths

PROFILES = tuple(models.profiles().values())
NAMES = tuple(
    name
    for profile in PROFILES
    for name in (profile.id, profile.hub, profile.record.architecture, profile.name)
)
NUMBERS = {
    str(number)
    for profile in PROFILES
    for number in (
        profile.max_page_tokens,
        profile.tile,
        profile.default_resolution.view,
        *profile.record.tokens.values(),
    )
    if number > 99
}

# The same number by chance: file, number -> what it counts.
OTHERS = {
    ("eyechart/configuration.py", "768"): "width of SAM",
    ("eyechart/vision.py", "768"): "width of SAM",
    ("vllm_plugin/towers/sam.py", "768"): "width of SAM",
    ("doctor/checks/resources.py", "1024"): "open files that an engine needs; tokens of an answer",
    ("ocr/engines/loop_detector.py", "1024"): "tokens of the longest period of a loop",
    ("vllm_plugin/guard/ngram.py", "1024"): "tokens of the largest window of a request's guard",
}


def literals() -> Iterator[tuple[str, str]]:
    """Every file of the package with each of its numbers, and its strings but docstrings."""
    for path in sorted(paths.PACKAGE.rglob("*.py")):
        file = path.relative_to(paths.PACKAGE).as_posix()
        if file.startswith("models/"):
            continue
        tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
        for token in tokens:
            if token.type == tokenize.NUMBER:
                yield file, token.string.replace("_", "")
            elif token.type in STRINGS and not token.string.endswith('"""'):
                yield file, token.string


# Since Python 3.12 the text of an f-string is a token of its own.
STRINGS = (tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING))
FOUND = list(literals())


@pytest.mark.parametrize("name", NAMES)
def test_no_module_names_the_model(name: str) -> None:
    assert [file for file, literal in FOUND if name in literal] == []


def test_no_module_has_the_models_numbers() -> None:
    found = {(file, literal) for file, literal in FOUND if literal in NUMBERS}
    assert found == OTHERS.keys()
