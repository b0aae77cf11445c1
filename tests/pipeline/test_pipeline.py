"""Each page ends in its state, whatever the engine does; tried again, in halves, or alone."""

from __future__ import annotations

import json
import re
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.pipeline import books, running

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.ocr.schema.run_plan import RunPlan


def read(
    tmp_path: Path, *colours: books.Colour, words: bool = True, **wished: Any
) -> tuple[int, list[dict[str, Any]]]:
    """Read a document of such pages; the exit code, and the ledger's pages."""
    file = books.write(tmp_path / "book.pdf", list(colours), words=words)
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model", **wished)
    code, _ = running.run(plan, tmp_path)
    return code, running.pages(tmp_path / "out/book")


def how(record: dict[str, Any]) -> list[str]:
    return [attempt["how"] for attempt in record["attempts"]]


def test_pages_that_come_out_whole_are_read_once(tmp_path: Path) -> None:
    code, pages = read(tmp_path, *[books.PLAIN] * 5)
    assert code == 0
    assert [record["page"] for record in pages] == [1, 2, 3, 4, 5]
    assert {record["status"] for record in pages} == {"ok"}
    assert {tuple(how(record)) for record in pages} == {("asked",)}


def test_a_retry_step_that_helps_recovers_the_page(tmp_path: Path) -> None:
    colours = (books.LOOPS, books.CUT_OFF, books.WORDY)
    code, pages = read(tmp_path, *colours, mode="tiny", attempts=5)
    assert code == 0
    assert [(record["status"], record["how"]) for record in pages] == [
        ("recovered", "guard"),
        ("recovered", "resolution"),
        ("recovered", "ungrounded"),
    ]
    assert [len(record["attempts"]) for record in pages] == [2, 3, 4]


def test_a_page_that_no_retry_step_helps_keeps_its_best_answer_and_state(tmp_path: Path) -> None:
    code, (record,) = read(tmp_path, books.LOOPS_ON, words=False, mode="tiny", attempts=5)
    assert code == 11
    assert (record["status"], record["finish_reason"]) == ("looped", "loop")
    assert how(record) == ["asked", "guard", "resolution", "ungrounded", "halves"]
    assert record["text"]
    markdown = (tmp_path / "out/book/book.md").read_text()
    assert "Page 1 is not whole:** looped" in markdown


def test_three_readings_are_the_most_by_default(tmp_path: Path) -> None:
    _, (record,) = read(tmp_path, books.LOOPS_ON, words=False, mode="tiny")
    assert how(record) == ["asked", "guard", "resolution"]


def test_the_files_own_text_is_the_last_resort_and_is_marked(tmp_path: Path) -> None:
    lines = "\n".join(["the file's own text"] * 20)
    file = books.write(tmp_path / "book.pdf", [books.LOOPS_ON], words=False)
    import pymupdf

    with pymupdf.open(file) as document:
        document[0].insert_text((20, 150), lines, fontsize=4)
        document.save(tmp_path / "long.pdf")
    plan = running.plan_for([tmp_path / "long.pdf"], tmp_path / "out", tmp_path / "model")
    code, _ = running.run(plan, tmp_path)
    (record,) = running.pages(tmp_path / "out/long")
    assert code == 0
    assert (record["status"], record["how"]) == ("recovered", "text-layer")
    assert record["text"].count("the file's own text") == 20
    assert "the text is the file's own" in record["reason"]


def test_a_page_that_ends_every_engine_fails_alone_and_the_rest_is_read(tmp_path: Path) -> None:
    colours = [books.PLAIN] * 9
    colours[4] = books.DEADLY
    code, pages = read(tmp_path, *colours)
    assert code == 11
    assert [record["status"] for record in pages] == ["ok"] * 4 + ["engine-failed"] + ["ok"] * 4
    assert "ended with status 137 (SIGKILL: somebody killed it" in pages[4]["reason"]


@pytest.mark.parametrize("deadly", [False, True])
def test_several_engines_share_the_pages(tmp_path: Path, *, deadly: bool) -> None:
    colours = [books.PLAIN] * 24
    if deadly:
        colours[4] = books.DEADLY
    file = books.write(tmp_path / "book.pdf", colours)
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model", engines=2)
    with running.start(plan, tmp_path, STUB_SECONDS="0.1") as process:
        most = 0
        while process.poll() is None:
            most = max(most, len(running.children(process, "stub_engine")))
            time.sleep(0.02)
    pages = running.pages(tmp_path / "out/book")
    assert most == 2
    assert [record["page"] for record in pages] == list(range(1, 25))
    states = [record["status"] for record in pages]
    assert states == ["engine-failed" if deadly and page == 4 else "ok" for page in range(24)]


