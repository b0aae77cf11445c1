"""Runtimes of this machine: the environment that an engine is started with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.runtime.base import InPlaceRuntime

if TYPE_CHECKING:
    import pytest


def test_an_engine_gets_settings_and_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    for name in ("DSK_API_KEY", "HF_TOKEN", "VLLM_API_KEY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "planted")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://alice:planted@index.example/simple")
    variables = InPlaceRuntime().variables()
    assert variables["VLLM_LOGGING_LEVEL"] == "DEBUG"
    assert variables["HF_HUB_OFFLINE"] == "1"
    assert "planted" not in " ".join(variables.values())
