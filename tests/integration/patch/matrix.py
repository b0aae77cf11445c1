"""The tiny model on each transformers: its numbers beside those of 4.46.3 without any patch.

    python matrix.py [--evidence FILE] [--json FILE] [VERSION ...]

Environments are made once, with uv, in dsk's cache; torch is linked, not copied.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from dsk import console, paths
from dsk.file_lock import locked_file
from dsk.package_index import uv_program
from dsk.runtime.install import clean_environment

VERSIONS: Final = (
    *("4.46.3", "4.47.1", "4.48.3", "4.49.0", "4.50.3", "4.51.3", "4.52.4", "4.53.3"),
    *("4.54.1", "4.55.4", "4.56.2", "4.57.6", "5.0.0", "5.5.4", "5.23.0"),
)
REFERENCE: Final = VERSIONS[0]
TORCH: Final = "torch==2.13.0"
HERE: Final = Path(__file__).resolve().parent
ALLOWED: Final = 1e-5


def environment(version: str) -> Path:
    """The Python of an environment with this transformers and this dsk, its hook enabled."""
    folder = paths.cache() / "patch-matrix" / version
    python = folder / "bin" / "python"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked_file(folder, warn=console.warn):
        if not python.is_file():
            _uv("venv", "--python", sys.executable, folder)
        _uv("pip", "install", "--python", python, TORCH, f"transformers=={version}", "safetensors")
        _uv("pip", "install", "--python", python, "--editable", paths.CHECKOUT)
        subprocess.run([folder / "bin" / "dsk", "patch", "enable"], check=True, capture_output=True)
    return python


def compare(folder: Path, version: str, reference: dict[str, Any]) -> dict[str, Any]:
    """What this transformers gives, patched, beside the reference."""
    result: dict[str, Any] = {"transformers": version}
    try:
        seen = run(environment(version), folder, patched=True)
    except subprocess.CalledProcessError as error:
        return result | {"failed": error.stderr.strip().splitlines()[-1:]}
    result["config"] = seen["config"] == reference["config"]
    result["saves the original"] = seen["saves the original"]
    result["tokenizer"] = seen["text"] == reference["text"]
    for kind in ("eager", "sdpa"):
        pairs = {name: (seen[kind][name], reference["eager"][name]) for name in seen[kind]}
        tokens = [a == b for name, (a, b) in pairs.items() if name.endswith("tokens")]
        apart = [_apart(a, b) for name, (a, b) in pairs.items() if not name.endswith("tokens")]
        result[kind] = {"tokens equal": all(tokens), "largest difference": max(apart)}
    return result


def right(result: dict[str, Any]) -> bool:
    """Whether a result is what the issue asks."""
    return (
        "failed" not in result
        and result["config"]
        and result["tokenizer"]
        and result["saves the original"]
        and all(
            result[kind]["tokens equal"] and result[kind]["largest difference"] <= ALLOWED
            for kind in ("eager", "sdpa")
        )
    )


def run(python: Path, folder: Path, *, patched: bool) -> dict[str, Any]:
    """One run of the scenario."""
    out = folder.parent / "out.json"
    _scenario(python, folder, "run", out, patched=patched)
    seen: dict[str, Any] = json.loads(out.read_bytes())
    return seen


def made(folder: Path) -> dict[str, Any]:
    """Make the tiny model in a new folder, and the reference: 4.46.3, the code as published."""
    shutil.copytree(HERE / "remote_code", folder)
    python = environment(REFERENCE)
    _scenario(python, folder, "make", patched=False)
    return run(python, folder, patched=False)


def _scenario(python: Path, folder: Path, *arguments: str | Path, patched: bool) -> None:
    verb, *rest = arguments
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environ |= {
        "HF_HOME": str(folder.parent / "hf"),
        "HF_HUB_OFFLINE": "1",
        "DSK_NO_PATCH": "" if patched else "1",
    }
    subprocess.run(
        [python, "-W", "ignore", HERE / "scenario.py", verb, folder, *rest],
        env=environ,
        check=True,
        capture_output=True,
        text=True,
    )


def _apart(a: Any, b: Any) -> float:
    if isinstance(a, list):
        return max((_apart(x, y) for x, y in zip(a, b, strict=True)), default=0.0)
    return abs(float(a) - float(b))


def _uv(*arguments: str | Path) -> None:
    command = [uv_program(), *arguments]
    subprocess.run(command, env=clean_environment(), check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("versions", nargs="*", default=VERSIONS, metavar="VERSION")
    parser.add_argument("--evidence", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="where to work; made anew")
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    reference = made(options.folder / "model")
    results = []
    for version in options.versions:
        results.append(compare(options.folder / "model", version, reference))
        print(json.dumps(results[-1]), flush=True)
    if options.evidence:
        evidence = {
            "what": "the tiny model of tests/integration/patch, float32, beside transformers "
            f"{REFERENCE} with the remote code as published",
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "machine": {"cpu": platform.machine(), "python": platform.python_version()},
            "torch": TORCH.partition("==")[2],
            "allowed difference": ALLOWED,
            "results": results,
        }
        options.evidence.parent.mkdir(parents=True, exist_ok=True)
        options.evidence.write_text(json.dumps(evidence, indent=2) + "\n")
    sys.exit(not all(right(result) for result in results))


if __name__ == "__main__":
    main()
