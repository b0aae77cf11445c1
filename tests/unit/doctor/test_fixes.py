"""Advice that suits what is around this Linux: WSL, a container, or nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dsk.doctor.chain import chain
from dsk.doctor.check import CheckContext, Finding, run_checks
from dsk.host.facts import Facts
from dsk.host.stack_choice import choose
from dsk.matrix import load_matrix

HOSTS = sorted((Path(__file__).parents[2] / "golden/doctor/hosts").glob("*.json"))
# What only the machine itself may be told: a driver, a module of its kernel, a mode of its GPU.
OF_THE_MACHINE = re.compile(
    r"(apt-get|dnf|pacman)\b.*install.*nvidia-driver|ubuntu-drivers|akmod|pacman.*\bnvidia\b|modprobe"
)
AROUND = {
    "wsl": {"wsl": 2, "container": ""},
    "docker": {"wsl": 0, "container": "docker"},
    "podman": {"wsl": 0, "container": "podman"},
    "kubernetes": {"wsl": 0, "container": "kubernetes"},
}


def found_within(host: Path, around: dict[str, object], stack_id: str | None) -> list[Finding]:
    facts = Facts.model_validate_json(host.read_bytes())
    if facts.system is None:
        return []  # a host whose system could not be seen
    within = facts.model_copy(update={"system": facts.system.model_copy(update=around)})
    matrix = load_matrix()
    model = matrix.models["deepseek-ocr"]
    stack = matrix.stack(stack_id) if stack_id else choose(matrix, within, None, model)[0]
    context = CheckContext(facts=within, stack=stack, lock_sha256="0" * 64, model=model)
    asked = [check for check in chain() if set(check.needs) <= within.model_fields_set]
    return run_checks(context, asked)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("stack_id", [None, "v1"])
@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.stem)
def test_neither_wsl_nor_a_container_is_told_to_install_a_driver(
    host: Path, stack_id: str | None, around: str
) -> None:
    for finding in found_within(host, AROUND[around], stack_id):
        for command in finding.commands:
            assert not OF_THE_MACHINE.search(command), (finding.check, command)
            assert around != "wsl" or "reboot" not in command
            # MIG is for data-centre GPUs, which WSL has none of.
            if "reboot" in command or ("-mig 0" in command and around != "wsl"):
                assert "host" in " ".join(finding.details), finding


def test_the_search_would_find_such_advice() -> None:
    bare = {"wsl": 0, "container": ""}
    commands = [
        command
        for host in HOSTS
        if host.stem.startswith("rtx4090")
        for finding in found_within(host, bare, None)
        for command in finding.commands
    ]
    assert sum(bool(OF_THE_MACHINE.search(command)) for command in commands) >= 3
