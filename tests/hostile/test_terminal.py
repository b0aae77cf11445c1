"""No command lets what others wrote steer the terminal: every input that holds texts of theirs."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTS = Path(__file__).parents[1] / "golden/doctor/hosts"
ATTACK = (
    "\x1b]0;owned\x07\x1b[2J\x1b]52;c;cm0K\x07\x9b31m\u202efdp.exe\u2066\x08\r\u2028[red][link=x]"
)
# What rich itself writes on a terminal: colours, and a progress bar's cursor.
RICH = re.compile(r"\x1b\[[0-9;]*[mAGK]|\x1b\[\?25[hl]|\r")
STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)


def poisoned(value: Any) -> Any:
    """Every text of a JSON value with the attack behind it."""
    match value:
        case dict():
            return {key: poisoned(item) for key, item in value.items()}
        case list():
            return [poisoned(item) for item in value]
        case str():
            return value + ATTACK
    return value


def facts(place: Path) -> list[str]:
    host = json.loads((HOSTS / "a100.json").read_bytes())
    (place / "facts.json").write_text(json.dumps(poisoned(host)))
    return ["doctor", "--host-facts", "facts.json", "--stack", "v1"]


def facts_as_json(place: Path) -> list[str]:
    return [*facts(place), "--json"]


def facts_of_one_text(place: Path) -> list[str]:
    """Facts that stay valid, so that the report quotes them."""
    text = (HOSTS / "a100.json").read_text()
    name = json.loads(text)["nvidia"]["cards"][0]["name"]
    text = text.replace(json.dumps(name), json.dumps(name + ATTACK))
    (place / "facts.json").write_text(text)
    return ["doctor", "--host-facts", "facts.json", "--stack", "v1"]


def status(place: Path) -> list[str]:
    document = {
        "name": ATTACK,
        "folder": "a",
        "sha256": ATTACK,
        "page_count": 1,
        "pages": [1],
    }
    (place / "out").mkdir()
    job = {"settings": ATTACK, "documents": [document, document], "rejected": [ATTACK]}
    (place / "out/job.json").write_text(json.dumps(job))
    return ["status", "out"]


def log(place: Path) -> list[str]:
    lines = ["RuntimeError: CUDA error: no kernel image is available for execution on the device"]
    lines += ["ValueError: something else that reads like an error"]
    (place / "a.log").write_text("".join(f"{ATTACK}{line}{ATTACK}\n" for line in lines))
    return ["explain", "a.log"]


def named(*arguments: str) -> Callable[[Path], list[str]]:
    """The attack as a name on the command line, which may come from a list or a script."""
    return lambda _: [argument.replace("ATTACK", ATTACK.replace("/", "")) for argument in arguments]


def files(place: Path) -> list[str]:
    (place / "in").mkdir()
    (place / "in" / f"{ATTACK}.pdf").write_text("no PDF")
    return ["run", "pdf", "in", "-o", "out", "--stack", "cpu", "--model", "m"]


def listed(place: Path) -> list[str]:
    (place / "list").write_text(f"{ATTACK}.pdf\n")
    return ["run", "pdf", "@list", "-o", "out"]


def patched(place: Path) -> list[str]:
    (place / ATTACK).mkdir()
    code = "class DeepseekOCRForCausalLM:\n    pass\nfrom .deepencoder import build_sam_vit_b\n"
    (place / ATTACK / "modeling_deepseekocr.py").write_text(code)
    return ["patch", "status", ATTACK]


ATTACKS: dict[str, Callable[[Path], list[str]]] = {
    "facts": facts,
    "facts as JSON": facts_as_json,
    "a card's name": facts_of_one_text,
    "job.json": status,
    "job.json as JSON": lambda place: [*status(place), "--json"],
    "a log": log,
    "a log as JSON": lambda place: [*log(place), "--json"],
    "names of files": files,
    "names in a list": listed,
    "a model's folder": patched,
    "an unknown command": named("ATTACK"),
    "an unknown option": named("run", "--ATTACK"),
    "an unknown stack": named("matrix", "describe", "ATTACK"),
    "an unknown stack of an environment": named("env", "path", "--stack", "ATTACK"),
    "an unknown card": named("plan", "--gpu", "ATTACK"),
    "an unknown file": named("explain", "ATTACK"),
    "an unknown folder": named("status", "ATTACK"),
    "unknown facts": named("doctor", "--host-facts", "ATTACK"),
    "a revision": named("model", "fetch", "--revision", "ATTACK"),
    "an output folder": named("run", "pdf", "no.pdf", "-o", "ATTACK"),
    "a format": named("run", "pdf", "no.pdf", "-o", "out", "--to", "ATTACK"),
    "a server": named("run", "pdf", "no.pdf", "-o", "out", "--server", "http://ATTACK"),
}


def command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "dsk", *arguments]


@pytest.mark.parametrize("attack", ATTACKS)
def test_into_a_pipe_no_control_character_is_printed(attack: str, tmp_path: Path) -> None:
    done = subprocess.run(
        command(ATTACKS[attack](tmp_path)), cwd=tmp_path, capture_output=True, check=False
    )
    printed = (done.stdout + done.stderr).decode()
    assert printed
    assert "Traceback" not in printed
    assert STEERING.findall(printed) == []


@pytest.mark.parametrize("attack", ["a card's name", "job.json", "names of files", "a log"])
def test_on_a_terminal_rich_alone_steers(attack: str, tmp_path: Path) -> None:
    arguments = command(ATTACKS[attack](tmp_path))
    reader, writer = pty.openpty()
    with subprocess.Popen(
        arguments,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=writer,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "200"},
    ):
        os.close(writer)
        printed = b""
        try:
            while data := os.read(reader, 1 << 16):
                printed += data
        except OSError:  # the terminal of a process that has ended
            pass
    os.close(reader)
    text = printed.decode()
    assert text
    assert STEERING.findall(RICH.sub("", text)) == []
