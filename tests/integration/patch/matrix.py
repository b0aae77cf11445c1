"""The tiny models on each transformers: their numbers beside 4.46.3's without any patch.

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
from dsk.transformers_patch import proof

VERSIONS: Final = (
    *("4.46.3", "4.47.1", "4.48.3", "4.49.0", "4.50.3", "4.51.3", "4.52.4", "4.53.3"),
    *("4.54.1", "4.55.4", "4.56.2", "4.57.6", "5.0.0", "5.5.4", "5.23.0", "5.24.0"),
)
REFERENCE: Final = VERSIONS[0]
TORCH: Final = "torch==2.13.0"
HERE: Final = Path(__file__).resolve().parent
ALLOWED: Final = 1e-5
KINDS: Final = ("eager", "sdpa")
MODELS: Final = ("deepseek-ocr", "deepseek-ocr-2", "unlimited-ocr")


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
    try:
        seen = run(environment(version), folder, patched=True)
    except subprocess.CalledProcessError as error:
        return {"transformers": version, "failed": error.stderr.strip().splitlines()[-1:]}
    models = {name: _beside(seen[name], reference[name]) for name in seen}
    return {"transformers": version, "models": models}


def _beside(seen: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "config": seen["config"] == reference["config"],
        "tokenizer": seen["text"] == reference["text"],
        "saves the original": seen["saves the original"],
    }
    for kind in KINDS:
        if kind in seen:
            result[kind] = {
                part: _difference(numbers, reference["eager"][part])
                for part, numbers in seen[kind].items()
            }
    return result


def _difference(seen: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    names = seen.keys() | reference.keys()
    pairs = [(seen.get(name, {}), reference.get(name, {})) for name in names]
    same = {key: all(a.get(key) == b.get(key) for a, b in pairs) for key in ("tokens", "fed")}
    return {
        "tokens equal": same["tokens"],
        # How many tokens each step was given: that the cache is used.
        "steps equal": same["fed"],
        "largest difference": max(_apart(a["logits"], b["logits"]) for a, b in pairs),
    }


def right(result: dict[str, Any]) -> bool:
    """Whether a result is what the issue asks."""
    return "failed" not in result and all(
        proof.is_right(result["models"][name], ALLOWED) for name in MODELS
    )


def run(python: Path, folder: Path, *, patched: bool) -> dict[str, Any]:
    """One run of the scenario."""
    out = folder.parent / "out.json"
    _scenario(python, folder, "run", out, patched=patched)
    seen: dict[str, Any] = json.loads(out.read_bytes())
    return seen


def made(folder: Path) -> dict[str, Any]:
    """Make the tiny models in a new folder, and the reference: 4.46.3, the code as published."""
    for name in MODELS:
        shutil.copytree(HERE / "remote_code", folder / name)
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
    reference = made(options.folder / "models")
    results = []
    for version in options.versions:
        results.append(compare(options.folder / "models", version, reference))
        print(json.dumps(results[-1]), flush=True)
    if options.evidence:
        evidence = {
            "what": "the tiny models of tests/integration/patch, float32, beside transformers "
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
