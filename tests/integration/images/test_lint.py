"""hadolint, whose shellcheck reads the steps too, has nothing to say of any Dockerfile."""

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
