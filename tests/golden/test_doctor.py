"""What the doctor says of recorded hosts, to the byte; ``--update-golden`` writes it anew."""

import json
import re
from pathlib import Path

import pytest

from dsk.doctor import report
from dsk.doctor.check import Question, judge
from dsk.doctor.checks import CHECKS
from dsk.host.facts import Facts
from dsk.host.stack_choice import choose
from dsk.matrix import load_matrix

HERE = Path(__file__).parent / "doctor"
HOSTS = sorted(place.stem for place in (HERE / "hosts").glob("*.json"))
# What else is asked of a host than what it is for: the file's name, the stack, the card.
ASKED = {
    "no-gpu-debian12 cpu-v0": ("cpu-v0", None),
    "no-gpu-debian12 v0": ("v0", None),
    "no-gpu-debian12 gpu rtx4090": (None, "rtx4090"),
    "no-gpu-debian12 gpu t4": (None, "t4"),
    "rtx5090 v0": ("v0", None),
    "rtx4090 cpu": ("cpu", None),
    "wsl1 v0": ("v0", None),
    "wsl2-does-not-answer v0": ("v0", None),
    "wsl2-no-card v0": ("v0", None),
}


def examined(name: str) -> report.Report:
    """A recorded host's report. ``000...`` in its facts is the lock's hash."""
    stack_id, gpu_name = ASKED.get(name, (None, None))
    recorded = HERE / "hosts" / f"{name.split(maxsplit=1)[0]}.json"
    facts = Facts.model_validate_json(recorded.read_bytes())
    matrix = load_matrix()
    gpu = matrix.gpu(gpu_name) if gpu_name else None
    stack, why = (matrix.stack(stack_id), "as asked") if stack_id else choose(matrix, facts, gpu)
    question = Question(
        facts=facts,
        stack=stack,
        lock_sha256="0" * 64,
        model=matrix.model("deepseek-ocr"),
        gpu=gpu,
    )
    return report.make("0.0", stack.id, why, judge(question, CHECKS), facts)


@pytest.mark.parametrize("name", [*HOSTS, *ASKED])
def test_a_host_is_told_the_same_to_the_byte(name: str, update_golden: bool) -> None:
    said = report.text(examined(name))
    file = HERE / f"{name.replace(' ', '-asked-')}.txt"
    if update_golden:
        file.write_text(said, "utf-8")
    assert said == file.read_text("utf-8")


@pytest.mark.parametrize("name", [*HOSTS, *ASKED])
def test_what_is_not_ok_ends_with_a_command_to_paste(name: str) -> None:
    said = examined(name)
    for finding in said.findings:
        assert bool(finding.commands) == (finding.status in ("warning", "error", "unknown"))
    lines = report.text(said).splitlines()
    assert all(len(line) <= 100 for line in lines if "$ " not in line)


@pytest.mark.parametrize("name", [*HOSTS, *ASKED])
def test_json_holds_what_the_text_says(name: str) -> None:
    said = examined(name)
    read = report.Report.model_validate(json.loads(said.model_dump_json()))
    assert report.text(read) == report.text(said)


