"""The doctor's reports on recorded hosts, to the byte; ``--update-golden`` writes them anew.

A host's report shows what is not ok, a check's file every verdict that it gives on any host, and
one report is compared whole, as text and as JSON: a new check that is ok everywhere adds its own
file and a line to the whole report, and touches nothing else.
"""

import functools
import json
import re
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

from dsk.doctor import report
from dsk.doctor.chain import chain
from dsk.doctor.check import CheckContext, run_checks
from dsk.host.facts import Facts
from dsk.host.stack_choice import alternatives, by_card, choose
from dsk.matrix import load_matrix

HERE = Path(__file__).parent / "doctor"
HOSTS = sorted(file.stem for file in (HERE / "hosts").glob("*.json"))
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
CASES = [*HOSTS, *ASKED]
WHOLE = "no-gpu-debian12 v0"
EXPECTED = tomllib.loads((HERE / "expected.toml").read_text("utf-8"))


@functools.cache
def examined(case: str) -> report.Report:
    """Return a recorded host's report; ``000...`` in its facts is the lock's hash."""
    stack_id, gpu_name = ASKED.get(case, (None, None))
    recorded = HERE / "hosts" / f"{case.split(maxsplit=1)[0]}.json"
    facts = Facts.model_validate_json(recorded.read_bytes())
    matrix = load_matrix()
    gpu = matrix.gpu(gpu_name) if gpu_name else None
    stack, why = (
        (matrix.stack(stack_id), "as requested")
        if stack_id
        else choose(matrix, facts, gpu, matrix.models["deepseek-ocr"])
    )
    context = CheckContext(
        facts=facts,
        stack=stack,
        lock_sha256="0" * 64,
        model=matrix.models["deepseek-ocr"],
        gpu=gpu,
        alternatives=alternatives(matrix, facts, gpu, stack, matrix.models["deepseek-ocr"]),
        by_card={} if gpu else by_card(matrix, facts, stack, matrix.models["deepseek-ocr"]),
    )
    # A host that was recorded before a fact was gathered says nothing of the checks that need it.
    asked = [check for check in chain() if set(check.needs) <= facts.model_fields_set]
    return report.make("0.0", stack.id, why, run_checks(context, asked), facts)


def without_what_is_ok(whole: report.Report) -> report.Report:
    """Return the report of a chain without the checks that are ok or skipped."""
    left = [finding for finding in whole.findings if finding.status not in ("ok", "skipped")]
    return report.make(whole.dsk, whole.stack, whole.why, left, whole.facts)


def verdicts(check: str) -> str:
    """Return each different verdict of a check, with the cases that get it.

    The most frequent one names no cases, so that a new host, most of which is as usual, adds
    itself to few files.
    """
    cases: dict[str, list[str]] = defaultdict(list)
    for case in CASES:
        for finding in examined(case).findings:
            if finding.check == check:
                cases["\n".join(report.lines_of(finding))].append(case)
    assert cases, f"no recorded host has the facts that {check} needs: add one to {HERE / 'hosts'}"
    usual = max(sorted(cases), key=lambda verdict: len(cases[verdict]))
    named = {verdict: ", ".join(cases[verdict]) for verdict in sorted(cases) if verdict != usual}
    blocks = {usual: "everywhere else"} | named
    return "\n".join(f"{verdict}\n     : {where}\n" for verdict, where in blocks.items())


def compared(text: str, file: Path, *, update: bool) -> None:
    """Compare a text with its golden file, or write it there."""
    if update:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
    assert text == file.read_text("utf-8")


@pytest.mark.parametrize("case", CASES)
def test_a_host_is_told_the_same_to_the_byte(case: str, update_golden: bool) -> None:
    file = HERE / f"{case.replace(' ', '-asked-')}.txt"
    compared(report.text(without_what_is_ok(examined(case))), file, update=update_golden)


@pytest.mark.parametrize("check", [check.id for check in chain()])
def test_a_check_says_the_same_of_every_host_to_the_byte(check: str, update_golden: bool) -> None:
    compared(verdicts(check), HERE / "checks" / f"{check}.txt", update=update_golden)


def test_the_whole_report_is_the_same_to_the_byte(update_golden: bool) -> None:
    whole = examined(WHOLE)
    compared(report.text(whole), HERE / "whole" / "report.txt", update=update_golden)
    as_json = whole.model_dump_json(indent=2) + "\n"
    compared(as_json, HERE / "whole" / "report.json", update=update_golden)


def test_every_golden_file_is_compared_with_something() -> None:
    reports = {f"{case.replace(' ', '-asked-')}.txt" for case in CASES}
    assert {file.name for file in HERE.glob("*.txt")} == reports
    checks = {f"{check.id}.txt" for check in chain()}
    assert {file.name for file in (HERE / "checks").iterdir()} == checks
    assert set(EXPECTED) == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_ok_ends_with_a_command_to_paste(case: str) -> None:
    whole = examined(case)
    for finding in whole.findings:
        assert bool(finding.commands) == (finding.status in ("warning", "error", "unknown"))
    lines = report.text(whole).splitlines()
    assert all(len(line) <= 100 for line in lines if "$ " not in line)


@pytest.mark.parametrize("case", CASES)
def test_json_holds_what_the_text_says(case: str) -> None:
    whole = examined(case)
    read = report.Report.model_validate(json.loads(whole.model_dump_json()))
    assert report.text(read) == report.text(whole)


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_found_and_nothing_else(case: str) -> None:
    marks = {"error": "x", "warning": "!", "unknown": "?"}
    findings = examined(case).findings
    marked = [f"{marks[one.status]} {one.check}" for one in findings if one.status in marks]
    assert marked == EXPECTED[case]


@pytest.mark.parametrize("name", HOSTS)
def test_recorded_facts_tell_nothing_of_whose_machine_it_was(name: str) -> None:
    recorded = (HERE / "hosts" / f"{name}.json").read_text("utf-8")
    assert not re.search(r"GPU-[0-9a-f]{8}|([0-9a-f]{2}:){5}|/home/|@", recorded)
