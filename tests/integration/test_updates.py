"""`dsk matrix outdated` and the checks of an update on the real index; nothing is installed."""

from __future__ import annotations

import datetime as dt

import pytest

from dsk.matrix import load_matrix
from dsk.updates import static
from dsk.updates.checks import guard_runner
from dsk.updates.outdated import outdated
from dsk.updates.proposal import propose

pytestmark = pytest.mark.network

# dsk's guard of before the one for both runners.
OLD_GUARD = "from vllm.v1.sample.logits_processor import LogitsProcessor\n"
TODAY = dt.date(2026, 11, 30)


def test_a_gpu_would_refuse_the_old_guard_from_vllm_0_31_on_and_takes_todays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matrix = load_matrix()
    stack = matrix.stack("v1")
    # Of the wheel's 300 MB the sources alone are read; its kernels are what `matrix check` reads.
    monkeypatch.setattr(static, "CHECKS", (guard_runner,))
    models = list(matrix.models.values())

    def guard(version: str) -> tuple[str, str]:
        proposal = propose(stack, TODAY, version)
        assert proposal is not None
        candidate = stack.model_copy(update={"pins": proposal.pins})
        (finding,) = static.findings_of_pins(candidate, models)
        return finding.result, finding.text

    assert guard("0.31.0")[0] == "right"
    monkeypatch.setattr(guard_runner, "own_source", lambda _: OLD_GUARD)
    result, text = guard("0.31.0")
    assert result == "fault"
    assert text.startswith("with vLLM 0.31.0 a GPU takes the V2 model runner, which refuses dsk.")
    assert guard("0.30.0")[0] == "right"


def test_newer_releases_of_the_real_index_have_ages_and_what_they_would_change() -> None:
    found = outdated(load_matrix().stack("v1"), TODAY)
    versions = {each.version: each for each in found.newer}
    assert "0.33.0" in versions
    assert versions["0.33.0"].uploaded == "2026-11-02"
    assert "torch" in found.changes
