"""Packages in a site-packages: edited files, other versions, libraries for another torch."""

import base64
import hashlib
import os
from pathlib import Path

import pytest

from dsk.host.probes import elf, packages


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site-packages with one watched package, installed an hour ago."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "transformers").mkdir()
    lines = []
    for name in ("transformers/__init__.py", "transformers/a,b.json"):
        content = f"# {name}\n".encode()
        (tmp_path / name).write_bytes(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        quoted = f'"{name}"' if "," in name else name
        lines.append(f"{quoted},sha256={digest},{len(content)}\n")
    info = tmp_path / "transformers-4.46.3.dist-info"
    info.mkdir()
    (info / "RECORD").write_text("".join([*lines, "transformers-4.46.3.dist-info/RECORD,,\n"]))
    for file in tmp_path.rglob("*"):
        os.utime(file, (1_700_000_000, 1_700_000_000))
    return tmp_path


def test_what_is_as_installed_is_not_edited(site: Path) -> None:
    assert packages.versions(site) == {"transformers": "4.46.3"}
    assert packages.edited(site) == {}


def test_a_file_that_was_only_touched_is_not_edited(site: Path) -> None:
    (site / "transformers/__init__.py").touch()
    assert packages.edited(site) == {}


def test_edited_and_removed_files_are_counted(site: Path) -> None:
    (site / "transformers/__init__.py").write_text("# transformers/__init__.PY\n")
    (site / "transformers/a,b.json").unlink()
    assert packages.edited(site) == {"transformers": 2}


@pytest.mark.parametrize(
    ("there", "majors"),
    [
        ({"nvidia-cuda-runtime-cu12": "12.4.127", "nvidia-nccl-cu12": "2.21.5"}, (12,)),
        ({"nvidia-cuda-runtime": "13.0.96", "nvidia-cudnn-cu13": "9.19.0.56"}, (13,)),
        ({"nvidia-cuda-runtime": "13.0.96", "nvidia-cublas-cu12": "12.4.5.8"}, (12, 13)),
        ({"nvidia-ml-py": "13.615.71", "nvidia-cudnn-frontend": "1.28.0"}, ()),
    ],
)
def test_cuda_s_majors_are_told_by_its_packages(
    there: dict[str, str], majors: tuple[int, ...]
) -> None:
    assert packages._majors(there) == majors


def test_a_library_for_another_python_cannot_be_imported() -> None:
    other = "flash_attn_2_cuda.cpython-312-x86_64-linux-gnu.so"
    assert packages._other_python(other) == f"{other} is for Python 3.12"
    assert packages._other_python("flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so") == ""
    assert packages._other_python("_C.abi3.so") == ""


@pytest.fixture
def libc() -> Path:
    maps = Path("/proc/self/maps").read_text("utf-8").splitlines()
    return Path(next(line.split()[-1] for line in maps if "/libc.so" in line))


def test_what_a_library_wants_of_another_is_found_there(libc: Path) -> None:
    wanted = elf.undefined_symbols(libc.with_name("libm.so.6"))
    assert b"fputs" in wanted  # glibc's is the end of _IO_fputs in the table
    assert elf.missing_from(libc, {b"fputs", b"malloc", b"_ZN3c105ErrorC2E"}) == {
        b"_ZN3c105ErrorC2E"
    }


def test_what_is_no_library_is_told(tmp_path: Path) -> None:
    file = tmp_path / "x.so"
    file.write_bytes(b"#!/bin/sh\n" * 10)
    with pytest.raises(ValueError, match="ELF"):
        elf.undefined_symbols(file)
