"""`dsk doctor` as a whole: exit codes, JSON, an engine that hangs, commands that a shell takes."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

DSK = [sys.executable, "-c", "from dsk.cli import main; main()"]


def doctor(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DSK, "doctor", *arguments], capture_output=True, text=True, check=False)


def test_json_and_exit_code_agree() -> None:
    done = doctor("--json", "--stack", "cpu")
    said = json.loads(done.stdout)
    assert done.returncode == (6 if said["counts"]["error"] else 0)
    assert said["stack"] == "cpu"
    assert {finding["check"] for finding in said["findings"]} >= {"system", "libraries", "driver"}


def test_an_unknown_gpu_names_the_nearest() -> None:
    done = doctor("--gpu", "rtx409")
    assert done.returncode == 2
    assert "rtx4090" in done.stderr


def test_a_card_that_no_stack_fits_is_an_error() -> None:
    done = doctor("--gpu", "v100")
    assert done.returncode == 6
    assert "[x]  GPU" in done.stdout


def test_an_engine_that_hangs_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 's'}")
        begun = time.monotonic()
        done = doctor("--stack", "cpu")
    assert time.monotonic() - begun < 20
    assert "[!]  Docker engine" in done.stdout


def test_nothing_heavy_is_imported() -> None:
    """What takes long to import, and is only needed for what was found to be rare."""
    code = (
        "import sys; from dsk.cli import cli; cli.main(['doctor'], standalone_mode=False);"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "vllm", "transformers", "docker", "libcst", "numpy", "PIL", "pynvml", "rich"}
    assert heavy.isdisjoint(done.stderr.split())


HOSTS = Path(__file__).parents[1] / "golden" / "doctor" / "hosts"


def test_recorded_facts_are_judged_in_place_of_this_machine() -> None:
    done = doctor("--host-facts", str(HOSTS / "rtx4090-driver-too-old.json"))
    assert done.returncode == 6
    assert "[x]  CUDA release" in done.stdout


def test_saved_facts_are_what_was_judged(tmp_path: Path) -> None:
    saved = tmp_path / "facts.json"
    here = doctor("--stack", "cpu", "--save-facts", str(saved))
    again = doctor("--stack", "cpu", "--host-facts", str(saved))
    assert here.stdout == again.stdout


@pytest.mark.parametrize("text", ["", "[]", '{"memory": {"total": -1, "available": 0}}', None])
def test_facts_that_are_none_are_refused(text: str | None, tmp_path: Path) -> None:
    file = tmp_path / "facts.json"
    if text is not None:
        file.write_text(text)
    done = doctor("--host-facts", str(file))
    assert done.returncode == 12
    assert str(file) in done.stderr.replace("\n", "")


def test_warnings_count_when_asked_to() -> None:
    warned = ["--host-facts", str(HOSTS / "rtx4090-driver-compatible.json"), "--stack", "v0"]
    assert [doctor(*warned).returncode, doctor(*warned, "--strict").returncode] == [0, 6]


def test_json_is_as_its_schema_describes() -> None:
    """Every key that is printed is described, and every required one is printed."""
    schema = json.loads((HOSTS.parents[3] / "schemas" / "doctor.json").read_text())
    said = json.loads(doctor("--json", "--stack", "cpu").stdout)
    assert set(schema["required"]) <= set(said) <= set(schema["properties"])
    facts = schema["$defs"]["Facts"]["properties"]
    assert set(said["facts"]) <= set(facts)
    finding = schema["$defs"]["Finding"]
    assert all(set(finding["required"]) <= set(one) for one in said["findings"])
