"""Whom a container runs as."""

import os
from pathlib import Path

import pytest

from dsk.compat import load_matrix
from dsk.images.local import LocalImage
from dsk.runtime.container import container


@pytest.mark.parametrize(
    ("engine", "user"),
    [
        (["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"], "0:0"),
        (["name=seccomp,profile=builtin", "name=cgroupns"], "1234:1234"),
    ],
)
def test_what_is_written_is_the_caller_s_under_either_engine(
    engine: list[str], user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = ",".join(f'"{one}"' for one in engine)
    program, typed = tmp_path / "docker", tmp_path / "typed"
    program.write_text(
        f"#!/bin/sh\n[ $1 = info ] && echo '[{told}]'\n[ $1 = run ] && echo \"$@\" > {typed}\n:\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(os, "getegid", lambda: 1234)
    image = LocalImage(id="sha256:1", labels={}, created="")
    with container(load_matrix().stack("cpu"), image, reads=[], out=tmp_path) as runtime:
        assert runtime.run("dsk.ocr.runner", []) == 0
    assert f"--user={user}" in typed.read_text().split()
