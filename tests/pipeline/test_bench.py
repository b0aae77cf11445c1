"""A benchmark, with the stub for the engine and a script for the baseline."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.pipeline import books, running

from dsk.errors import EngineMissing, Interrupted, PagesDegraded, UsageProblem
from dsk.ocr.benchmark import baseline, benchmark, scaling
from dsk.ocr.engines.base import PageRequest, with_fixed_length
from dsk.processes import Child

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dsk.ocr.schema.run_plan import RunPlan

PHASES: list[dict[str, Any]] = [
    {"phase": "start", "began": 0.0, "ended": 50.0},
    {"phase": "render", "began": 50.0, "ended": 52.0, "pages": 10, "not_rendered": 0},
    {"phase": "generate", "began": 52.0, "ended": 60.0, "tokens": 800},
]


class ScriptedBaseline:
    """A runtime that runs a program of the test in place of the baseline."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.variables: dict[str, str] = {}

    def start(
        self,
        module: str,
        arguments: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
    ) -> Child:
        if module == "dsk.ocr.benchmark.baseline":
            self.variables = dict(environment or {})
            command = [sys.executable, "-c", self.program]
        else:
            command = [sys.executable, str(running.RUNNER)]
        return Child([*command, *arguments], stdout=stdout, stderr=stderr)


def reporting(phases: list[dict[str, Any]]) -> ScriptedBaseline:
    lines = "\n".join(json.dumps(phase) for phase in phases)
    return ScriptedBaseline(f"print({lines!r})")


@pytest.fixture
def plan(tmp_path: Path) -> RunPlan:
    file = books.write(tmp_path / "book.pdf", [books.PLAIN] * 10)
    return running.plan_for([file], tmp_path / "out", tmp_path / "model", mode="tiny")


def test_both_are_measured_and_compared(plan: RunPlan) -> None:
    runtime = reporting(PHASES)
    found = benchmark.measure(plan, plan, runtime, dollars_an_hour=3.6)
    plain, ours = found["plain"], found["dsk"]
    assert runtime.variables == {"DSK_NATIVE_MODEL": "1"}
    assert plain["seconds"] == {"start": 50.0, "render": 2.0, "generate": 8.0}
    assert (plain["pages_per_second"], plain["generate_pages_per_second"]) == (1.0, 1.25)
    assert plain["generate_tokens_per_second"] == 100.0
    # A thousandth of a dollar a second, a page a second.
    assert plain["dollars_per_million_pages"] == 1000.0
    assert ours["pages_per_second"] > 0
    assert found["ratio"] == pytest.approx(ours["pages_per_second"] / 1.25, rel=0.001)
    assert found["ratio_of_whole"] == pytest.approx(ours["pages_per_second"] / 1.0, rel=0.001)
    assert ours["tokens"] == sum(record["tokens"] for record in running.lines(plan.out / "book"))
    assert ours["peak"]["host_bytes"] > 20_000_000


def test_an_engine_that_is_started_again_costs_the_run_that_time(tmp_path: Path) -> None:
    file = books.write(tmp_path / "book.pdf", [*[books.PLAIN] * 4, books.DEADLY])
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model", mode="tiny")
    ours = benchmark.measure(plan, plan, reporting(PHASES), dollars_an_hour=None)["dsk"]
    assert ours["states"] == {"engine-failed": 1, "ok": 4}
    assert (ours["pages"], ours["not_whole"]) == (4, 1)
    assert ours["seconds"]["start"] > 0
    # The four are read long before the second start of the engine, which kills the run's pace.
    assert ours["seconds"]["after_the_last_page"] < ours["seconds"]["read_and_write"]
    assert ours["pages_per_second"] == pytest.approx(
        4 / ours["seconds"]["read_and_write"], rel=0.001
    )


def test_one_page_is_measured_without_a_steady_part(tmp_path: Path) -> None:
    file = books.write(tmp_path / "book.pdf", [books.PLAIN])
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model", mode="tiny")
    found = benchmark.measure(plan, plan, reporting(PHASES), dollars_an_hour=None)
    assert found["dsk"]["steady_pages_per_second"] is None
    assert found["dsk"]["pages_per_second"] > 0


@pytest.mark.parametrize(("pages", "rate"), [(1, None), (2, 1.0), (7, 1.0), (10, 1.0), (25, 1.0)])
def test_the_steady_rate_is_that_of_the_pages_between(pages: int, rate: float | None) -> None:
    assert benchmark.steady_rate(range(pages)) == rate


def test_a_fixed_length_leaves_no_page_unwhole(tmp_path: Path) -> None:
    file = books.write(tmp_path / "book.pdf", [books.PLAIN, books.CUT_OFF])
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model", mode="tiny", attempts=1)
    for length, missing in [(50, 0), (None, 1)]:
        one = plan.model_copy(update={"out": tmp_path, "fixed_tokens": length})
        fresh = benchmark.in_new_folder(one)
        ours = benchmark.measure(fresh, fresh, reporting(PHASES), dollars_an_hour=None)["dsk"]
        assert ours["states"] == {"ok": 1, "truncated": 1}
        assert ours["not_whole"] == missing


