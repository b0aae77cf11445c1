"""Recorded speeds, and which of two stacks is said to be faster."""

import datetime as dt
import json
from pathlib import Path

import pytest

from dsk.errors import MatrixInvalid
from dsk.matrix import load_matrix, speed
from dsk.matrix.speed import Speed

MATRIX = load_matrix()
V0, V1 = MATRIX.stacks["v0"], MATRIX.stacks["v1"]


def run(stack: str, pages: float, *, gpu: str = "NVIDIA H200", day: int = 1) -> Speed:
    return Speed(stack=stack, gpu=gpu, pages_per_second=pages, date=dt.date(2026, 1, day))


def test_the_projects_own_records_say_which_stack_is_faster_on_an_h200() -> None:
    known = speed.load(MATRIX)
    (line,) = speed.faster(V0, [V1], known)
    assert line.startswith("v1 is faster: on an NVIDIA H200 v1")
    assert "pages a second, v0 4.7" in line
    assert speed.faster(V1, [V0], known) == []


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ([run("v0", 4), run("v1", 16)], "v1 read 16.0 pages a second, v0 4.0"),
        # An earlier version stands in for one that has not been measured, and only for that.
        ([run("v0", 4), run("v1@0.24.0", 16)], "v1@0.24.0 read 16.0"),
        ([run("v0", 4), run("v1", 15), run("v1@0.24.0", 16, day=2)], "v1 read 15.0"),
        ([run("v0", 4), run("v1", 3), run("v1", 17, day=2)], "v1 read 17.0"),
        ([run("v0", 20), run("v1", 16)], ""),
        # Speeds of two cards cannot be compared.
        ([run("v0", 4, gpu="NVIDIA L4"), run("v1", 16)], ""),
        ([run("v1", 16)], ""),
        ([], ""),
    ],
)
def test_stacks_are_compared_on_one_card_by_their_last_runs(known: list[Speed], says: str) -> None:
    lines = speed.faster(V0, [V1], known)
    assert bool(lines) == bool(says)
    assert says in "".join(lines)


def test_a_run_on_several_cards_is_no_speed_of_one(tmp_path: Path) -> None:
    folder = tmp_path / "evidence" / "speed"
    folder.mkdir(parents=True)
    for gpus, pages in ((1, 16.0), (2, 27.0)):
        record = {
            "stack": "v1",
            "date": f"2026-01-0{gpus}",
            "machine": {"gpu": "NVIDIA H200", "gpus": gpus},
            "bench": {"dsk": {"pages_per_second": pages}},
        }
        (folder / f"{gpus}.json").write_text(json.dumps(record), "utf-8")
    (found,) = speed.load(MATRIX.model_copy(update={"folder": tmp_path}))
    assert found.pages_per_second == 16.0


def test_what_is_no_record_is_refused_by_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "evidence" / "speed"
    folder.mkdir(parents=True)
    (folder / "odd.json").write_text(json.dumps({"stack": "v0"}), "utf-8")
    matrix = MATRIX.model_copy(update={"folder": tmp_path})
    with pytest.raises(MatrixInvalid, match=r"odd\.json: it is no record of dsk bench"):
        speed.load(matrix)
