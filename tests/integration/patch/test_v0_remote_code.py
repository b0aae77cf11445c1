"""vLLM 0.8.5 with transformers 4.51.3 reads with a checkpoint that brings code of its own.

That is what the model's folder looks like on the hub, and what plain `pip install vllm==0.8.5`
gives; the code imports a class that transformers dropped in 4.48.0.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pymupdf
import pytest

from dsk import console, paths
from dsk.eyechart import cache, layout, page
from dsk.file_lock import locked_file
from dsk.package_index import uv_program
from dsk.runtime import environments, link
from dsk.runtime.install import clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dsk.matrix import Stack

pytestmark = [pytest.mark.engine, pytest.mark.network]

PROGRAM = paths.CHECKOUT / "tests" / "integration" / "engine" / "programs" / "read_charts.py"
NEWER = ("transformers==4.51.3", "tokenizers==0.21.1")
SIDE = 16
TEXT = "Read by vLLM 0.8.5, with code of the checkpoint's own.\n"
CODE = '''\
"""Remote code as of 2024: the configuration lies in the module that imports the decoder."""

from transformers.models.llama.modeling_llama import LlamaAttention, LlamaFlashAttention2
from vllm.transformers_utils.configs.deepseek_vl2 import DeepseekVLV2Config

ATTENTION = {"mha_eager": LlamaAttention, "mha_flash_attention_2": LlamaFlashAttention2}


class ChartConfig(DeepseekVLV2Config):
    model_type = "chart_vl"
'''


@pytest.fixture(scope="module")
def python(usable: Callable[[str], Stack]) -> Path:
    """The Python of cpu-v0's packages with a transformers that vLLM 0.8.5 asks for."""
    stack = usable("cpu-v0")
    folder = paths.cache() / "patch-matrix" / f"v0-{stack.lock_sha256()[:16]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked_file(folder, warn=console.warn):
        if not folder.is_dir():
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            # hard links: uv replaces the files of a package, it never writes into them
            shutil.copytree(
                environments.path_of(stack), partial, symlinks=True, copy_function=os.link
            )
            options = ["--no-deps", "--python", str(partial / "bin" / "python"), *NEWER]
            command = [uv_program(), "pip", "install", *options]
            subprocess.run(command, env=clean_environment(), check=True)
            partial.rename(folder)
    return folder / "bin" / "python"


@pytest.fixture
def checkpoint(usable: Callable[[str], Stack], tmp_path: Path) -> Path:
    """The test model, with remote code beside its weights."""
    model = cache.cached(usable("cpu-v0"), cache.tiny_model(), progress=lambda _: None)
    folder = tmp_path / "checkpoint"
    shutil.copytree(model, folder, copy_function=os.symlink)
    config = json.loads((folder / "config.json").read_bytes())
    config["auto_map"] = {"AutoConfig": "modeling_chart.ChartConfig"}
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling_chart.py").write_text(CODE)
    return folder


@pytest.fixture
def wanted(tmp_path: Path) -> str:
    """The text of the page ``pages/0.png``, as the model spells it."""
    chart = layout.charts(TEXT, SIDE)[0]
    drawn = pymupdf.open("pdf", page.draw([chart], SIDE))[0]
    (tmp_path / "pages").mkdir()
    drawn.get_pixmap(dpi=90).save(tmp_path / "pages" / "0.png")
    return layout.spelled(chart)


def read(python: Path, checkpoint: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {
        "PYTHONPATH": str(link.folder()),
        "VLLM_USE_V1": "0",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(checkpoint.parent / "hf"),
    }
    return subprocess.run(
        [python, PROGRAM, checkpoint, checkpoint.parent / "pages", "gundam"],
        env={**os.environ, **environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )


def test_a_checkpoint_that_names_its_code_is_read(
    python: Path, checkpoint: Path, wanted: str
) -> None:
    done = read(python, checkpoint)
    assert done.returncode == 0, done.stderr[-6000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [wanted]


def test_a_configuration_of_its_own_is_loaded_patched(
    python: Path, checkpoint: Path, wanted: str
) -> None:
    config = checkpoint / "config.json"
    # vLLM knows "deepseek_vl_v2" itself; any other type makes it load the checkpoint's class
    config.write_text(config.read_text().replace('"deepseek_vl_v2"', '"chart_vl"'))
    unpatched = read(python, checkpoint, DSK_NO_PATCH="1")
    assert unpatched.returncode != 0
    assert "cannot import name 'LlamaFlashAttention2'" in unpatched.stderr
    done = read(python, checkpoint)
    assert done.returncode == 0, done.stderr[-6000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [wanted]
