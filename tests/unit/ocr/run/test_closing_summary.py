"""The summary at a run's end: the counts, the pace, where to look, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.ocr.pipeline.plans import plan

from dsk.ocr.run.closing_summary import ADVICE, ClosingSummary
from dsk.ocr.schema.events import CardsUsed, CardUse, PageDone
from dsk.ocr.schema.page_record import WHOLE, Status
from dsk.ocr.schema.run_plan import Document, Rejected

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.ocr.schema.events import Event


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def summary_of(out: Path, *events: Event, documents: int = 1, **changes: object) -> ClosingSummary:
    planned = [
        Document(path=out / f"{name}.pdf", folder=out / str(name), page_count=9, pages=[1, 2, 3])
        for name in range(documents)
    ]
    clock = Clock()
    summary = ClosingSummary(plan(out=out, documents=planned, **changes), clock)
    heard: list[Event] = []
    listener = summary.count_for(heard.append)
    for event in events:
        listener(event)
    assert heard == list(events)
    clock.now = 500.0
    return summary


def page(number: int, status: Status = Status.OK, **more: object) -> PageDone:
    return PageDone.model_validate({"document": "a.pdf", "page": number, "status": status} | more)


USED = CardsUsed(
    seconds=400.0,
    cards=(CardUse(engines=1, pages=2, tokens=20, idle=0.1),),
    waited={"engine start": 95.0, "engine": 400.0},
)


def test_a_whole_run_is_told_in_three_lines(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "0.md").write_text("text")
    events = page(1), page(2, Status.BLANK), page(3, taken_over=True), USED
    summary = summary_of(tmp_path, *events)
    assert summary.lines(verbose=False) == [
        "pages    3 pages in 8 min 20 s: 2 ok, 1 blank",
        "kept     1 page that an earlier run has read",
        "speed    0.01 pages/s: 2 pages read in 6 min 40 s, after 1 min 35 s of engine start",
        f"look at  {tmp_path}/0/0.md",
    ]
    assert "         waited for: engine 6 min 40 s, engine start 1 min 35 s" in summary.lines(
        verbose=True
    )
    (tmp_path / "0" / "report.html").write_text("text")
    assert summary.lines(verbose=False)[-1] == f"look at  {tmp_path}/0/report.html"


def test_pages_that_did_not_come_out_whole_are_named_with_what_to_do(tmp_path: Path) -> None:
    lost = [page(number, Status.LOOPED, reason="again \x1b[31m") for number in range(1, 7)]
    summary = summary_of(tmp_path, *lost, page(7, Status.REFUSED), documents=3)
    *_, look, first, _, _, _, fifth, more, looped, refused = summary.lines(verbose=False)
    assert look == f"look at  {tmp_path}"
    assert first == "failed   a.pdf page 1: looped, again \\x1b[31m"
    assert fifth == "         a.pdf page 5: looped, again \\x1b[31m"
    assert more == "         and 2 pages more"
    assert looped.startswith("next     6 looped: --retry-failed with more --attempts")
    assert refused.startswith("         1 refused: they are beyond a limit")


def test_an_interrupted_run_says_how_many_pages_are_left(tmp_path: Path) -> None:
    lines = summary_of(tmp_path, page(1)).lines(verbose=False)
    assert lines[:2] == ["pages    1 page in 8 min 20 s: 1 ok", "left     2 pages"]


def test_inputs_that_were_not_read_are_counted(tmp_path: Path) -> None:
    rejected = [Rejected(path=tmp_path / "x", status="unreadable", reason="it is empty")]
    lines = summary_of(tmp_path, rejected=rejected, documents=0).lines(verbose=False)
    assert lines == [
        "pages    0 pages in 8 min 20 s",
        "inputs   1 not read: see the warnings",
        f"look at  {tmp_path}",
    ]


def test_every_state_that_is_not_whole_has_advice() -> None:
    assert set(ADVICE) == set(Status) - WHOLE - {Status.SKIPPED}


def test_programs_get_the_same_figures(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, page(1), page(2, Status.LOOPED), USED)
    assert summary.content() == {
        "event": "ended",
        "seconds": 500.0,
        "pages_per_second": 0.005,
        "pages": {"looped": 1, "ok": 1},
        "read_before": 0,
        "planned": 3,
        "rejected": 0,
        "summary": f"{tmp_path}/run.json",
        "look_at": f"{tmp_path}/0",
    }
