"""The lock of what development, CI and the documentation install."""

from __future__ import annotations

import re
import tomllib
from typing import Final

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dsk import paths

TEXT: Final = (paths.CHECKOUT / "requirements" / "dev.txt").read_text("utf-8")
PROJECT: Final = tomllib.loads((paths.CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: Final = PROJECT["optional-dependencies"]
PYTHONS: Final = ("3.11", "3.12", "3.13")
BLOCK: Final = r"^(\S.*?) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)((?:    #.*\n)+)"
BLOCKS: Final = re.findall(BLOCK, TEXT, re.MULTILINE)


def locked(python: str) -> dict[str, str]:
    """The version of each package for one Python."""
    found: dict[str, str] = {}
    for line, _, _ in BLOCKS:
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        assert pin.operator == "=="
        here = {"python_version": python, "python_full_version": f"{python}.9"}
        if requirement.marker is None or requirement.marker.evaluate(here):
            found[canonicalize_name(requirement.name)] = pin.version
    return found


def asked() -> list[Requirement]:
    """Requirements of the project with its extras, the reference between these left out."""
    everything = [*PROJECT["dependencies"], *EXTRAS["test"], *EXTRAS["dev"], *EXTRAS["docs"]]
    requirements = [Requirement(text) for text in everything]
    return [one for one in requirements if one.name != PROJECT["name"]]


def test_every_line_is_a_pin_with_its_hashes_or_says_who_asks() -> None:
    head, _, rest = TEXT.partition("\n\n") if "\n\n" in TEXT else ("", "", TEXT)
    assert not head
    written = "".join(f"{line} \\\n{hashes}{askers}" for line, hashes, askers in BLOCKS)
    assert re.sub(r"\A(?:#.*\n)+", "", rest) == written


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_of_the_project_is_locked_within_its_bounds(python: str) -> None:
    pins = locked(python)
    for requirement in asked():
        version = pins.get(canonicalize_name(requirement.name))
        assert version, requirement.name
        assert requirement.specifier.contains(version), requirement


def test_nothing_is_locked_that_nobody_asks_for() -> None:
    names = {canonicalize_name(Requirement(line).name) for line, _, _ in BLOCKS}
    for line, _, askers in BLOCKS:
        via = re.findall(r"#\s+(?:via )?([\w.-]+)", askers.replace("# via\n", ""))
        assert via, line
        known = names | {PROJECT["name"]}
        assert all(canonicalize_name(asker) in known for asker in via), line


def test_no_index_and_no_path_of_a_machine_is_named() -> None:
    assert "://" not in TEXT
    assert "index" not in re.sub(r"[\w.-]*index[\w.-]*==", "", TEXT).split("# via", 1)[0]
    assert not re.search(r"[ =]/\w", TEXT)


def test_a_marker_of_another_system_does_not_count_here() -> None:
    assert not Marker("sys_platform == 'win32'").evaluate()
    assert "pywin32" not in locked("3.11")


def test_ci_installs_nothing_but_what_is_locked() -> None:
    setup = (paths.CHECKOUT / ".ci" / "setup").read_text("utf-8")
    installs = [line for line in setup.splitlines() if "pip install" in line]
    assert len(installs) == 2
    assert "--require-hashes --only-binary :all: -r requirements/dev.txt" in installs[0]
    assert "--no-deps --no-build-isolation -e ." in installs[1]
    run = (paths.CHECKOUT / ".ci" / "run").read_text("utf-8")
    assert ".ci/setup\n" in run
    assert not re.search(r"bin/pip install", run)
