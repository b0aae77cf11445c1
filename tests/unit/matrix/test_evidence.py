"""What evidence comes to: run here, elsewhere, gone stale, never."""

import datetime as dt
import json
from pathlib import Path

import pytest

from dsk.errors import MatrixInvalid
from dsk.matrix import Matrix, Stack, load_matrix
from dsk.matrix import evidence as kept
from dsk.matrix.evidence import Evidence, Machine, proof_status, summary, unproved

MATRIX = load_matrix()
V0 = MATRIX.stack("v0")
LAPTOP = Machine(cpu="Fast CPU, AVX2", cores=8, ram_gib=32, system="Linux")
DESKTOP = LAPTOP.model_copy(update={"gpu": "NVIDIA GeForce RTX 4090", "vram_gib": 24})
SERVER = LAPTOP.model_copy(update={"gpu": "NVIDIA H200", "cpu": "Server CPU"})


def run(
    stack: Stack = V0,
    machine: Machine = DESKTOP,
    day: int = 1,
    result: str = "exact",
    lock: str | None = None,
    where: str = "venv",
) -> Evidence:
    return Evidence.model_validate(
        {
            "stack": stack.id,
            "lock_sha256": lock or stack.lock_sha256(),
            "date": dt.date(2026, 11, day),
            "dsk": "0.1.0",
            "where": where,
            "machine": machine,
            "versions": {"torch": "2.6.0"},
            "settings": {},
            "model": "eye chart, tiny",
            "what": "a test",
            "result": result,
            "seconds": {"reading": 1.5},
        }
    )


OLD_LOCK = "0" * 64


@pytest.mark.parametrize(
    ("known", "here", "said"),
    [
        ([], None, "never run"),
        ([run()], None, "run on NVIDIA GeForce RTX 4090 2026-11-01"),
        ([run()], DESKTOP, "run here 2026-11-01"),
        (
            [run(), run(machine=SERVER, day=2)],
            DESKTOP,
            "run here 2026-11-01; run on NVIDIA H200 2026-11-02",
        ),
        ([run()], SERVER, "run on NVIDIA GeForce RTX 4090 2026-11-01"),
        (
            [run(lock=OLD_LOCK)],
            DESKTOP,
            "stale: run on NVIDIA GeForce RTX 4090 2026-11-01, the lock has changed since",
        ),
        ([run(lock=OLD_LOCK), run(day=3)], DESKTOP, "run here 2026-11-03"),
        (
            [run(), run(day=2, result="different")],
            DESKTOP,
            "FAILED on NVIDIA GeForce RTX 4090 2026-11-02",
        ),
        ([run(result="failed"), run(day=2)], DESKTOP, "run here 2026-11-02"),
        ([run(stack=MATRIX.stack("v1"))], DESKTOP, "never run"),
        (
            [run(where="container", result="failed"), run()],
            DESKTOP,
            "FAILED on NVIDIA GeForce RTX 4090 2026-11-01",
        ),
        (
            [run(where="container", result="failed"), run(), run(where="container", day=2)],
            DESKTOP,
            "run here 2026-11-02",
        ),
    ],
)
def test_a_stack_s_standing_is_told_in_a_line(
    known: list[Evidence], here: Machine | None, said: str
) -> None:
    assert summary(proof_status(V0, known, here)) == said


def test_a_build_is_quiet_only_about_a_card_that_was_seen_to_run() -> None:
    desktop, l4 = MATRIX.gpu("rtx4090"), MATRIX.gpu("l4")
    assert unproved(V0, desktop, [run()]) == ""
    assert unproved(V0, l4, [run()]) == (
        "UNPROVED: stack v0 with this lock has not been seen to run on NVIDIA L4"
        " (run on NVIDIA GeForce RTX 4090 2026-11-01):"
        " dsk matrix probe --stack v0, on such a machine, proves it"
    )
    assert "stale" in unproved(V0, desktop, [run(lock=OLD_LOCK)])
    assert "FAILED" in unproved(V0, desktop, [run(result="failed")])


def test_a_cpu_stack_is_proved_by_any_cpu() -> None:
    cpu = MATRIX.stack("cpu")
    assert unproved(cpu, None, [run(stack=cpu, machine=LAPTOP)]) == ""
    assert "any CPU (never run)" in unproved(cpu, None, [])


@pytest.fixture
def matrix(matrix_folder: Path) -> Matrix:
    return load_matrix(matrix_folder)


def test_what_is_written_is_read_again(matrix: Matrix) -> None:
    file = kept.write(run(), kept.folder(matrix))
    assert file.name == "v0-nvidia-geforce-rtx-4090-venv-2026-11-01.json"
    assert file.parent == matrix.folder / "evidence"
    assert run() in kept.load(matrix)


def test_a_run_with_a_full_size_model_replaces_none_with_a_tiny_one(matrix: Matrix) -> None:
    tiny = run().model_copy(update={"size": "tiny"})
    full = run().model_copy(update={"size": "full", "model": "eye chart, full"})
    files = {kept.write(one, kept.folder(matrix)).name for one in (tiny, full)}
    assert files == {
        "v0-nvidia-geforce-rtx-4090-venv-2026-11-01.json",
        "v0-full-nvidia-geforce-rtx-4090-venv-2026-11-01.json",
    }
    known = kept.load(matrix)
    assert tiny in known
    assert full in known


