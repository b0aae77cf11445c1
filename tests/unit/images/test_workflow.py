"""The workflow that builds images: actions by their commits, no push for a pull request."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest
import yaml

from dsk import paths

FILE = paths.CHECKOUT / ".github" / "workflows" / "images.yml"


def jobs() -> dict[str, Any]:
    return cast("dict[str, Any]", yaml.safe_load(FILE.read_text("utf-8"))["jobs"])


def test_actions_are_pinned_by_commit_with_the_tag_beside_it() -> None:
    used = re.findall(r"uses: (.*)", FILE.read_text("utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)


def test_what_pushes_or_logs_in_does_not_run_for_a_pull_request() -> None:
    for step in jobs()["image"]["steps"]:
        if "push=true" in step.get("run", "") or "secrets." in str(step.get("with", "")):
            assert step["if"] == "github.event_name != 'pull_request'"


def test_images_wait_for_the_checks_and_the_self_test() -> None:
    assert set(jobs()["image"]["needs"]) == {"check", "selftest"}


@pytest.mark.parametrize("job", ["selftest", "image"])
def test_images_are_built_where_there_is_room(job: str) -> None:
    told = jobs()[job]
    assert told["runs-on"] == "${{ vars.RUNNER || 'ubuntu-24.04' }}"
    assert told["steps"][0]["run"].startswith("sudo rm -rf ")
    assert told["steps"][0]["if"] == "vars.RUNNER == ''"
