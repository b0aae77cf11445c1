"""The workflows: actions by their commits, no push for a pull request, tokens where they belong."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml

from dsk import paths

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOWS = sorted((paths.CHECKOUT / ".github" / "workflows").glob("*.yml"))
IMAGES = paths.CHECKOUT / ".github" / "workflows" / "images.yml"
CI = paths.CHECKOUT / ".github" / "workflows" / "ci.yml"
REFRESH = paths.CHECKOUT / ".github" / "workflows" / "refresh.yml"
UPDATE = paths.CHECKOUT / ".github" / "workflows" / "update.yml"
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
def test_a_token_may_do_what_its_job_names_and_nothing_else(file: Path) -> None:
    assert workflow(file)["permissions"] == {}
    assert all("permissions" in job for job in jobs(file).values())


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_no_expression_is_pasted_into_a_shell(file: Path) -> None:
    for job in jobs(file).values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_no_checkout_leaves_its_token_behind(file: Path) -> None:
    for job in jobs(file).values():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_no_code_of_a_pull_request_runs_on_a_runner_of_ours(file: Path) -> None:
    # YAML 1.1 reads the key `on` as true.
    events = cast("dict[Any, Any]", workflow(file))[True]
    assert "pull_request_target" not in events
    for name, job in jobs(file).items():
        if "vars.RUNNER" in job["runs-on"] and "pull_request" in events:
            condition = f"{job.get('if', '')} {job['runs-on']}"
            assert "github.event_name != 'pull_request' &&" in condition, name


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_no_job_that_holds_a_secret_or_may_write_installs_a_package_without_its_hash(
    file: Path,
) -> None:
    for name, job in jobs(file).items():
        text = str(job)
        writes = "write" in job["permissions"].values()
        if "secrets." not in text and not writes:
            continue
        for step in job["steps"]:
            for line in step.get("run", "").splitlines():
                assert ".ci/" not in line, name
                if re.search(r"\b(pip|uv|npm|apt-get)\b.* install", line):
                    assert "--require-hashes" in line, name


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_what_is_installed_to_work_with_comes_from_the_lock(file: Path) -> None:
    for job in jobs(file).values():
        for step in job["steps"]:
            for line in step.get("run", "").splitlines():
                if re.search(r"\bpip\"? install\b", line):
                    assert "--require-hashes" in line or "--no-deps dist/*.whl" in line


def test_what_pushes_or_logs_in_does_not_run_for_a_pull_request() -> None:
    holding = {name for name, job in jobs(IMAGES).items() if "secrets." in str(job)}
    assert holding == {"push", "sign"}
    assert "github.event_name != 'pull_request'" in jobs(IMAGES)["push"]["if"]
    assert "github.ref == 'refs/heads/main'" in jobs(IMAGES)["push"]["if"]
    assert "push" in jobs(IMAGES)["sign"]["needs"]
    assert all(jobs(IMAGES)[name]["environment"] == "images" for name in holding)


def test_every_step_of_an_image_has_run_before_the_registrys_secrets_are_there() -> None:
    steps = [str(step) for step in jobs(IMAGES)["push"]["steps"]]
    (login,) = [number for number, step in enumerate(steps) if "secrets." in step]
    (building,) = [number for number, step in enumerate(steps) if "type=cacheonly" in step]
    (pushing,) = [number for number, step in enumerate(steps) if "push=true" in step]
    assert building < login < pushing


def test_names_of_images_come_from_a_job_that_installs_nothing() -> None:
    told = jobs(IMAGES)["targets"]
    assert "needs" not in told
    assert "install" not in str(told)
    assert ".ci/" not in str(told)


def test_images_wait_for_the_checks_and_the_self_test() -> None:
    assert set(jobs(IMAGES)["push"]["needs"]) == {"check", "targets", "selftest"}


def test_an_image_is_signed_and_attested_before_it_has_its_name() -> None:
    steps = [str(step) for step in jobs(IMAGES)["sign"]["steps"]]
    order = [
        next(number for number, step in enumerate(steps) if text in step)
        for text in ("cosign sign --yes", "attest-build-provenance", "imagetools create --tag")
    ]
    assert order == sorted(order)
    assert jobs(IMAGES)["sign"]["permissions"] == {"attestations": "write", "id-token": "write"}
    assert "type=sbom" in str(jobs(IMAGES)["push"])
    assert "type=provenance,mode=max" in str(jobs(IMAGES)["push"])


@pytest.mark.parametrize("job", ["selftest", "build", "push"])
def test_images_are_built_where_there_is_room(job: str) -> None:
    told = jobs(IMAGES)[job]
    assert told["steps"][0]["run"].startswith("sudo rm -rf ")
    where = "ubuntu-24.04" if job == "build" else "runner.environment == 'github-hosted'"
    assert told["steps"][0].get("if", told["runs-on"]) == where


def test_ci_runs_what_everybody_can_run() -> None:
    (job,) = jobs(CI).values()
    assert job["steps"][-1]["run"] == ".ci/run"


# What is looked up each week


def test_what_was_looked_up_is_proposed_by_a_job_that_installs_nothing() -> None:
    told = jobs(REFRESH)
    assert told["look"]["permissions"] == {"contents": "read"}
    looking = str(told["look"]["steps"])
    assert "dsk matrix lock --images" in looking
    assert ".ci/lock --upgrade" in looking
    (taken,) = [step["run"] for step in told["propose"]["steps"] if "git apply" in str(step)]
    assert re.findall(r"--include='(.*?)'", taken) == [
        "compat/digests.toml",
        "dockerfiles/*/Dockerfile",
        "requirements/dev.txt",
    ]


def script_of(job: Any, name: str) -> str:
    (step,) = [step for step in job["steps"] if step.get("name") == name]
    return str(step["run"])


def test_of_an_update_the_candidates_alone_are_proposed(tmp_path: Path) -> None:
    told = jobs(UPDATE)
    assert told["look"]["permissions"] == {"contents": "read"}
    looking = script_of(told["look"], "Ask the index, and read the wheels")
    assert "dsk matrix update" in looking

    def run(script: str) -> None:
        outputs = {"GITHUB_OUTPUT": str(tmp_path / "outputs"), "RUNNER_TEMP": str(tmp_path)}
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)} | outputs
        subprocess.run(["bash", "-ec", script], check=True, cwd=tmp_path / "it", env=environment)

    candidates = tmp_path / "it" / "compat" / "candidates"
    candidates.mkdir(parents=True)
    (candidates / "README.md").write_text("Candidates\n", "utf-8")
    (candidates.parent / "live.toml").write_text("live\n", "utf-8")
    run("git init -q; git add .; git -c user.name=a -c user.email=a@b commit -q -m first")
    (candidates / "v1@0.31.0.toml").write_text("new\n", "utf-8")
    (candidates.parent / "live.toml").write_text("changed\n", "utf-8")
    run(script_of(told["look"], "What changed"))
    assert (tmp_path / "outputs").read_text("utf-8") == "changed=true\n"
    patch = (tmp_path / "it" / "update.patch").read_text("utf-8")
    assert "v1@0.31.0.toml" in patch
    assert "live.toml" not in patch
    # In the other job, on a checkout of its own; a patch that names more is cut down.
    run("git reset -q --hard; git clean -qfd")
    (tmp_path / "update.patch").write_text(patch + patch.replace("candidates/", ""), "utf-8")
    (applied,) = [
        line
        for line in script_of(told["propose"], "Commit and propose").splitlines()
        if line.startswith("git apply")
    ]
    run(applied)
    assert (candidates / "v1@0.31.0.toml").read_text("utf-8") == "new\n"
    assert not (candidates.parent / "v1@0.31.0.toml").exists()


# Releases


def test_a_release_is_made_by_a_tag_and_by_nothing_else() -> None:
    assert cast("dict[Any, Any]", workflow(RELEASE))[True] == {"push": {"tags": ["v*"]}}


def test_what_is_published_was_attested_and_what_is_attested_was_built_and_tested() -> None:
    told = jobs(RELEASE)
    assert (told["attest"]["needs"], told["publish"]["needs"]) == ("build", "attest")
    assert "pytest tests/unit tests/golden" in told["build"]["steps"][1]["run"]
    assert ".ci/setup" in told["build"]["steps"][1]["run"]


def test_wheel_and_sdist_are_signed_and_the_signatures_released() -> None:
    attest = str(jobs(RELEASE)["attest"]["steps"])
    assert "cosign sign-blob --yes --bundle" in attest
    assert "cosign verify-blob" in attest
    assert "dist/* signatures/*" in jobs(RELEASE)["notes"]["steps"][-1]["run"]


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
