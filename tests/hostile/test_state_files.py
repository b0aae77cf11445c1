"""Files of state that somebody else wrote: recorded hosts, job.json, places.json, manifests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsk.ocr.results import folder_owners, manifest
from dsk.ocr.results.output_folders import OutputFolders
from dsk.ocr.schema import run_files

HOSTS = Path(__file__).parents[1] / "golden/doctor/hosts"
DEEP = "[" * 200_000
HUGE = "1" + "0" * 400
DOCUMENT = {"name": "a", "folder": "a", "sha256": "", "page_count": 1, "pages": [1]}


def dsk(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dsk", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def number(value: str) -> str:
    """The facts of a host in which the size of its memory is another one."""
    facts = json.loads((HOSTS / "a100.json").read_bytes())
    text = json.dumps(facts)
    total = json.dumps(facts["memory"]["total"])
    return text.replace(total, value, 1)


FACTS = {
    "huge number": number(HUGE),
    "negative huge number": number(f"-{HUGE}"),
    "infinite number": number("1e999"),
    "more digits than Python reads": number("9" * 5000),
    "nested": DEEP,
    "empty": "",
    "another value": "[]",
    "not UTF-8": "\udcff",
}


@pytest.mark.parametrize("content", FACTS.values(), ids=FACTS)
def test_facts_of_no_host_are_refused_in_a_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "facts.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    done = dsk("doctor", "--host-facts", "facts.json", cwd=tmp_path)
    assert done.returncode == 12, done.stderr
    assert "does not hold the facts of a host" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_facts_without_an_end_are_refused(tmp_path: Path) -> None:
    done = dsk("doctor", "--host-facts", "/dev/zero", cwd=tmp_path)
    assert done.returncode == 12, done.stderr


def test_a_job_file_forges_no_line(tmp_path: Path) -> None:
    named = DOCUMENT | {"name": "a\nerror: forged"}
    job = {"settings": "", "documents": [named], "rejected": ["b\nerror: forged"]}
    (tmp_path / "job.json").write_text(json.dumps(job))
    done = dsk("status", ".", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = (done.stdout + done.stderr).splitlines()
    assert not any(line.strip().startswith("error:") for line in lines)
    assert len(lines) == 3


JOBS = {
    "huge count": json.dumps(DOCUMENT | {"page_count": int(HUGE)}),
    "huge page": json.dumps(DOCUMENT | {"pages": [int(HUGE)]}),
    "folder above": json.dumps(DOCUMENT | {"folder": "../victim"}),
    "folder elsewhere": json.dumps(DOCUMENT | {"folder": "/etc"}),
    "no folder": json.dumps(DOCUMENT | {"folder": ""}),
    "nested": DEEP,
}


@pytest.mark.parametrize("document", JOBS.values(), ids=JOBS)
def test_a_job_of_nobody_is_no_job(tmp_path: Path, document: str) -> None:
    (tmp_path / "job.json").write_text(f'{{"settings": "", "documents": [{document}]}}')
    done = dsk("status", ".", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "is not the output folder of a run" in done.stderr


@pytest.mark.parametrize("kind", ["pipe", "link", "device", "folder", "sparse"])
def test_a_job_file_that_is_none_is_neither_waited_for_nor_read(tmp_path: Path, kind: str) -> None:
    job = tmp_path / "job.json"
    match kind:
        case "pipe":
            os.mkfifo(job)
        case "link":
            job.symlink_to("/etc/passwd")
        case "device":
            job.symlink_to("/dev/zero")
        case "folder":
            job.mkdir()
        case _:
            with job.open("wb") as stream:
                stream.truncate(1 << 40)
    done = dsk("status", ".", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "is not the output folder of a run" in done.stderr


@pytest.mark.parametrize("name", ["/etc", "..", "a/../../etc", "", ".", "a\0b"])
def test_a_list_of_folders_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    content = {"folders": {name: "/in/a.pdf"}}
    (tmp_path / run_files.FOLDER_OWNERS).write_text(json.dumps(content))
    assert folder_owners.read(tmp_path) == {}
    folder = OutputFolders(tmp_path).allocate(("a",), Path("/in/a.pdf"), "")
    assert folder == tmp_path / "a"


@pytest.mark.parametrize("content", [DEEP, '{"document": ' + DEEP, "[]", HUGE, "\xff", ""])
def test_a_manifest_of_nobody_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / run_files.MANIFEST).write_text(content, "latin-1")
    assert manifest.sha256_in(tmp_path) == ""
