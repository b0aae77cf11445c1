"""The plugin: it registers what the table says, and never takes vLLM down."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

import pytest

from dsk import models, transformers_patch
from dsk.errors import EngineMissing
from dsk.vllm_plugin import loopback, register, registration, releases
from dsk.vllm_plugin.v0 import server
from dsk.vllm_plugin.v1 import corrections

if TYPE_CHECKING:
    from collections.abc import Callable


ARCHITECTURE = models.default().record.architecture


class Registry:
    """Stands in for ``vllm.ModelRegistry``."""

    def __init__(self) -> None:
        module = "vllm.model_executor.models.deepseek_ocr"
        self.models = {ARCHITECTURE: types.SimpleNamespace(module_name=module)}

    def register_model(self, name: str, place: str) -> None:
        module, _, class_name = place.partition(":")
        self.models[name] = types.SimpleNamespace(module_name=module, class_name=class_name)


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Registry]:
    monkeypatch.delenv("DSK_NATIVE_MODEL", raising=False)
    monkeypatch.setenv("_DSK_PLUGIN_WARNED", "")
    monkeypatch.setattr(transformers_patch, "install", lambda: None)
    monkeypatch.setattr(loopback, "apply", lambda: None)
    monkeypatch.setattr(server, "apply_fixes", lambda: None)
    monkeypatch.setattr(corrections, "apply", lambda: None)

    def install(version: str, *, takes_ours: bool = True) -> Registry:
        module: Any = types.ModuleType("vllm")
        module.__version__ = version
        module.ModelRegistry = Registry()
        plugins: Any = types.ModuleType("vllm.plugins")
        plugins.load_general_plugins = lambda: None
        monkeypatch.setitem(sys.modules, "vllm", module)
        monkeypatch.setitem(sys.modules, "vllm.plugins", plugins)
        platforms: Any = types.ModuleType("vllm.platforms")
        platforms.current_platform = types.SimpleNamespace(device_type="cuda")
        monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)
        monkeypatch.setattr(corrections, "takes_our_processor", lambda: takes_ours)
        registry: Registry = module.ModelRegistry
        return registry

    return install


def module_of(registry: Registry) -> str:
    return str(registry.models[ARCHITECTURE].module_name)


@pytest.mark.parametrize(
    ("version", "module"),
    [
        ("0.8.5", "dsk.vllm_plugin.v0.model"),
        ("0.18.1", "vllm.model_executor.models.deepseek_ocr"),
        ("0.24.0", "dsk.vllm_plugin.v1.model"),
        ("0.99.0", "vllm.model_executor.models.deepseek_ocr"),
    ],
)
def test_a_release_gets_the_model_of_its_row(
    vllm: Callable[..., Registry], version: str, module: str
) -> None:
    registry = vllm(version)
    register()
    assert module_of(registry) == module


def test_a_model_that_the_release_does_not_read_is_left_to_vllm(
    vllm: Callable[..., Registry],
) -> None:
    records = [profile.record for profile in models.profiles().values()]
    for version in ("0.8.5", "0.24.0", "0.26.0"):
        registry = vllm(version)
        register()
        ours = {name for name, at in registry.models.items() if at.module_name.startswith("dsk.")}
        assert ours == {
            record.architecture
            for record in records
            if releases.support_for(version, record, device="cuda")
        }
        windowed = [record for record in records if record.language.rswa_window]
        assert all((record.architecture in ours) == (version == "0.26.0") for record in windowed)


def test_each_architecture_has_a_class_of_its_name(vllm: Callable[..., Registry]) -> None:
    """VLLM knows a model by the name of its class; the class finds its profile by it."""
    registry = vllm("0.32.0")
    register()
    ours = {profile.record.architecture for profile in models.profiles().values()}
    names = {name: registry.models[name].class_name for name in ours}
    assert names == {name: name for name in ours}


def test_a_release_that_calls_processors_in_another_way_keeps_its_own_model_with_a_line(
    vllm: Callable[..., Registry], capsys: pytest.CaptureFixture[str]
) -> None:
    registry = vllm("0.24.0", takes_ours=False)
    register()
    assert module_of(registry).startswith("vllm.")
    assert capsys.readouterr().err.count("\n") == 1
    # The processes that vLLM starts inherit the environment, and say nothing more.
    register()
    assert capsys.readouterr().err == ""
    # The run that was planned with our model is refused: its pages would have the wrong format.
    with pytest.raises(EngineMissing, match=r"0\.24\.0 loads vllm\..*, not dsk\.vllm_plugin\.v1"):
        registration.require("dsk.vllm_plugin.v1", ARCHITECTURE)


def test_whatever_goes_wrong_in_the_plugin_its_host_goes_on(
    vllm: Callable[..., Registry],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry = vllm("0.24.0")

    def fails() -> None:
        message = "cannot import name 'mm_input' from 'vllm.inputs'"
        raise ImportError(message)

    monkeypatch.setattr(corrections, "apply", fails)
    register()
    assert module_of(registry).startswith("vllm.")
    assert "mm_input" in capsys.readouterr().err


def test_the_planned_model_is_required(vllm: Callable[..., Registry]) -> None:
    registry = vllm("0.24.0")
    registration.require(None, ARCHITECTURE)
    register()
    registration.require("dsk.vllm_plugin.v1", ARCHITECTURE)
    with pytest.raises(EngineMissing, match="VLLM_PLUGINS"):
        registration.require(None, ARCHITECTURE)
    registry.models.clear()
    with pytest.raises(EngineMissing, match="no DeepseekOCRForCausalLM"):
        registration.require("dsk.vllm_plugin.v1", ARCHITECTURE)
