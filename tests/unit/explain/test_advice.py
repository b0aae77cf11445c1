"""What fixes advise exists: commands and options of dsk, and the fix of the place the log shows."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import click
import pytest

from dsk.cli import cli
from dsk.explain import explain_text, rules

if TYPE_CHECKING:
    from collections.abc import Iterator

SYMPTOMS = rules.load()
TEXTS = sorted(
    {
        (rule.id, text)
        for rule in SYMPTOMS.rule
        for text in (rule.cause, rule.fix, *rule.fix_for.values(), *rule.fix_where.values())
    }
    | {(entry.id, entry.why) for entry in SYMPTOMS.harmless}
)
OWN = sorted((rule.id, rule.fix_where["dsk"]) for rule in SYMPTOMS.rule if "dsk" in rule.fix_where)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
COMMAND = re.compile(r"\bdsk ((?:[a-z]+ ?)+)([^.;:()]*)")


def commands(command: click.Command) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), name)
            assert found is not None
            yield from commands(found)


def options(command: click.Command) -> set[str]:
    return {
        text for found in commands(command) for option in found.params for text in option.opts
    } | {"--help"}


def named(words: list[str]) -> click.Command:
    """The command that the words name, as far as they name one."""
    command: click.Command = cli
    for word in words:
        found = isinstance(command, click.Group) and command.get_command(
            click.Context(command), word
        )
        if not found:
            break
        command = found
    return command


@pytest.mark.parametrize(("rule", "text"), TEXTS)
def test_a_command_of_dsk_that_is_advised_has_the_options_that_are_advised(
    rule: str, text: str
) -> None:
    for match in COMMAND.finditer(text):
        command = named(match[1].split())
        advised = OPTION.findall(match[2])
        assert command is not cli or not advised, f"{rule}: no such command: {match[0]}"
        # A sentence may go on with an option of another program after a comma.
        of_dsk = OPTION.findall(re.split(r", | or ", match[2])[0])
        assert set(of_dsk) <= options(command), f"{rule}: {match[0]}"


@pytest.mark.parametrize(("rule", "text"), OWN)
def test_where_dsk_ran_the_fix_names_options_of_dsk_alone(rule: str, text: str) -> None:
    assert set(OPTION.findall(text)) <= options(cli) | {"--shm-size", "--runtime"}, rule


OUT_OF_MEMORY = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
TOO_OLD = "UserWarning: The NVIDIA driver on your system is too old (found version 12060).\n"
NO_DRIVER = "RuntimeError: Found no NVIDIA driver on your system.\n"


@pytest.mark.parametrize(
    ("log", "advised", "not_advised"),
    [
        (OUT_OF_MEMORY, "--gpu-memory-utilization", "--mem-fraction-static"),
        ("$ dsk run pdf book.pdf out\n" + OUT_OF_MEMORY, "--engines 1", "--gpu-memory-utilization"),
        ("sglang 0.5.4\n" + OUT_OF_MEMORY, "--mem-fraction-static", "--gpu-memory-utilization"),
        ("Linux 5.15-microsoft-standard-WSL2\n" + TOO_OLD, "driver in Windows", "on the host"),
        ("docker run --gpus all ocr\n" + TOO_OLD, "on the host, not in the container", "Windows"),
        ("podman run --gpus all ocr\n" + NO_DRIVER, "--device nvidia.com/gpu=all", "compose"),
        (NO_DRIVER, "install the driver", "Podman"),
    ],
)
def test_the_fix_is_the_one_for_where_the_log_was_written(
    log: str, advised: str, not_advised: str
) -> None:
    fix = explain_text(io.BytesIO(log.encode())).causes[0].fix
    assert advised in fix
    assert not_advised not in fix


def test_a_stack_that_failed_is_a_place_of_dsk() -> None:
    found = explain_text(io.BytesIO(OUT_OF_MEMORY.encode()), stack="v1", pins={})
    assert "--engines 1" in found.causes[0].fix


@pytest.mark.parametrize("rule", SYMPTOMS.rule, ids=lambda rule: str(rule.id))
def test_no_driver_is_to_be_installed_inside_wsl_or_a_container(rule: rules.Rule) -> None:
    for place in ("wsl", "docker-desktop", "podman", "container", "kubernetes"):
        text = rule.fix_where.get(place, "")
        for sentence in re.split(r"(?<=[.;:])\s", text):
            assert "apt-get install nvidia-driver" not in sentence
            if "install" in sentence and "driver" in sentence:
                assert re.search(r"Windows|host|node|never|not in", sentence), sentence
