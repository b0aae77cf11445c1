"""The rules are sound: each has examples that hold, and no pattern can run away."""

import io
import time
from pathlib import Path

import pytest

from dsk.errors import MatrixInvalid
from dsk.explain import explain_text, pattern_safety, rules

SYMPTOMS = rules.load()
PATTERNS = sorted(
    {
        pattern
        for rule in SYMPTOMS.rule
        for pattern in (*rule.patterns, *rule.all, *rule.details, *rule.unless)
    }
    | {pattern for entry in SYMPTOMS.harmless for pattern in entry.patterns}
)


def rules_found(text: str) -> list[str]:
    return [cause.rule for cause in explain_text(io.BytesIO(text.encode())).causes]


@pytest.mark.parametrize("rule", SYMPTOMS.rule, ids=lambda rule: str(rule.id))
def test_a_rule_finds_its_positive_examples_and_leaves_the_negative_ones(rule: rules.Rule) -> None:
    for text in rule.positive:
        assert rules_found(text)[:1] == [rule.id]
    for text in rule.negative:
        assert rule.id not in rules_found(text)


@pytest.mark.parametrize("entry", SYMPTOMS.harmless, ids=lambda entry: str(entry.id))
def test_a_harmless_line_is_named_and_never_a_cause(entry: rules.Harmless) -> None:
    for text in entry.positive:
        found = explain_text(io.BytesIO(text.encode()))
        assert not found.causes
        assert [line.rule for line in found.harmless] == [entry.id]
    for text in entry.negative:
        harmless = explain_text(io.BytesIO(text.encode())).harmless
        assert entry.id not in [line.rule for line in harmless]


def test_each_kind_of_failure_has_a_rule() -> None:
    assert {rule.category for rule in SYMPTOMS.rule} == set(rules.CATEGORIES)


@pytest.mark.parametrize(
    "pattern",
    ["cannot (a+)+", "(?:ab{1,9}){1,9} literal", "literal.*", "literal.{0,400}x", r"(a)\1 literal"],
)
def test_a_pattern_that_could_run_away_is_refused(pattern: str) -> None:
    with pytest.raises(pattern_safety.UnsafePattern):
        pattern_safety.check(pattern)


def test_a_pattern_with_too_many_ways_or_nothing_to_look_for_is_refused() -> None:
    with pytest.raises(pattern_safety.UnsafePattern, match="ways"):
        pattern_safety.check("literal.{0,300}.{0,300}x")
    with pytest.raises(pattern_safety.UnsafePattern, match="4 or more"):
        pattern_safety.check(r"\d{1,5} [ab]{1,3}")


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        ("cannot import name .(?P<n>x)", {"cannot import name "}),
        ("SSLError|SSL_ERROR_[A-Z]{1,9}", {"sslerror", "ssl_error_"}),
        ("a 'quoted' literal", {" literal"}),
    ],
)
def test_what_every_match_contains_is_looked_for(pattern: str, literals: set[str]) -> None:
    assert pattern_safety.required_literals(pattern) == literals


@pytest.mark.parametrize("filler", ["a", " ", "0", "'", ".", "_", "x: "])
def test_no_pattern_takes_long_on_a_hostile_line(filler: str) -> None:
    for pattern in PATTERNS:
        text = "".join(
            literal + filler * 60
            for literal in sorted(pattern_safety.required_literals(pattern)) * 20
        )[:6000]
        start = time.process_time()
        pattern_safety.compiled(pattern).search(text)
        assert time.process_time() - start < 2, pattern


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('category = "vram"', 'category = "memory"', "category: found 'memory'; allowed"),
        ("CUDA out of memory", "(?:x+)+", "allowed"),
        ('positive = ["Killed"', 'posjtive = ["Killed"', "positive: found"),
        ("{asked|a further block}", "{askde}", "askde"),
        ("\n[[rule]]\n", "\n[[rule\n", "not valid TOML"),
    ],
)
def test_an_invalid_file_is_told_by_file_key_what_was_found_and_what_is_allowed(
    old: str, new: str, told: str, tmp_path: Path
) -> None:
    text = (Path(__file__).parents[3] / "compat" / "symptoms.toml").read_text()
    assert old in text
    path = tmp_path / "symptoms.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(MatrixInvalid) as raised:
        rules.load(path)
    assert str(path) in str(raised.value)
    assert told in str(raised.value)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MatrixInvalid, match="restore it"):
        rules.load(tmp_path / "symptoms.toml")
