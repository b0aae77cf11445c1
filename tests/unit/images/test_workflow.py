"""The workflows: actions by their commits, no push for a pull request, tokens where they belong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml

from dsk import paths

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOWS = sorted((paths.CHECKOUT / ".github" / "workflows").glob("*.yml"))
IMAGES = paths.CHECKOUT / ".github" / "workflows" / "images.yml"
RELEASE = paths.CHECKOUT / ".github" / "workflows" / "release.yml"


def workflow(file: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", yaml.safe_load(file.read_text("utf-8")))


def jobs(file: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", workflow(file)["jobs"])


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_actions_are_pinned_by_commit_with_the_tag_beside_it(file: Path) -> None:
    used = re.findall(r"uses: (.*)", file.read_text("utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)


def test_one_action_has_one_commit_in_all_workflows() -> None:
    used = {
        action
        for file in WORKFLOWS
        for action in re.findall(r"uses: (.*)", file.read_text("utf-8"))
    }
    names = [action.partition("@")[0] for action in used]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_token_reads_unless_a_job_says_more(file: Path) -> None:
    assert workflow(file)["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_nothing_of_a_stranger_is_pasted_into_a_shell(file: Path) -> None:
    for job in jobs(file).values():
        for step in job["steps"]:
            assert not re.search(r"\$\{\{\s*github\.(event|head_ref)", step.get("run", ""))


def test_what_pushes_or_logs_in_does_not_run_for_a_pull_request() -> None:
    for step in jobs(IMAGES)["image"]["steps"]:
        if "push=true" in step.get("run", "") or "secrets." in str(step.get("with", "")):
            assert step["if"] == "github.event_name != 'pull_request'"


def test_images_wait_for_the_checks_and_the_self_test() -> None:
    assert set(jobs(IMAGES)["image"]["needs"]) == {"check", "selftest"}


@pytest.mark.parametrize("job", ["selftest", "image"])
def test_images_are_built_where_there_is_room(job: str) -> None:
    told = jobs(IMAGES)[job]
    assert told["runs-on"] == "${{ vars.RUNNER || 'ubuntu-24.04' }}"
    assert told["steps"][0]["run"].startswith("sudo rm -rf ")
    assert told["steps"][0]["if"] == "vars.RUNNER == ''"


# Releases


def test_a_release_is_made_by_a_tag_and_by_nothing_else() -> None:
    # YAML 1.1 reads the key `on` as true.
    assert cast("dict[Any, Any]", workflow(RELEASE))[True] == {"push": {"tags": ["v*"]}}


def test_what_is_published_was_attested_and_what_is_attested_was_built_and_tested() -> None:
    told = jobs(RELEASE)
    assert (told["attest"]["needs"], told["publish"]["needs"]) == ("build", "attest")
    assert "pytest tests/unit tests/golden" in told["build"]["steps"][1]["run"]


def test_only_jobs_that_install_nothing_unpinned_may_sign_publish_or_write() -> None:
    for name, job in jobs(RELEASE).items():
        granted = {scope for scope, level in job.get("permissions", {}).items() if level == "write"}
        installs = [
            line
            for step in job["steps"]
            for line in step.get("run", "").splitlines()
            if "pip install" in line or re.search(r'\bpip" install', line)
        ]
        if granted:
            assert all("--require-hashes" in line for line in installs), name
        else:
            assert installs


def test_a_release_is_published_by_trusted_publishing_without_a_secret() -> None:
    publish = jobs(RELEASE)["publish"]
    assert "secrets." not in RELEASE.read_text("utf-8")
    assert publish["environment"] == "pypi"
    assert publish["permissions"]["id-token"] == "write"
    assert "publish --trusted-publishing always dist/*" in publish["steps"][-1]["run"]


def test_nothing_is_published_before_the_name_is_registered() -> None:
    assert jobs(RELEASE)["publish"]["if"] == "vars.PYPI == 'on'"


def test_the_uv_that_publishes_is_the_lock_s_with_its_hash() -> None:
    (step,) = [one for one in jobs(RELEASE)["publish"]["steps"] if "uv.txt" in one.get("run", "")]
    assert "compat/locks/cpu.txt" in step["run"]
    lock = (paths.CHECKOUT / "compat" / "locks" / "cpu.txt").read_text("utf-8")
    assert re.search(r"^uv==\S+ \\\n    --hash=sha256:[0-9a-f]{64}$", lock, re.MULTILINE)
