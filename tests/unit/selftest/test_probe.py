"""What `dsk matrix probe` makes of a run: a stand-in for `dsk run` answers as it is told."""

import datetime as dt
import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.test_matrix import dsk

from dsk.errors import DskError, Interrupted, UsageProblem, VerificationFailed
from dsk.eyechart import cache, layout
from dsk.host.facts import Card, Facts, Nvidia
from dsk.host.probes import PROBES, gather
from dsk.matrix import Stack, load_matrix
from dsk.matrix.evidence import Evidence
from dsk.ocr.results.ledger import encode
from dsk.ocr.schema.page_record import PageRecord, Sheet, Status, Timings
from dsk.runtime import environments
from dsk.selftest import probe as proving

CPU = load_matrix().stack("cpu")
PRINTED = "".join(
    layout.spelled(chart) for chart in layout.charts(proving.TEXT, cache.tiny_model().side)
)
FACTS = gather([probe for probe in PROBES if probe.name in ("system", "processor", "memory")])

READ = Timings(read=2.5)

RUN = """#!{python}
import json, pathlib, sys
told = json.loads(pathlib.Path({told!r}).read_text())
out = pathlib.Path(sys.argv[sys.argv.index("-o") + 1]) / "chart"
assert pathlib.Path(sys.argv[sys.argv.index("pdf") + 1]).read_bytes().startswith(b"%PDF")
print("reading", *sys.argv[-2:])
if told["manifest"]:
    out.mkdir(parents=True)
    (out / "manifest.json").write_text(json.dumps(told["manifest"]))
    (out / "pages.jsonl").write_text(told["page"])
sys.exit(told["code"])
"""


