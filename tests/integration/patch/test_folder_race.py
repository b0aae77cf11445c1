"""Folders of patched code: whole for every process that loads them, whoever else is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from dsk.transformers_patch import folders

CODE = Path(__file__).with_name("remote_code")
LOADER = """
import json, sys
from pathlib import Path
from dsk.transformers_patch import folders
code, modules = Path(sys.argv[1]), Path(sys.argv[2])
folder = folders.patched_folder({p.name: (p.read_bytes(), p) for p in code.glob("*.py")}, modules)
print(json.dumps({p.name: p.read_text() for p in sorted(folder.path.glob("*.py"))}))
"""


def sources() -> dict[str, tuple[bytes, Path]]:
    return {path.name: (path.read_bytes(), path) for path in CODE.glob("*.py")}


def test_sixteen_loaders_at_once_and_one_killed_all_read_whole_files(tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-c", LOADER, CODE, tmp_path / "modules"]
    loaders = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(16)]
    unfinished: list[Path] = []
    while not unfinished:  # somebody is writing: it holds the lock, and is the one that dies
        unfinished = list((tmp_path / "modules").glob(".dsk_*-*"))
    locked = next((tmp_path / "modules").glob(".dsk_*.lock")).stat().st_ino
    holder = next(
        int(line.split()[4])
        for line in Path("/proc/locks").read_text().splitlines()
        if line.split()[-3].endswith(f":{locked}") and "->" not in line
    )
    os.kill(holder, signal.SIGKILL)
    said = [(loader.pid, loader.communicate()[0]) for loader in loaders]
    alone = folders.patched_folder(sources(), tmp_path / "alone").path
    whole = {path.name: path.read_text() for path in sorted(alone.glob("*.py"))}
    assert [json.loads(text) for pid, text in said if pid != holder] == [whole] * 15
    assert not list((tmp_path / "modules").glob(".dsk_*-*"))
