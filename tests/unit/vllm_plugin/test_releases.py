"""The releases that dsk knows: what each gets, by a table, without importing vLLM."""

from __future__ import annotations

import itertools

import pytest

from dsk import models
from dsk.matrix import load_matrix
from dsk.vllm_plugin.releases import RELEASES, faults_of, needed_releases, support_for
from dsk.vllm_plugin.stack_support import stack_version

FIRST = models.default().record
# As DeepSeek-OCR-2 and Unlimited-OCR: vLLM has them later, and the latter's decoder has a window.
LATER = FIRST.model_copy(update={"name": "Later", "native_vllm": "0.16.0"})
WINDOWED = FIRST.model_copy(
    update={
        "name": "Windowed",
        "native_vllm": "0.25.1",
        "language": FIRST.language.model_copy(update={"rswa_window": 128}),
    }
)


@pytest.mark.parametrize(
    ("version", "package", "page_format", "scheduler"),
    [
        ("0.8.5", "dsk.vllm_plugin.v0", "views", False),
        ("0.8.5.post2", "dsk.vllm_plugin.v0", "views", False),
        ("0.11.1", None, "png", False),
        ("0.15.1", None, "png", False),
        # 0.17 and 0.18 call processors as later ones do, but lack vllm.inputs.mm_input.
        ("0.17.1", None, "png", False),
        ("0.18.1", None, "png", False),
        ("0.19.1", "dsk.vllm_plugin.v1", "views", True),
        ("0.24.0+cu130", "dsk.vllm_plugin.v1", "views", True),
        ("0.30.0", "dsk.vllm_plugin.v1", "views", True),
        ("0.31.0rc1", "dsk.vllm_plugin.v1", "views", True),
        ("0.33.0", "dsk.vllm_plugin.v1", "views", True),
    ],
)
def test_a_known_release_gets_its_row(
    version: str, package: str | None, page_format: str, scheduler: bool
) -> None:
    support = support_for(version, FIRST, device="cuda")
    assert support is not None
    assert (support.package, support.page_format) == (package, page_format)
    assert bool(support.scheduler) == scheduler
    assert not support.warning


def test_a_model_of_ours_goes_with_our_page_format_and_guard_and_vllms_own_with_its_own() -> None:
    for version in [row.first for row in RELEASES] + ["0.99"]:
        for native in (False, True):
            support = support_for(version, FIRST, device="cuda", native=native)
            assert support is not None
            ours = support.package is not None
            assert (support.page_format == "views") == ours
            if support.engine == "V1":
                assert (support.guard or "").startswith("dsk." if ours else "vllm.")
            assert ours or not support.scheduler


@pytest.mark.parametrize(
    "version", ["0.34.0", "0.1.dev1+gabc", "0.40.0.dev3", "1.0", "dev", "0.33.1.dev+unknown!"]
)
def test_a_release_that_nobody_has_looked_at_keeps_its_own_model_with_a_line(version: str) -> None:
    support = support_for(version, FIRST, device="cuda")
    assert support is not None
    assert (support.package, support.page_format, support.scheduler) == (None, "png", None)
    assert version in support.warning
    assert "\n" not in support.warning


@pytest.mark.parametrize("version", ["0.6.3", "0.7.3", "0.9.2", "0.10.1", "0.11.0"])
def test_a_release_without_the_model_gets_nothing(version: str) -> None:
    assert support_for(version, FIRST, device="cuda") is None


def test_ranges_do_not_overlap_and_are_in_order() -> None:
    ends = [(row.first, row.end) for row in RELEASES]
    assert ends == sorted(ends, key=lambda pair: [int(part) for part in pair[0].split(".")])
    for (_, end), (first, _) in itertools.pairwise(ends):
        assert [int(part) for part in end.split(".")] <= [int(part) for part in first.split(".")]


def test_every_stack_pins_a_release_of_its_engine() -> None:
    for stack in load_matrix().stacks.values():
        support = support_for(stack_version(stack), FIRST, device=stack.device)
        assert support is not None
        assert support.engine == stack.engine
        assert support.package


@pytest.mark.parametrize(
    ("version", "package"),
    [
        ("0.8.5", "dsk.vllm_plugin.v0"),
        ("0.15.1", ""),
        ("0.16.0", None),
        ("0.18.1", None),
        ("0.19.1", "dsk.vllm_plugin.v1"),
        ("0.33.0", "dsk.vllm_plugin.v1"),
    ],
)
def test_a_model_is_supported_from_the_release_on_that_vllm_has_it(
    version: str, package: str | None
) -> None:
    for device in ("cuda", "cpu"):
        support = support_for(version, LATER, device=device)
        assert (support.package if support else "") == package


def test_a_decoder_with_a_window_needs_an_attention_that_knows_it() -> None:
    for version in ("0.8.5", "0.24.0", "0.25.0"):
        assert support_for(version, WINDOWED, device="cuda") is None
    for version in ("0.25.1", "0.33.0", "0.99.0"):
        for native in (False, True):
            support = support_for(version, WINDOWED, device="cuda", native=native)
            assert support is not None
            # FLASH_ATTN, which stacks set, would be refused wherever FlashAttention 4 is missing.
            assert support.settings == {"attention_backend": "TRITON_ATTN"}
    # On a CPU it is ours, written for 0.31.0 to 0.33.0; newer releases are not known.
    for version, reads in (("0.26.0", False), ("0.32.0", True), ("0.33.0", True), ("0.99", False)):
        support = support_for(version, WINDOWED, device="cpu")
        assert bool(support) == reads
        assert support is None or (support.package, support.settings) == (
            "dsk.vllm_plugin.v1",
            {},
        )
    # vLLM's own class takes vLLM's own attention, which is corrected as well.
    plain = support_for("0.33.0", FIRST, device="cuda")
    assert plain is not None
    assert not plain.settings


def test_the_releases_that_a_model_needs_are_named() -> None:
    assert needed_releases(FIRST, "cuda") == "vLLM 0.8.x or 0.11.1 or later"
    assert needed_releases(LATER, "cpu") == "vLLM 0.8.x or 0.16.0 or later"
    assert needed_releases(WINDOWED, "cuda") == "vLLM 0.25.1 or later"
    faults = faults_of("0.24.0", WINDOWED, hopper=False)
    assert faults == ["it has no Windowed, which needs vLLM 0.25.1 or later"]
    assert faults_of("0.26.0", WINDOWED, hopper=True) == []