def test_evidence_of_one_day_is_in_the_order_of_its_files_names(
    matrix: Matrix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "a-folder-that-sorts-first"
    monkeypatch.setattr(kept, "folder", lambda _: elsewhere)
    for file in (matrix.folder / "evidence").glob("*.json"):
        file.unlink()
    kept.write(run(), elsewhere)
    kept.write(run(where="container"), matrix.folder / "evidence")
    assert [one.where for one in kept.load(matrix)] == ["container", "venv"]


def test_evidence_of_other_things_is_left_to_them(matrix: Matrix) -> None:
    before = kept.load(matrix)
    (matrix.folder / "evidence" / "other.json").write_text('{"what": "a poem"}', "utf-8")
    assert kept.load(matrix) == before


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ({"result": "perfect"}, r"spoilt\.json, key 'result': Input should be 'exact'"),
        ({"hostname": "alice"}, r"spoilt\.json, key 'hostname': Extra inputs"),
    ],
)
def test_a_file_that_is_not_evidence_is_refused(
    spoilt: dict[str, str], said: str, matrix: Matrix
) -> None:
    text = json.loads(run().model_dump_json()) | spoilt
    (matrix.folder / "evidence" / "spoilt.json").write_text(json.dumps(text), "utf-8")
    with pytest.raises(MatrixInvalid, match=said):
        kept.load(matrix)


def test_a_broken_file_is_refused(matrix: Matrix) -> None:
    (matrix.folder / "evidence" / "broken.json").write_text("{", "utf-8")
    with pytest.raises(MatrixInvalid, match=r"broken\.json: "):
        kept.load(matrix)


def test_the_committed_evidence_names_no_machine() -> None:
    for file in (MATRIX.folder / "evidence").glob("*.json"):
        text = file.read_text("utf-8")
        assert "hostname" not in text
        assert "/root" not in text
        assert "/home" not in text


def test_pins_that_ran_among_other_packages_do_not_prove_a_lock() -> None:
    in_place = run().model_copy(update={"where": "in-place"})
    found = proof_status(V0, [in_place])
    assert not found.proved
    assert summary(found) == "its pins run on NVIDIA GeForce RTX 4090 2026-11-01, not from the lock"
    assert summary(proof_status(V0, [in_place, run(day=2)])) == (
        "run on NVIDIA GeForce RTX 4090 2026-11-02"
    )


def test_evidence_goes_stale_with_age_where_a_day_is_given() -> None:
    first = dt.date(2026, 11, 1)
    last_day = first + dt.timedelta(days=kept.FRESH_DAYS)
    assert proof_status(V0, [run()], today=last_day).proved
    found = proof_status(V0, [run()], today=last_day + dt.timedelta(days=1))
    assert not found.proved
    assert summary(found) == "stale: run on NVIDIA GeForce RTX 4090 2026-11-01, over 180 days ago"
    assert proof_status(V0, [run()]).proved
    desktop = MATRIX.gpu("rtx4090")
    assert "UNPROVED" in unproved(V0, desktop, [run()], last_day + dt.timedelta(days=1))


def test_in_place_evidence_of_other_pins_is_stale() -> None:
    other = run(where="in-place").model_copy(update={"versions": {"torch": "2.5.0"}})
    found = proof_status(V0, [other])
    assert (found.unlocked, list(found.stale)) == ({}, ["NVIDIA GeForce RTX 4090"])
    built = run(where="in-place").model_copy(update={"versions": {"torch": "2.6.0+cu124"}})
    assert list(proof_status(V0, [built]).unlocked) == ["NVIDIA GeForce RTX 4090"]


def test_evidence_follows_the_lock_that_a_version_of_the_stack_has_today() -> None:
    earlier = run().model_copy(update={"stack": "v0@0.8.5"})
    assert proof_status(V0, [earlier]).proved
    moved = earlier.model_copy(update={"lock_sha256": OLD_LOCK})
    assert proof_status(V0, [moved]).stale == {}


def test_evidence_of_earlier_releases_tells_from_its_figures_what_was_read() -> None:
    text = json.loads(run(where="in-place").model_dump_json())
    del text["from_lock"], text["read"]
    text["pages"] = [{"tokens": 178}, {"tokens": None}]
    read = Evidence.model_validate(text)
    assert (read.from_lock, read.read.pages, read.read.tokens) == (False, 2, 178)
    assert read.line == (
        "2026-11-01 NVIDIA GeForce RTX 4090: exact, eye chart, tiny, 2 pages, 178 tokens,"
        " not from the lock"
    )


def test_evidence_from_the_lock_of_any_architecture_counts() -> None:
    v1 = MATRIX.stack("v1", "x86_64")
    both = MATRIX.stacks["v1"]
    assert len(both.on_each) > 1
    on_arm = run(stack=v1, lock=both.on("aarch64").lock_sha256())
    assert proof_status(both, [on_arm]).proved
    assert not proof_status(v1, [on_arm]).proved
