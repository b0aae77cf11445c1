"""Keys and passwords: out of other programs' reach, and never in a message."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dsk import credentials
from dsk.errors import InputUnreadable, UsageProblem

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "name",
    [
        *("DSK_API_KEY", "VLLM_API_KEY", "OPENAI_API_KEY", "AWS_ACCESS_KEY_ID", "DSK_API_KEY_FILE"),
        *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "GITHUB_TOKEN", "AWS_SESSION_TOKEN"),
        *("AWS_SECRET_ACCESS_KEY", "PGPASSWORD_FILE_PASSWORD", "MY_SECRET", "my-secret"),
        *("UV_INDEX_WORK_PASSWORD", "GOOGLE_APPLICATION_CREDENTIALS", "SSH_AUTH_SOCK"),
    ],
)
def test_variables_named_after_keys_are_left_out(name: str) -> None:
    assert credentials.without_credentials({name: "x", "HOME": "/h"}) == {"HOME": "/h"}


def test_settings_of_engines_stay() -> None:
    kept = {
        "PATH": "/usr/bin:/bin",
        "PWD": "/tmp",
        "TOKENIZERS_PARALLELISM": "false",
        "VLLM_PLUGINS": "dsk",
        "CUDA_VISIBLE_DEVICES": "0",
        "LD_LIBRARY_PATH": "/usr/local/cuda/lib64",
        "HTTPS_PROXY": "http://alice:pw@proxy.example:3128",
        "HF_ENDPOINT": "https://mirror.example",
        "MAIL": "a@b.example",
        "KEYBOARD": "de",
    }
    assert credentials.without_credentials(kept) == kept


@pytest.mark.parametrize(
    "value",
    [
        "https://alice:pw@index.example/simple",
        "https://index.example/simple https://alice:pw@other.example/simple",
        "https://alice:p%40w@[::1]:8000/",
        "https://a:b@[/",
    ],
)
def test_urls_with_passwords_are_left_out(value: str) -> None:
    assert credentials.without_credentials({"UV_DEFAULT_INDEX": value}) == {}


@pytest.mark.parametrize(
    "key",
    ["", " ", "\t", "a\nb", "a\tb", " a", "a ", "a b", "a\n", "a\x00", "Schlüssel", "a" * 5000],
)
def test_what_no_header_can_carry_is_no_key(key: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        credentials.checked(key)
    assert not key.strip() or key not in str(caught.value)


def test_the_first_line_of_a_file_is_the_key(tmp_path: Path) -> None:
    file = tmp_path / "key"
    for content in (b"s3cret", b"s3cret\n", b"s3cret\r\nmore\n"):
        file.write_bytes(content)
        assert credentials.key_in(file) == "s3cret"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\0s", b"x" * 100_000])
def test_another_file_is_refused_and_not_quoted(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(UsageProblem) as caught:
        credentials.key_in(file)
    assert "xxx" not in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadable, match="No such file"):
        credentials.key_in(tmp_path / "key")


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["serve", "m", "--api-key", "K"], ["serve", "m"]),
        (["serve", "--api-key=K", "m"], ["serve", "m"]),
        (["run", "pdf", "a", "--api-key", "old", "--api-key", "K"], ["run", "pdf", "a"]),
        (["run", "pdf", "--api-key", "K", "--", "-a"], ["run", "pdf", "--", "-a"]),
        (["serve", "m", "--api-key-file", "K"], None),
        (["serve", "m", "--api-key"], None),
        (["run", "pdf", "--", "--api-key", "K"], None),
        (["explain", "--api-key", "K"], None),
        ([], None),
    ],
)
def test_a_key_is_split_from_the_arguments(arguments: list[str], left: list[str] | None) -> None:
    assert credentials.split_key(arguments) == ((left, "K") if left else None)


PROGRAM = """
import os, sys
from dsk import credentials
credentials.hide_key()
print(sys.flags.dev_mode, sys.argv[1:], os.environ["DSK_API_KEY"])
print(open("/proc/self/cmdline").read())
"""


def test_a_program_starts_anew_without_the_key_that_others_could_list(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    given = [
        sys.executable,
        "-Xdev",
        str(file),
        "serve",
        "m",
        "--api-key",
        "pl4nted",
        "--port",
        "1",
    ]
    variables = {name: value for name, value in os.environ.items() if name != "DSK_API_KEY"}
    done = subprocess.run(given, env=variables, capture_output=True, text=True, check=True)
    seen, command_line = done.stdout.splitlines()
    assert seen == "True ['serve', 'm', '--port', '1'] pl4nted"
    assert "pl4nted" not in command_line
    assert "use DSK_API_KEY or --api-key-file" in " ".join(done.stderr.split())
    assert "pl4nted" not in done.stderr
