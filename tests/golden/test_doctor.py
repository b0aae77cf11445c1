"""What the doctor says of recorded hosts, to the byte; ``--update-golden`` writes it anew."""

import json
from pathlib import Path

import pytest

from dsk.compat import load_matrix
from dsk.doctor import report
from dsk.doctor.checks import CHECKS
from dsk.doctor.choice import choose
from dsk.doctor.facts import Facts
from dsk.doctor.judging import Question, judge

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
}


def examined(name: str) -> report.Report:
    """A recorded host's report. ``000...`` in its facts is the lock's hash."""
    stack_id, gpu_name = ASKED.get(name, (None, None))
    recorded = HERE / "hosts" / f"{name.split(maxsplit=1)[0]}.json"
    facts = Facts.model_validate_json(recorded.read_bytes())
    matrix = load_matrix()
    gpu = matrix.gpu(gpu_name) if gpu_name else None
    stack, why = (matrix.stack(stack_id), "as asked") if stack_id else choose(matrix, facts, gpu)
    question = Question(facts=facts, stack=stack, lock_sha256="0" * 64, gpu=gpu)
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
    found = examined(name)
    for finding in found.findings:
        assert bool(finding.commands) == (finding.status in ("warning", "error", "unknown"))
    lines = report.text(found).splitlines()
    assert all(len(line) <= 100 for line in lines if "$ " not in line)


@pytest.mark.parametrize("name", [*HOSTS, *ASKED])
def test_json_holds_what_the_text_says(name: str) -> None:
    found = examined(name)
    read = report.Report.model_validate(json.loads(found.model_dump_json()))
    assert report.text(read) == report.text(found)


def errors(name: str) -> list[str]:
    return [finding.check for finding in examined(name).findings if finding.status == "error"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rtx4090", []),
        ("rtx4090-driver-too-old", ["cuda"]),
        ("rtx4090-driver-compatible", []),
        ("rtx4090-driver-updated-not-restarted", ["driver"]),
        ("rtx4090-no-driver", ["driver"]),
        ("rtx4090-held-by-another", []),
        ("container-without-gpus", ["gpu"]),
        ("t4", ["gpu"]),
        ("rtx5090", []),
        ("rtx5090 v0", ["gpu"]),
        ("two-kinds-of-card", []),
        ("no-gpu-debian12", []),
        ("no-gpu-debian12 cpu-v0", ["libraries"]),
        ("no-gpu-debian12 v0", ["driver"]),
        ("no-gpu-debian12 gpu rtx4090", []),
        ("arm64", ["system"]),
        ("no-python", ["python"]),
        ("crowded-and-mixed", ["disk"]),
        ("nvml-and-docker-hang", []),
        ("nothing-can-be-seen", []),
    ],
)
def test_one_broken_link_is_one_error(name: str, expected: list[str]) -> None:
    assert errors(name) == expected
