"""hadolint, whose shellcheck reads the steps too, and zizmor have nothing to report."""

import subprocess
import sys
from pathlib import Path

from dsk import paths


def test_every_dockerfile_is_lint_clean() -> None:
    files = sorted((paths.CHECKOUT / "dockerfiles").glob("*/Dockerfile"))
    assert files
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, *files], capture_output=True, text=True, check=False)
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_the_workflows_have_no_known_weakness() -> None:
    zizmor = Path(sys.executable).parent / "zizmor"
    command: list[str | Path] = [
        zizmor,
        "--offline",
        "--no-progress",
        "--quiet",
        str(paths.CHECKOUT / ".github"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
