"""The hook in a real interpreter, on a stand-in for transformers with its manners."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from dsk.transformers_patch.enablement import state

TOOLKIT = Path(__file__).resolve().parents[3] / "toolkit"
STAND_IN = """
import importlib.util, os, shutil, sys
from pathlib import Path
HF_MODULES_CACHE = os.environ["HF_MODULES_CACHE"]

def cached_file(repo, name, revision=None, local_files_only=False):
    path = Path(repo) / name
    if not path.is_file():
        raise OSError(name)
    return str(path)

def check_imports(filename):
    return []

def init_hf_modules():
    if HF_MODULES_CACHE not in sys.path:
        sys.path.append(HF_MODULES_CACHE)

def create_dynamic_module(name):
    init_hf_modules()
    folder = Path(HF_MODULES_CACHE) / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").touch()

def get_cached_module_file(pretrained_model_name_or_path, module_file, revision=None, **old):
    create_dynamic_module("transformers_modules/copy")
    source = cached_file(pretrained_model_name_or_path, module_file)
    shutil.copy(source, Path(HF_MODULES_CACHE) / "transformers_modules/copy" / module_file)
    return f"transformers_modules/copy/{module_file}"

def get_class_in_module(class_name, module_path, *, force_reload=False):
    place = Path(HF_MODULES_CACHE) / module_path
    spec = importlib.util.spec_from_file_location("copied", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, class_name)

def custom_object_save(obj, folder, config=None):
    source = sys.modules[type(obj).__module__].__file__
    return [shutil.copy(source, folder)]

def get_class_from_dynamic_module(reference, repo):
    module, name = reference.split(".")
    return get_class_in_module(name, get_cached_module_file(repo, module + ".py", revision=None))
"""
LOAD = (
    "from transformers.dynamic_module_utils import get_class_from_dynamic_module as load;"
    "import sys; found = load('modeling.Model', sys.argv[1]); print(found.__module__)"
)


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An environment of its own, with the stand-in, a stand-in torch-free model, and dsk."""
    venv.create(tmp_path / "env", symlinks=True)
    packages = next((tmp_path / "env" / "lib").iterdir()) / "site-packages"
    transformers = packages / "transformers"
    transformers.mkdir()
    (transformers / "__init__.py").touch()
    (transformers / "dynamic_module_utils.py").write_text(STAND_IN)
    here = [p for p in sys.path if p.endswith("site-packages")]
    (packages / "a_dsk.pth").write_text("\n".join([str(TOOLKIT), *here]) + "\n")
    return tmp_path / "env" / "bin" / "python"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Remote code with a sign, whose patched form needs no torch to be imported."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "modeling.py").write_text(
        "from .part import value\nclass Model:\n    value = value\n"
    )
    (folder / "part.py").write_text(
        "value = 1\n"
        "def later():\n"
        "    from transformers.models.llama.modeling_llama import LlamaFlashAttention2\n"
        "    return {'mha_flash_attention_2': LlamaFlashAttention2}\n"
        "if False:\n"
        "    import matplotlib\n"
    )
    return folder


def run(python: Path, tmp_path: Path, *arguments: str | Path, **environ: str) -> str:
    settings = {"HF_MODULES_CACHE": str(tmp_path / "modules"), "DSK_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [python, *arguments],
        env={"PATH": os.environ["PATH"]} | settings | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def enable(python: Path, tmp_path: Path) -> str:
    return run(python, tmp_path, "-c", "from dsk.cli import main; main()", "patch", "enable")


def test_a_bare_interpreter_of_an_enabled_environment_loads_patched_code(
    python: Path, tmp_path: Path, model: Path
) -> None:
    assert "shims" not in run(python, tmp_path, "-c", LOAD, model)
    assert "enabled: " in enable(python, tmp_path)
    original = {path: path.read_bytes() for path in model.iterdir()}
    # Without torch it gets as far as asking for it.
    said = run(python, tmp_path, "-c", LOAD, model)
    assert "dsk/transformers_patch/shims" in said
    assert {path: path.read_bytes() for path in model.iterdir()} == original


def test_the_switch_and_disabling_turn_it_off(python: Path, tmp_path: Path, model: Path) -> None:
    enable(python, tmp_path)
    assert "shims" not in run(python, tmp_path, "-c", LOAD, model, DSK_NO_PATCH="1")
    disabled = run(python, tmp_path, "-c", "from dsk.cli import main; main()", "patch", "disable")
    assert disabled == "disabled\n"
    assert "shims" not in run(python, tmp_path, "-c", LOAD, model)


def test_somebody_else_s_code_is_loaded_by_transformers_itself(
    python: Path, tmp_path: Path
) -> None:
    enable(python, tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "modeling.py").write_text("class Model: ...\n")
    assert run(python, tmp_path, "-c", LOAD, other) == "copied\n"


def test_the_model_s_file_without_anything_known_is_named(python: Path, tmp_path: Path) -> None:
    enable(python, tmp_path)
    folder = tmp_path / "fork"
    folder.mkdir()
    (folder / "modeling_deepseekocr.py").write_text("class Model: ...\n")
    load = LOAD.replace("modeling.Model", "modeling_deepseekocr.Model")
    script = "import importlib.metadata as m; m.version = lambda _: '4.57.6';" + load
    said = run(python, tmp_path, "-c", script, folder)
    assert said.count("is not patched for transformers 4.57.6: nothing in it is recognized") == 1
    assert str(folder / "modeling_deepseekocr.py") in said


def test_an_environment_that_lost_dsk_starts_silently(python: Path, tmp_path: Path) -> None:
    enable(python, tmp_path)
    packages = next((tmp_path / "env" / "lib").iterdir()) / "site-packages"
    (packages / "a_dsk.pth").unlink()
    assert run(python, tmp_path, "-c", "print('fine')") == "fine\n"


@pytest.mark.parametrize(
    ("facts", "on", "says"),
    [
        ({"enabled": True}, True, "on for every process, transformers 5.0.0"),
        ({"installed": True}, True, "on in this process, transformers 5.0.0"),
        ({}, False, "off: `dsk patch enable` turns it on"),
        ({"enabled": True, "environ": {"DSK_NO_PATCH": "1"}}, False, "off: DSK_NO_PATCH is set"),
        ({"enabled": True, "transformers": None}, False, "off: transformers is not installed here"),
    ],
)
def test_the_state_says_whether_and_why(facts: dict[str, object], on: bool, says: str) -> None:
    given = {"enabled": False, "installed": False, "environ": {}, "transformers": "5.0.0"} | facts
    judged = state(**given)  # type: ignore[arg-type]
    assert (judged.on, judged.line) == (on, says)