def test_two_cards_write_the_bytes_of_one_and_say_what_each_has_read(tmp_path: Path) -> None:
    file = books.write(tmp_path / "book.pdf", [books.PLAIN, books.LOOPS_ON] * 8)
    found = {}
    for cards in (1, 2):
        plan = running.plan_for([file], tmp_path / str(cards), tmp_path / "model", cards=cards)
        code, events = running.run(plan, tmp_path, STUB_SECONDS="0.1")
        assert code == 11
        (used,) = [event for event in events if event["event"] == "cards-used"]
        assert [card["label"] for card in used["cards"]] == ["GPU 0", "GPU 1"][:cards]
        assert sum(card["pages"] for card in used["cards"]) == 16
        assert min(card["idle"] for card in used["cards"]) < 0.5
        assert used["seconds"] > 0
        assert "engine" in used["waited"]
        manifest = json.loads((plan.out / "book/manifest.json").read_text())
        assert [gpu["gpu"] for gpu in manifest["engine"]["gpus"]] == ["0", "1"][:cards]
        written = running.outputs(plan.out)
        found[cards] = ({name: written[name] for name in written if "manifest" not in name},
                        running.pages(plan.out / "book"))  # fmt: skip
    assert found[1] == found[2]


def test_a_card_that_loads_no_engine_leaves_the_reading_to_the_others(tmp_path: Path) -> None:
    stub = running.RUNNER.with_name("stub_engine.py")
    (tmp_path / "engine.py").write_text(
        "import os, runpy, sys\n"
        "if os.environ['CUDA_VISIBLE_DEVICES'] == '1':\n"
        "    sys.exit(3)\n"
        f"runpy.run_path({str(stub)!r}, run_name='__main__')\n"
    )
    place = f"Path({str(tmp_path / 'engine.py')!r})"
    text = running.RUNNER.read_text()
    (tmp_path / "runner.py").write_text(
        text.replace('Path(__file__).with_name("stub_engine.py")', place)
    )
    file = books.write(tmp_path / "book.pdf", [books.PLAIN] * 12)
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model", cards=2)
    code, events = running.run(plan, tmp_path, runner=tmp_path / "runner.py", STUB_SECONDS="0.2")
    assert code == 0
    assert {record["status"] for record in running.pages(tmp_path / "out/book")} == {"ok"}
    ended = [event["message"] for event in events if event["event"] == "engine-ended"]
    (message,) = ended
    assert message.startswith("an engine on GPU 1 (NVIDIA H200) ended with status 3 while it load")
    assert message.endswith(": the run continues with the others")


@pytest.mark.parametrize(("loads", "fails"), [(0, 4), (5, 1)])
def test_an_engine_that_has_no_room_beside_another_leaves_the_reading_to_it(
    loads: float, fails: float, tmp_path: Path
) -> None:
    stub = running.RUNNER.with_name("stub_engine.py")
    (tmp_path / "engine.py").write_text(
        "import os, runpy, sys, time\n"
        "try:\n"
        f"    os.mkdir({str(tmp_path / 'first')!r})\n"
        "except FileExistsError:\n"
        f"    time.sleep({fails})\n"
        "    sys.exit(3)\n"
        f"time.sleep({loads})\n"
        f"runpy.run_path({str(stub)!r}, run_name='__main__')\n"
    )
    place = f"Path({str(tmp_path / 'engine.py')!r})"
    text = running.RUNNER.read_text()
    assert 'Path(__file__).with_name("stub_engine.py")' in text
    (tmp_path / "runner.py").write_text(
        text.replace('Path(__file__).with_name("stub_engine.py")', place)
    )
    file = books.write(tmp_path / "book.pdf", [books.PLAIN] * 20)
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model", engines=2)
    code, events = running.run(plan, tmp_path, runner=tmp_path / "runner.py", STUB_SECONDS="0.4")
    assert code == 0
    assert {record["status"] for record in running.pages(tmp_path / "out/book")} == {"ok"}
    ended = [event["message"] for event in events if event["event"] == "engine-ended"]
    assert ended == [
        "an engine ended with status 3 while it loaded: the run continues with the others"
    ]


def test_an_engine_that_cannot_be_started_ends_the_run(tmp_path: Path) -> None:
    from tests.pipeline.running import RUNNER

    broken = RUNNER.read_text().replace('with_name("stub_engine.py")', 'with_name("no.py")')
    (tmp_path / "runner.py").write_text(broken)
    file = books.write(tmp_path / "book.pdf", [books.PLAIN])
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model")
    code, events = running.run(plan, tmp_path, runner=tmp_path / "runner.py")
    assert code == 7
    assert events[-1]["event"] == "died"
    assert running.lines(tmp_path / "out/book") == []


