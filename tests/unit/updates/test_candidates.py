"""A stack from its proposal over a candidate to its promotion, on an index of made-up wheels."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from tests.unit.conftest import Index, wheel
from tests.unit.updates.made_up import CARDS, put, transformers_sources, vllm_wheel
from tests.unit.vllm_plugin.guard.test_acceptance import OLD

from dsk import paths
from dsk.cli import main
from dsk.matrix import load_matrix
from dsk.matrix.load import _load
from dsk.updates.checks import guard_runner

if TYPE_CHECKING:
    from pathlib import Path

STACK = """\
# A stack of a test.
summary = "a test"
rank = 1
engine = "V1"
device = "cuda"
python = "3.11"
resolve_before = 2025-06-01

[pins]
vllm = "0.30.0" # stays beside it
torch = "2.13.0"

[settings]
dtype = "bfloat16"

[gpu]
kernels = ["8.0", "9.0"]
min_compute_capability = "8.0"
vram_gib = 10
cuda = "13.0"
driver = "580"
driver_native = "580.65.06"

[host]
arch = ["x86_64"]
glibc = "2.31"

# What may be proposed.
[update]
hold = [{ version = "0.32.0", why = "a test" }]
"""


def old(days: int) -> str:
    return f"{dt.datetime.now(dt.UTC).date() - dt.timedelta(days=days)}T00:00:00Z"


@pytest.fixture
def folder(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A matrix with one stack, and an index with vLLM 0.30.0 to 0.33.0 of different ages."""
    folder = tmp_path / "compat"
    (folder / "stacks").mkdir(parents=True)
    (folder / "locks").mkdir()
    (folder / "evidence").mkdir()
    for file in ("gpus.toml", "models.toml"):
        shutil.copy(paths.data() / "compat" / file, folder)
    (folder / "stacks" / "toy.toml").write_text(STACK, "utf-8")
    monkeypatch.setenv("DSK_COMPAT", str(folder))
    for version, torch, age in (
        ("0.30.0", "2.13.0", 900),
        ("0.31.0", "2.13.0", 60),
        ("0.32.0", "2.13.0", 50),
        ("0.33.0", "2.14.0", 3),
    ):
        needs = (f"torch=={torch}", "transformers>=5")
        cards = CARDS if version != "0.33.0" else (90,)
        put(index, vllm_wheel(version, needs, cards=cards), "vllm", version, old(age))
    cuda = b"\x7fELF libcudart.so.13\0"
    for version in ("2.13.0", "2.14.0"):
        put(index, wheel("torch", version, library=cuda), "torch", version)
    sources = transformers_sources()
    put(index, wheel("transformers", "5.17.0", sources=sources), "transformers", "5.17.0")
    put(index, wheel("gear", "1.0"), "gear", "1.0")
    assert dsk("matrix", "lock", "toy") == 0
    return folder


def dsk(*arguments: str) -> int:
    _load.cache_clear()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["dsk", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0)