EXPECTED: dict[str, tuple[str, ...]] = {
    # what must be found and nothing besides: x an error, ! a warning, ? could not be looked at
    "a100": (),
    "a100-compat-hides-newer-driver": ("x libcuda",),
    "a100-cut-in-two": (),
    "a100-cut-too-small": ("x gpu",),
    "a100-cut-without-instance": ("x gpu",),
    "a100-driver-too-old": ("x cuda",),
    "a100-forward-compatible": (),
    "a100-memory-errors": ("! health",),
    "arm64": ("x system",),
    "clock-of-1970": ("x clock",),
    "container-looking-only": ("x libcuda",),
    "container-lost-its-cards": ("x driver",),
    "container-small": ("! shared_memory", "! memory"),
    "container-without-gpus": ("x driver",),
    "disk-full": ("x disk",),
    "disk-read-only": ("x disk",),
    "docker-hangs": ("! docker",),
    "docker-not-running": ("! docker",),
    "docker-permission-denied": ("! docker",),
    "docker-starts-nothing": ("! container",),
    "docker-toolkit-not-set-up": ("! toolkit",),
    "docker-without-buildx": ("! buildx",),
    "docker-without-toolkit": ("! toolkit",),
    "environment-changed": ("x contents",),
    "environment-edited": ("x contents",),
    "environment-flash-attn-for-another-python": ("x links",),
    "environment-of-an-earlier-lock": ("! environment",),
    "environment-other-torch": ("x links",),
    "environment-two-cudas": ("x links",),
    "few-open-files": ("! open_files",),
    "flag-against-the-stack": ("! engine_flag",),
    "flag-for-a-vllm-without-v0": ("! installed", "! own_engine", "! engine_flag"),
    "h100": (),
    "h200-as-recorded": (),  # its driver and card are a real machine's answer
    "h200-own-vllm-crashes": ("! installed", "! own_engine"),
    "macos": ("x system", "! docker"),
    "model-half-downloaded": ("x model",),
    "model-of-another-revision": ("! model",),
    "model-patched-by-another-dsk": ("! remote_code",),
    "no-gpu-debian12": ("! docker",),
    "no-gpu-debian12 cpu-v0": ("x libraries", "! docker", "! environment"),
    "no-gpu-debian12 v0": ("x driver", "! docker", "! environment"),
    "no-gpu-debian12 gpu rtx4090": ("! docker", "! environment"),
    "no-gpu-debian12 gpu t4": ("x gpu", "! docker", "! environment"),
    "no-python": ("x python",),
    "nothing-can-be-seen": (
        "? system",
        "? libraries",
        "? driver",
        "? docker",
        "? installed",
        "? model",
        "? disk",
        "? shared_memory",
        "? open_files",
    ),
    "nvml-talks-nonsense": ("? driver",),
    "old-libraries": ("x libraries",),
    "one-of-two-lost": ("! health",),
    "own-packages-mixed": ("! installed",),
    "own-transformers-not-patched": ("! remote_code",),
    "rtx2060-6gb": ("x gpu",),
    "rtx3060-12gb": (),
    "rtx4090": (),
    "rtx4090 cpu": ("! environment",),
    "rtx4090-compat-on-geforce": ("x libcuda",),
    "rtx4090-driver-compatible": ("! cuda",),
    "rtx4090-driver-not-loaded": ("x driver",),
    "rtx4090-driver-too-old": ("x cuda",),
    "rtx4090-driver-updated-not-restarted": ("x driver",),
    "rtx4090-fresh": ("! docker", "! environment", "! model"),
    "rtx4090-half-installed": ("x driver",),
    "rtx4090-held-by-another": ("! free_memory",),
    "rtx4090-held-whole": ("x free_memory",),
    "rtx4090-no-driver": ("x driver",),
    "rtx4090-no-libcuda": ("x libcuda",),
    "rtx4090-no-permission": ("x driver",),
    "rtx4090-nvml-crashes": ("x driver",),
    "rtx4090-nvml-hangs": ("x driver",),
    "rtx4090-off-the-bus": ("x gpu",),
    "rtx4090-stub-libcuda": ("x libcuda",),
    "rtx5090": (),
    "rtx5090 v0": ("x gpu", "! environment"),
    "rtx5090-driver-too-old": ("x cuda",),
    "t4": ("x gpu",),
    "two-kinds-of-card": ("! gpu",),
    "two-kinds-that-both-fit": (),
    "wsl1": ("! driver",),
    "wsl1 v0": ("x surroundings",),
    "wsl2": (),
    "wsl2-does-not-answer": ("! driver",),
    "wsl2-does-not-answer v0": ("x driver",),
    "wsl2-linux-driver-inside": ("x libcuda",),
    "wsl2-no-card": ("! driver",),
    "wsl2-no-card v0": ("x driver",),
}


def found(name: str) -> tuple[str, ...]:
    marks = {"error": "x", "warning": "!", "unknown": "?"}
    findings = examined(name).findings
    return tuple(f"{marks[one.status]} {one.check}" for one in findings if one.status in marks)


@pytest.mark.parametrize("name", [*HOSTS, *ASKED])
def test_what_is_wrong_is_found_and_nothing_else(name: str) -> None:
    assert found(name) == EXPECTED[name]


@pytest.mark.parametrize("name", HOSTS)
def test_recorded_facts_tell_nothing_of_whose_machine_it_was(name: str) -> None:
    recorded = (HERE / "hosts" / f"{name}.json").read_text("utf-8")
    assert not re.search(r"GPU-[0-9a-f]{8}|([0-9a-f]{2}:){5}|/home/|@", recorded)