def test_a_fixed_length_is_a_page_s_own_and_the_mean_of_them_all_is_what_was_asked(
    tmp_path: Path,
) -> None:
    ask = PageRequest(prompt="", ngram_size=20, ngram_window=50, max_tokens=9)
    long = running.document(books.write(tmp_path / "a.pdf", [books.PLAIN]), tmp_path)
    lengths = [with_fixed_length(ask, 800, long, page).max_tokens for page in range(1, 65)]
    assert 400 <= min(lengths) < 450
    assert 1150 < max(lengths) <= 1200
    assert sum(lengths) / 64 == pytest.approx(800, rel=0.02)
    assert with_fixed_length(ask, 800, long, 7) == with_fixed_length(ask, 800, long, 7)
    assert with_fixed_length(ask, 800, long, 7).fixed_tokens
    short = [long.model_copy(update={"sha256": f"{n:02x}" + "0" * 62}) for n in range(256)]
    assert len({with_fixed_length(ask, 800, one, 1).max_tokens for one in short}) > 200


def test_slow_machines_have_rates_and_prices_too(plan: RunPlan) -> None:
    slow = [dict(phase) for phase in PHASES]
    slow[2]["ended"] = 52.0 + 1e6
    found = benchmark.measure(plan, plan, reporting(slow), dollars_an_hour=3.6)
    assert found["plain"]["generate_pages_per_second"] == 1e-5
    assert found["plain"]["dollars_per_million_pages"] == 1e8
    assert found["ratio"] == pytest.approx(found["dsk"]["pages_per_second"] * 1e5, rel=0.001)


def test_a_baseline_that_reads_nothing_is_no_measure(plan: RunPlan) -> None:
    none = [dict(phase) for phase in PHASES]
    none[1]["pages"] = 0
    with pytest.raises(PagesDegraded, match=r"no page could be read: .*plain\.log"):
        benchmark.measure(plan, plan, reporting(none), dollars_an_hour=None)


def test_what_lies_in_the_output_folder_stays(plan: RunPlan, tmp_path: Path) -> None:
    running.run(plan, tmp_path)
    before = {file: file.read_bytes() for file in plan.out.rglob("*") if file.is_file()}
    for name in ("bench-1", "bench-2"):
        fresh = benchmark.in_new_folder(plan)
        found = benchmark.measure(fresh, fresh, reporting(PHASES), dollars_an_hour=None)
        assert found["folder"] == name
        assert found["dsk"]["states"] == {"ok": 10}
        assert len(running.lines(plan.out / name / "book")) == 10
        assert (plan.out / name / "plain.log").exists()
    assert {file: file.read_bytes() for file in before} == before


def test_ctrl_c_in_the_baseline_is_an_interruption(plan: RunPlan) -> None:
    program = "import os, signal, time; os.kill(os.getppid(), signal.SIGINT); time.sleep(60)"
    with pytest.raises(Interrupted, match="the measurement was interrupted"):
        benchmark.measure(plan, plan, ScriptedBaseline(program), dollars_an_hour=None)


def test_the_baseline_leaves_out_pages_that_have_no_pixels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [books.write(tmp_path / name, [books.PLAIN] * 2) for name in ("a.pdf", "b.pdf")]
    plan = running.plan_for(files, tmp_path / "out", tmp_path / "model")
    first, second = plan.documents
    first = first.model_copy(update={"pages": [1, 9, 2]})
    files[1].write_bytes(b"")
    plan = plan.model_copy(update={"documents": [first, second]})
    assert len(list(baseline.render(plan))) == 2
    said = capsys.readouterr().err
    assert "page 9 of a.pdf" in said
    assert "b.pdf is empty" in said


def test_a_baseline_that_ends_early_names_its_log(plan: RunPlan) -> None:
    with pytest.raises(EngineMissing, match=r"ended with status 3: its log is .*plain\.log"):
        benchmark.measure(plan, plan, ScriptedBaseline("raise SystemExit(3)"), dollars_an_hour=None)


def test_all_cards_are_compared_with_one_that_has_its_share_of_the_pages(plan: RunPlan) -> None:
    two = plan.model_copy(update={"placement": running.placed(1, cards=2)})
    found = scaling.measure(two, reporting(PHASES), dollars_an_hour=3.6)
    one, ours = found["one_gpu"], found["dsk"]
    assert (found["cards"], found["engines"]) == (2, 2)
    assert (one["pages"], ours["pages"]) == (5, 10)
    rates = ours["pages_per_second"] / one["pages_per_second"]
    assert found["ratio"] == pytest.approx(rates, rel=1e-3)
    assert [card["gpu"] for card in one["gpus"]] == ["0"]
    assert [card["gpu"] for card in ours["gpus"]] == ["0", "1"]
    assert sum(card["pages"] for card in ours["gpus"]) == 10
    assert "dollars_per_million_pages" in ours
    assert (plan.out / "one-gpu/book/book.md").is_file()
    assert (plan.out / "book/book.md").is_file()


def test_one_card_has_nothing_to_be_compared_with(plan: RunPlan) -> None:
    with pytest.raises(UsageProblem, match="the run has one GPU"):
        scaling.measure(plan, reporting(PHASES), dollars_an_hour=None)
    assert not plan.out.exists()
