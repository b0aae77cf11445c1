"""Which newer releases a stack's policy admits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.conftest import toy_stack

from dsk.errors import MatrixInvalid
from dsk.matrix import load_matrix
from dsk.matrix.load import _parse, _record
from dsk.matrix.stack import Stack
from dsk.matrix.update_policy import UpdatePolicy

if TYPE_CHECKING:
    from pathlib import Path

HOLD = [{"version": "0.31.0", "why": "it loops"}]


@pytest.mark.parametrize(
    ("policy", "version", "age", "refusal"),
    [
        ({}, "0.33.0", 14, ""),
        ({}, "0.33.0", 13, "13 days old, younger than 14"),
        ({}, "0.33.0", None, "of unknown age"),
        ({"minimum_age_days": 0}, "0.33.0", 0, ""),
        ({}, "0.33.0rc1", 99, "a pre-release"),
        ({}, "1.0.0", 99, "another major release"),
        ({"follow": "none"}, "0.24.1", 99, 'follow = "none"'),
        ({"follow": "patch"}, "0.24.1", 99, ""),
        ({"follow": "patch"}, "0.25.0", 99, 'another minor release, and follow = "patch"'),
        ({"hold": HOLD}, "0.31", 99, "held: it loops"),
        ({"hold": HOLD}, "0.31.1", 99, ""),
    ],
)
def test_a_release_is_admitted_or_the_reason_given(
    policy: dict[str, Any], version: str, age: int | None, refusal: str
) -> None:
    assert UpdatePolicy(**policy).refusal("0.24.0", version, age) == refusal


@pytest.mark.parametrize(
    ("table", "key", "expected"),
    [
        ('follow = "all"', "update.follow", '"minor" (every later release'),
        ("minimum_age_days = -1", "update.minimum_age_days", "a whole number"),
        ("minimum_age_days = true", "update.minimum_age_days", "a whole number"),
        ('hold = [{ version = "0.x", why = "w" }]', "update.hold.0.version", "an exact version"),
        ('hold = [{ version = "0.31.0" }]', "update.hold.0.why", "the reason, in words"),
        ("max_age = 1", "update.max_age", "one of follow, hold, minimum_age_days"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_as_the_matrix_is_loaded(
    tmp_path: Path, table: str, key: str, expected: str
) -> None:
    file = tmp_path / "toy.toml"
    file.write_text(f"[update]\n{table}\n", "utf-8")
    facts = toy_stack(tmp_path).model_dump(mode="json", exclude={"host", "update"})
    host = {"arch": ["x86_64"], "glibc": "2.31"}
    values = facts | {"folder": tmp_path, "host": host} | _parse(file)
    with pytest.raises(MatrixInvalid, match=re.escape(f"key '{key}'")) as refused:
        _record(file, Stack, values, "")
    assert expected in refused.value.do


def test_the_stacks_of_the_v0_engine_follow_nothing() -> None:
    for stack in load_matrix().stacks.values():
        assert (stack.update.follow == "none") == (stack.engine == "V0")