class Stand:
    """What the stand-in for `dsk run` is to answer."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.heard: list[str] = []

    def answer(
        self, *, text: str = PRINTED, code: int = 0, device: str | None = None, **manifest: Any
    ) -> None:
        versions = {"torch": CPU.pins["torch"], "numpy": "2.3.5"}
        engine = {"settings": {"dtype": "float32"}, "device": device}
        told = {"versions": versions, "engine": engine} | manifest
        sheet = Sheet(width=1024, height=1024, width_pt=512, height_pt=512, dpi=144)
        page = PageRecord(page=1, status=Status.OK, text=text, tokens=9, sheet=sheet, timings=READ)
        line = encode(page).decode()
        known = {"code": code, "manifest": told if code in (0, 11) else None, "page": line}
        self.file.write_text(json.dumps(known), "utf-8")

    def probed(
        self, stack: Stack = CPU, facts: Facts = FACTS, where: proving.Where = "container"
    ) -> Evidence:
        return proving.probe(
            stack,
            where,
            facts,
            installing=lambda *_: None,
            report=self.heard.append,
        )


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    stand = Stand(tmp_path / "told.json")
    program = tmp_path / "python"
    program.write_text(RUN.format(python=sys.executable, told=str(stand.file)), "utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    model = cache.folder_of(cache.tiny_model())
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}", "utf-8")
    stand.answer()
    return stand


def test_a_page_that_is_read_as_printed_is_exact(stand: Stand) -> None:
    found = stand.probed()
    assert (found.result, found.reason, found.where) == ("exact", "", "container")
    assert found.lock_sha256 == CPU.lock_sha256()
    assert found.settings == {"dtype": "float32"}
    figures = {"width": 1024, "height": 1024, "tokens": 9, "prompt_tokens": 0, "finish_reason": ""}
    assert found.pages == (figures | {"seconds": 2.5},)
    assert found.seconds["reading"] > 0
    assert stand.heard == ["reading --runtime container"]


def test_a_full_size_model_is_made_and_recorded_when_asked_for(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(cache, "cached", lambda stack, recipe, **_: made.append(recipe))
    found = proving.probe(
        CPU, "container", FACTS, size="full", installing=lambda *_: None, report=stand.heard.append
    )
    assert [recipe.size for recipe in made] == ["full"]
    assert (found.size, found.model) == ("full", "eye chart, full, deepseek-ocr")
    assert stand.probed().size == "tiny"


def test_one_wrong_letter_is_different(stand: Stand) -> None:
    stand.answer(text=PRINTED.replace("stack", "stock"))
    found = stand.probed()
    assert (found.result, found.reason) == (
        "different",
        "the text read differs from the printed text",
    )


def test_a_run_that_ends_badly_is_failed_with_its_exit_code(stand: Stand) -> None:
    stand.answer(code=7)
    assert (stand.probed().result, stand.probed().reason) == (
        "failed",
        "dsk run ended with exit code 7",
    )


@pytest.mark.parametrize(("code", "kind"), [(2, UsageProblem), (130, Interrupted)])
def test_where_nothing_was_run_there_is_no_evidence(
    stand: Stand, code: int, kind: type[DskError]
) -> None:
    stand.answer(code=code)
    with pytest.raises(kind, match=f"dsk run ended with exit code {code}"):
        stand.probed()


def test_a_page_that_was_cut_off_is_different(stand: Stand) -> None:
    stand.answer(code=11, text=PRINTED[:40])
    assert stand.probed().result == "different"


def test_an_engine_of_another_version_proves_nothing(stand: Stand) -> None:
    stand.answer(versions={"torch": "2.0.0"})
    found = stand.probed()
    assert (found.result, found.reason) == ("failed", "other versions than locked: torch 2.0.0")


def test_the_card_is_the_one_that_the_engine_computed_on(stand: Stand) -> None:
    v0 = load_matrix().stack("v0")
    gib = 2**30
    cards = (
        Card(name="Small", compute_capability=(7, 5), memory_total=8 * gib, memory_free=0),
        Card(name="Large", compute_capability=(8, 9), memory_total=24 * gib, memory_free=0),
    )
    nvidia = Nvidia(driver=(550, 54, 14), cards=cards)
    stand.answer(device="Large", versions={"torch": v0.pins["torch"]})
    machine = stand.probed(v0, FACTS.model_copy(update={"nvidia": nvidia})).machine
    assert (machine.gpu, machine.compute_capability, machine.vram_gib) == ("Large", "8.9", 24)
    assert machine.driver == "550.54.14"


def test_an_environment_is_made_first_and_held_against_the_lock(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = environments.EnvironmentRecord(
        stack="cpu",
        lock_sha256=CPU.lock_sha256(),
        python="",
        dsk="0",
        created=dt.datetime(2026, 11, 21, tzinfo=dt.UTC),
        versions={},
    )
    packages = tmp_path / "made" / "lib" / "python3.11" / "site-packages"
    (packages / "torch-1.0.dist-info").mkdir(parents=True)
    (packages / "torch-1.0.dist-info" / "METADATA").write_text("Name: torch\nVersion: 1.0\n")
    made = environments.Environment(path=tmp_path / "made", record=record)
    monkeypatch.setattr(environments, "create", lambda stack, progress: made)
    found = proving.probe(CPU, "venv", FACTS, installing=lambda *_: None, report=lambda _: None)
    assert found.reason == "other versions than locked: torch 1.0"
    assert found.seconds.keys() == {"environment", "reading"}


def test_the_command_writes_what_it_found_and_fails_where_the_stack_did(
    stand: Stand,
    matrix_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DSK_COMPAT", str(matrix_folder))
    arguments = ("matrix", "probe", "--stack", "cpu", "--where", "container")
    assert dsk(*arguments, monkeypatch=monkeypatch) == 0
    said = capfd.readouterr().out
    assert said.startswith("cpu: exact on ")
    file = Path(said.split("; ")[-1].strip())
    assert file.parent == matrix_folder / "evidence"
    assert Evidence.model_validate_json(file.read_bytes()).result == "exact"
    assert dsk("matrix", "list", monkeypatch=monkeypatch) == 0
    assert "run here" in " ".join(capfd.readouterr().out.split())

    stand.answer(text="nonsense")
    assert dsk(*arguments, monkeypatch=monkeypatch) == VerificationFailed.exit_code
    assert "failed its proof" in capfd.readouterr().err
    assert Evidence.model_validate_json(file.read_bytes()).result == "different"


def test_a_run_in_place_holds_the_pins_alone_in_any_build_of_them(stand: Stand) -> None:
    torch = f"{CPU.pins['torch']}+cpu"
    stand.answer(versions={"torch": torch, "numpy": "0.0.1"})
    found = stand.probed(where="in-place")
    assert (found.result, found.where, found.versions["torch"]) == ("exact", "in-place", torch)
    stand.answer(versions={"torch": "2.0.0"})
    found = stand.probed(where="in-place")
    assert (found.result, found.reason) == ("failed", "other versions than locked: torch 2.0.0")
