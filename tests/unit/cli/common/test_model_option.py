"""`--model`: every command that reads, plans or checks takes the same names."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click
import pytest

from dsk import models
from dsk.cli import cli, main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dsk.models.base import ModelProfile

SECOND = list(models.profiles().values())[1]
# Every command with the option, and what it needs beside it; none of them gets past the name.
COMMANDS = {
    "run": ["page.pdf", "-o", "out", "--stack", "cpu"],
    "bench": ["page.pdf", "-o", "out", "--stack", "cpu"],
    "serve": ["--stack", "cpu"],
    "plan": [],
    "doctor": ["--stack", "cpu"],
    "env create": [],
    "model fetch": [],
    "model status": [],
    "build": ["--stack", "cpu", "--dry-run"],
    "verify": ["--stack", "cpu"],
    "demo": [],
    "eyechart model": ["model"],
    "eyechart page": ["--text-file", "text", "page.pdf"],
    "matrix select": ["--gpu", "h200"],
    "matrix probe": ["--stack", "cpu"],
}


def with_option(group: click.Group, path: str = "") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from with_option(command, f"{path}{name} ")
        elif any("--model" in parameter.opts for parameter in command.params):
            yield f"{path}{name}"


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Runner:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "text").write_text("a page")
    return Runner(monkeypatch, capfd)


class Runner:
    """Runs a command line as the program does: exit code, output, errors."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch = monkeypatch
        self.capfd = capfd

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self.monkeypatch.setattr(sys, "argv", ["dsk", *arguments])
        self.capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        out, err = self.capfd.readouterr()
        return left.value.code if isinstance(left.value.code, int) else 0, out, err


def names_of(model: ModelProfile) -> list[str]:
    names = [model.id, model.hub, model.name, *model.record.aliases]
    return [*names, model.id.upper(), f"{model.id}@{model.record.revision}"]


def checkpoint(folder: Path, architecture: str) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def test_the_table_here_has_every_command_with_the_option() -> None:
    assert sorted(with_option(cli)) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_misspelt_name_is_refused_with_the_nearest_and_the_known(
    command: str, run: Runner
) -> None:
    wrong = SECOND.id.replace("ocr", "orc")
    code, _, err = run(*command.split(), *COMMANDS[command], "--model", wrong)
    assert code == 2
    known = ", ".join(models.profiles())
    assert err == f"error: no such model '{wrong}': did you mean {SECOND.id}? known are {known}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_variable_names_a_model_as_the_option_does(
    command: str, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(models.VARIABLE, "gpt")
    code, _, err = run(*command.split(), *COMMANDS[command])
    assert (code, err.startswith("error: no such model 'gpt': known are")) == (2, True)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_of_an_unknown_architecture_is_refused(
    command: str, run: Runner, tmp_path: Path
) -> None:
    checkpoint(tmp_path / "llama", "LlamaForCausalLM")
    code, _, err = run(*command.split(), *COMMANDS[command], "--model", "llama")
    assert code == 2
    assert err.startswith("error: the model folder llama is of no model that dsk knows")
    assert "'LlamaForCausalLM'" in err


@pytest.mark.parametrize("model", models.profiles().values(), ids=list(models.profiles()))
def test_a_plan_is_of_the_model_by_any_of_its_names(
    model: ModelProfile, run: Runner, tmp_path: Path
) -> None:
    plans = {run("plan", "--model", name)[:2] for name in names_of(model)}
    ((code, plan),) = plans
    assert code == 0
    assert plan.startswith(f"{model.name} ({model.hub})\n")
    assert f"weights      {model.record.memory.weights_gib:8.2f} GiB" in plan


@pytest.mark.parametrize("model", models.profiles().values(), ids=list(models.profiles()))
def test_a_model_that_is_not_here_is_told_by_every_command_that_needs_it(
    model: ModelProfile, run: Runner, tmp_path: Path
) -> None:
    named = "" if model is models.default() else f" --model {model.id}"
    for name in names_of(model):
        code, _, err = run("serve", "--stack", "cpu", "--model", name)
        assert code == 3
        line = f"error: {model.hub} is not on this machine: dsk model fetch{named}\n"
        assert err == line
        assert run("serve", name, "--stack", "cpu")[1:] == ("", line)
        code, _, err = run("model", "status", "--model", name)
        assert code == 10
        assert err.endswith(f"is not on this machine: dsk model fetch{named}\n")


@pytest.mark.parametrize("model", models.profiles().values(), ids=list(models.profiles()))
def test_a_folder_is_checked_and_not_fetched(
    model: ModelProfile, run: Runner, tmp_path: Path
) -> None:
    folder = checkpoint(tmp_path / "mine", model.record.architecture)
    (folder / "eyechart.json").write_text("{}")
    code, out, _ = run("model", "status", "--model", "mine")
    assert (code, out) == (0, f"{folder}: {model.name}, complete\n")
    code, _, err = run("model", "fetch", "--model", "./mine")
    assert code == 2
    assert "mine is a folder on this machine, so there is nothing to fetch" in err
    assert f"name {model.hub} for the published model" in err


def test_a_model_that_is_named_twice_is_refused(run: Runner) -> None:
    code, _, err = run("serve", SECOND.id, "--model", SECOND.name)
    assert code == 2
    assert f"MODEL and --model both name a model: {SECOND.id} and {SECOND.name}" in err
    code, _, err = run("model", "status", "--model", f"{SECOND.id}@main", "--revision", "main")
    assert code == 2
    assert "both name a revision" in err


def test_the_variable_gives_way_to_what_the_command_line_names(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(models.VARIABLE, "gpt")
    assert run("plan", "--model", SECOND.id)[1].startswith(SECOND.name)
    assert run("serve", SECOND.id, "--stack", "cpu")[2].startswith(f"error: {SECOND.hub} is not")
    monkeypatch.setenv(models.VARIABLE, SECOND.name)
    assert run("plan")[1].startswith(SECOND.name)


def test_the_list_has_every_model_by_its_id_and_hub_id(run: Runner) -> None:
    code, out, _ = run("model", "list")
    assert code == 0
    for model, line in zip(models.profiles().values(), out.splitlines()[1:], strict=True):
        assert line.split()[:2] == [model.id, model.hub]
        assert line.split()[-1] == "no"


def test_the_doctor_names_the_model_that_is_asked_about(run: Runner) -> None:
    code, out, _ = run("doctor", "--stack", "cpu", "--model", SECOND.name)
    assert code in (0, 6)
    assert f"{SECOND.name}: not downloaded" in out
    assert f"$ dsk model fetch --model {SECOND.id}" in out


def test_an_image_for_another_model_has_another_name(run: Runner) -> None:
    for model in models.profiles().values():
        code, out, err = run("build", "--stack", "cpu", "--dry-run", "--model", model.hub)
        assert code == 0, err
        name = "dsk:cpu" if model is models.default() else f"dsk:cpu-{model.id}"
        assert f"name={name}," in out
        assert ("--build-arg=MODEL=" in out) == (model is not models.default())
        assert f"--build-arg=MODEL={model.id} " in out or model is models.default()