def test_outdated_lists_what_the_policy_admits_and_what_it_holds_back(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    assert dsk("matrix", "outdated", "--json") == 0
    (row,) = json.loads(capfd.readouterr().out)
    refusals = {each["version"]: each["refusal"] for each in row["newer"]}
    assert refusals == {
        "0.31.0": "",
        "0.32.0": "held: a test",
        "0.33.0": "3 days old, younger than 14",
    }
    assert (row["pinned"], row["within"], row["changes"]) == ("0.30.0", "0.31.0", {})
    assert dsk("matrix", "outdated") == 0
    table = capfd.readouterr().out
    assert "0.33.0" in table
    assert max(map(len, table.splitlines())) <= 80


def test_update_says_that_a_gpu_would_refuse_the_old_guard_before_anything_is_installed(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_runner, "own_source", lambda _: OLD)
    live = (folder / "stacks" / "toy.toml").read_bytes(), (folder / "locks/toy.txt").read_bytes()
    assert dsk("matrix", "update", "toy", "--to", "vllm=0.31.0") == 5
    printed = capfd.readouterr()
    assert "with vLLM 0.31.0 a GPU takes the V2 model runner, which refuses" in printed.out
    assert "**It would not run: 1 fault.**" in printed.out
    assert "toy@0.31.0: guard on a GPU: FAULT: with vLLM 0.31.0" in printed.err
    # Never over the live stack.
    assert (folder / "stacks/toy.toml").read_bytes() == live[0]
    assert (folder / "locks/toy.txt").read_bytes() == live[1]


def test_a_candidate_keeps_its_stacks_text_and_moves_the_pins_that_follow(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert dsk("matrix", "update", "toy", "--to", "vllm=0.33.0") == 5
    printed = capfd.readouterr().out
    text = (folder / "candidates" / "toy@0.33.0.toml").read_text("utf-8")
    assert 'vllm = "0.33.0" # stays beside it\ntorch = "2.14.0"\n' in text
    assert text.startswith("# A stack of a test.\n")
    assert "\n# What may be proposed.\n[update]\n" in text
    assert "beyond the policy: 3 days old, younger than 14" in printed
    assert "| kernels | fault | compiled for sm_90; not for sm_80, as stated |" in printed
    assert "| torch | 2.13.0 | 2.14.0 |" in printed
    # The other proposal takes its place: one a stack.
    assert dsk("matrix", "propose") == 0
    names = sorted(file.name for file in (folder / "candidates").iterdir())
    assert names == ["toy@0.31.0.toml"]


def test_the_steps_stand_alone_and_promotion_waits_for_evidence(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    evidence = {
        "stack": "toy",
        "lock_sha256": load_matrix().stack("toy").lock_sha256(),
        "date": str(dt.datetime.now(dt.UTC).date()),
        "dsk": "0.2.0",
        "where": "venv",
        "machine": {"cpu": "a CPU", "cores": 1, "ram_gib": 1, "system": "Linux", "gpu": "A card"},
        "versions": {},
        "settings": {},
        "model": "eye chart, tiny",
        "what": "a test",
        "result": "exact",
    }
    (folder / "evidence" / "old.json").write_text(json.dumps(evidence), "utf-8")
    assert dsk("matrix", "propose", "toy") == 0
    assert dsk("matrix", "lock", "toy@0.31.0") == 0
    assert dsk("matrix", "check", "toy@0.31.0") == 0
    assert dsk("matrix", "report", "toy@0.31.0") == 0
    assert "- A card with the default model" in capfd.readouterr().out
    assert dsk("matrix", "promote", "toy@0.31.0") == 10
    assert "has no evidence for what proves toy: A card" in capfd.readouterr().err

    candidate = load_matrix().stack("toy@0.31.0")
    newer = evidence | {"stack": candidate.id, "lock_sha256": candidate.lock_sha256()}
    (folder / "evidence" / "new.json").write_text(json.dumps(newer), "utf-8")
    assert dsk("matrix", "promote", "toy@0.31.0") == 0
    assert not list((folder / "candidates").iterdir())
    _load.cache_clear()
    matrix = load_matrix()
    assert matrix.stack("toy").pins["vllm"] == "0.31.0"
    assert matrix.stack("toy@0.30.0").pins["vllm"] == "0.30.0"
    # Each has its lock's bytes, and so its evidence.
    assert matrix.stack("toy").lock_sha256() == newer["lock_sha256"]
    assert matrix.stack("toy@0.30.0").lock_sha256() == evidence["lock_sha256"]


def test_an_old_version_stays_with_young_evidence_and_wheels_that_are_there(
    folder: Path, index: Index, capfd: pytest.CaptureFixture[str]
) -> None:
    test_the_steps_stand_alone_and_promotion_waits_for_evidence(folder, capfd)
    capfd.readouterr()
    assert dsk("matrix", "retire") == 0
    assert capfd.readouterr().out == "toy@0.30.0: stays\n"
    del index.files["torch-2.13.0-py3-none-any.whl"]
    (folder / "evidence" / "old.json").unlink()
    assert dsk("matrix", "retire", "--delete") == 0
    printed = capfd.readouterr().out
    assert "toy@0.30.0: no evidence; the wheel of torch 2.13.0 is yanked or gone\n" in printed
    assert not (folder / "stacks" / "toy@0.30.0.toml").exists()
    assert (folder / "stacks" / "toy.toml").exists()


def test_check_fails_with_a_fault_and_with_what_it_cannot_read(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dsk("matrix", "check") == 0
    assert "  kernels: compiled for sm_75" in capfd.readouterr().out
    # Metadata is still in the cache, and the index away.
    shutil.rmtree(paths.cache() / "wheel-sources")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    assert dsk("matrix", "check", "toy") == 7
    printed = capfd.readouterr().err
    assert "toy: kernels: UNKNOWN: not in the cache: " in printed
    assert "checks that could not be made: 7, the first toy: guard on a GPU" in printed


def test_a_refused_guard_is_a_conflict_of_a_locked_stack_too(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dsk("matrix", "update", "toy") == 0
    # Candidates are used only where they are named.
    assert list(load_matrix().stacks) == ["toy"]
    monkeypatch.setattr(guard_runner, "own_source", lambda _: OLD)
    assert dsk("matrix", "check", "toy@0.31.0") == 5
    assert "toy@0.31.0: guard on a GPU: FAULT: " in capfd.readouterr().err
    assert dsk("matrix", "check") == 0
    # The same candidate is kept as it is, its lock too.
    before = {file: file.stat().st_mtime_ns for file in (folder / "candidates").iterdir()}
    assert len(before) == 2
    assert dsk("matrix", "update", "toy") == 5
    assert {file: file.stat().st_mtime_ns for file in before} == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("update", "--to", "vllm=0.31.0"), "--to is given without one stack"),
        (("update", "toy", "--to", "torch=2.14.0"), "is no release of vllm"),
        (("update", "toy", "--to", "vllm=new"), "'new' is no version"),
        (("update", "toy", "--to", "vllm=0.77.0"), "the index has no vllm 0.77.0"),
        (("promote", "toy@0.31.0"), "there is no candidate 'toy@0.31.0'"),
        (("report", "toy"), "there is no candidate 'toy'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    folder: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    capfd.readouterr()
    assert dsk("matrix", *arguments) == 2
    assert says in capfd.readouterr().err