def test_a_second_run_reads_nothing_again_and_changes_nothing(tmp_path: Path) -> None:
    file = books.write(tmp_path / "book.pdf", [books.PLAIN, books.LOOPS_ON])
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model")
    _, told = running.run(plan, tmp_path)
    before = times(tmp_path / "out")
    code, events = running.run(plan, tmp_path)
    assert code == 11
    assert {event["event"] for event in events} == {"page", "moving"}
    assert pages_told(events) == [page | {"taken_over": True} for page in pages_told(told)]
    assert times(tmp_path / "out") == before


def pages_told(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = [event for event in events if event["event"] == "page"]
    return sorted(found, key=lambda event: event["page"])


def times(folder: Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}


def test_outputs_that_are_gone_are_written_again_without_an_engine(tmp_path: Path) -> None:
    file = books.write(tmp_path / "book.pdf", [books.PLAIN] * 3)
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model")
    running.run(plan, tmp_path)
    before = running.outputs(tmp_path / "out")
    other = plan.model_copy(update={"formats": frozenset({"md"})})
    running.run(other, tmp_path)
    assert running.outputs(tmp_path / "out") != before
    _, events = running.run(plan, tmp_path)
    assert "starting" not in {event["event"] for event in events}
    assert running.outputs(tmp_path / "out") == before


def test_failed_pages_are_read_again_on_demand_and_all_pages_with_overwrite(
    tmp_path: Path,
) -> None:
    file = books.write(tmp_path / "book.pdf", [books.PLAIN, books.LOOPS_ON], words=False)
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model")
    running.run(plan, tmp_path)

    def read_again(**wished: bool) -> list[int]:
        _, events = running.run(plan.model_copy(update=wished), tmp_path)
        pages = [event for event in events if event["event"] == "page"]
        return [event["page"] for event in pages if not event["taken_over"]]

    assert read_again(retry_failed=True) == [2]
    assert sorted(read_again(overwrite=True)) == [1, 2]
    assert len(running.lines(tmp_path / "out/book")) == 2


def test_other_settings_read_the_pages_anew(tmp_path: Path) -> None:
    file = books.write(tmp_path / "book.pdf", [books.PLAIN] * 2)
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model")
    running.run(plan, tmp_path)
    _, events = running.run(plan.model_copy(update={"dpi": 100}), tmp_path)
    assert [event["taken_over"] for event in events if event["event"] == "page"] == [False] * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_end_finishes_what_the_engine_has_and_the_next_run_goes_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    file = books.write(tmp_path / "book.pdf", [books.PLAIN] * 30)
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model")
    with running.start(plan, tmp_path, STUB_SECONDS="0.1") as process:
        assert process.stdout is not None
        while '"page"' not in process.stdout.readline():
            pass
        process.send_signal(number)
        said = process.stdout.read()
    assert process.returncode == 130
    assert "run the same command again to continue" in said
    kept = len(running.lines(tmp_path / "out/book"))
    assert 2 <= kept < 30
    code, _ = running.run(plan, tmp_path)
    assert code == 0
    assert [record["page"] for record in running.pages(tmp_path / "out/book")] == list(range(1, 31))


def test_a_second_ctrl_c_waits_for_nothing(tmp_path: Path) -> None:
    file = books.write(tmp_path / "book.pdf", [books.PLAIN] * 3)
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model")
    with running.start(plan, tmp_path, STUB_SECONDS="1000") as process:
        assert process.stdout is not None
        while True:
            event = json.loads(process.stdout.readline())
            if event["event"] == "moving" and event["reading"]:
                break
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130


def test_an_engine_that_says_nothing_is_ended(tmp_path: Path) -> None:
    from dsk.ocr.schema.limits import Limits

    file = books.write(tmp_path / "book.pdf", [books.PLAIN])
    limits = Limits(read_seconds=1)
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model", limits=limits)
    code, _ = running.run(plan, tmp_path, STUB_SECONDS="1000")
    (record,) = running.pages(tmp_path / "out/book")
    assert (code, record["status"]) == (11, "engine-failed")


def test_halves_that_are_both_late_end_their_page_once(tmp_path: Path) -> None:
    from dsk.ocr.schema.limits import Limits

    file = books.write(tmp_path / "book.pdf", [books.LOOPS_ON] + [books.PLAIN] * 120)
    wished: dict[str, Any] = {"limits": Limits(read_seconds=4), "attempts": 5}
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model", **wished)
    code, events = running.run(plan, tmp_path, STUB_SECONDS="0.1", STUB_NO_HALVES="1")
    pages = running.pages(tmp_path / "out/book")
    assert code == 11, (tmp_path / "runner.log").read_text()
    assert [record["status"] for record in pages] == ["timed-out"] + ["ok"] * 120
    assert [event["page"] for event in pages_told(events)] == list(range(1, 122))
    assert how(pages[0]) == ["asked", "guard", "resolution", "ungrounded"]
    assert pages[0]["finish_reason"] == "loop"  # what came before is kept


def test_nothing_is_left_running(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    mark = f"TMPDIR={temporary}"
    file = books.write(tmp_path / "book.pdf", [books.PLAIN, books.DEADLY])
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model")
    running.run(plan, tmp_path, TMPDIR=str(temporary))
    assert running.processes_with(mark) == []
    again = plan.model_copy(update={"overwrite": True})
    with running.start(again, tmp_path, TMPDIR=str(temporary), STUB_SECONDS="1000") as process:
        commands: list[str] = []
        while not all(
            any(name in each for each in commands) for name in ("page_worker", "stub_engine")
        ):
            assert process.poll() is None
            commands = running.processes_with(mark)
        process.kill()
    assert eventually_none(mark) == []


def eventually_none(mark: str) -> list[str]:
    """What is left after ten seconds, which the guard leaves an engine to end in."""
    for _ in range(120):
        if not (left := running.processes_with(mark)):
            return []
        time.sleep(0.1)
    return left


def test_the_manifest_tells_what_is_there_after_the_file_has_changed(tmp_path: Path) -> None:
    for pages in (2, 3):
        file = books.write(tmp_path / "book.pdf", [books.PLAIN] * pages)
        plan = running.plan_for([file], tmp_path / "out", tmp_path / "model")
        code, _ = running.run(plan, tmp_path)
        said = json.loads((tmp_path / "out/book/manifest.json").read_text())
        (document,) = plan.documents
        assert code == 0
        assert said["document"] == {
            "name": "book.pdf", "sha256": document.sha256, "page_count": pages,
        }  # fmt: skip


def test_what_is_read_again_and_comes_out_worse_leaves_what_there_was(tmp_path: Path) -> None:
    from dsk.ocr.schema.limits import Limits

    file = books.write(tmp_path / "book.pdf", [books.LOOPS_ON], words=False)
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model")
    _, told = running.run(plan, tmp_path)
    before = times(tmp_path / "out")
    wished = {"retry_failed": True, "limits": Limits(read_seconds=1)}
    code, events = running.run(plan.model_copy(update=wished), tmp_path, STUB_SECONDS="1000")
    assert code == 11
    assert pages_told(events) == pages_told(told)
    assert pages_told(told)[0]["status"] == "looped"
    assert times(tmp_path / "out") == before


def of_pages(plan: RunPlan, *pages: int, **wished: Any) -> RunPlan:
    (document,) = plan.documents
    asked = document.model_copy(update={"pages": list(pages)})
    return plan.model_copy(update={"documents": [asked]} | wished)


def test_pages_read_one_after_the_other_are_together_and_the_rest_is_said(tmp_path: Path) -> None:
    file = books.write(tmp_path / "book.pdf", [books.PLAIN] * 9)
    formats = frozenset({"md", "json", "figures", "layout", "html"})
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model", formats=formats)
    markdown = tmp_path / "out/book/book.md"
    running.run(of_pages(plan, 3, 4), tmp_path)
    assert numbers_in(markdown) == ["pages 1 to 2: not", "3", "4", "pages 5 to 9: not"]
    _, events = running.run(of_pages(plan, 1, 2), tmp_path)
    assert [event["page"] for event in pages_told(events)] == [1, 2]
    assert numbers_in(markdown) == ["2", "3", "4", "pages 5 to 9: not"]
    states = json.loads(markdown.with_suffix(".json").read_text())["pages"]
    assert [page["status"] for page in states] == ["ok"] * 4 + ["skipped"] * 5
    before = times(tmp_path / "out")
    _, events = running.run(of_pages(plan, 3, 4), tmp_path)
    assert [event["page"] for event in pages_told(events)] == [3, 4]
    assert times(tmp_path / "out") == before
    running.run(plan, tmp_path)
    assert numbers_in(markdown) == [str(page) for page in range(2, 10)]


def numbers_in(markdown: Path) -> list[str]:
    """What the comments of a text say of its pages."""
    return re.findall(r"<!-- (?:page )?(\d+|pages \d+ to \d+: not)", markdown.read_text())


def test_the_official_files_are_of_the_pages_that_were_asked_for(tmp_path: Path) -> None:
    file = books.write(tmp_path / "book.pdf", [books.PLAIN] * 4)
    plan = running.plan_for([file], tmp_path / "out", tmp_path / "model", compat="official")
    for pages in ((1, 2, 3), (4,)):
        running.run(of_pages(plan, *pages), tmp_path)
        text = (tmp_path / "out/book/book.mmd").read_text()
        assert text.count("<--- Page Split --->") == len(pages)
