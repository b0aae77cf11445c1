"""Gates around small applications, and a Pillow that stays as it was."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from tests.unit.vllm_plugin.gate.requests_to_gate import Application, Site

from dsk.vllm_plugin.gate.middleware import Gate
from dsk.vllm_plugin.gate.settings import KEY_VARIABLE, SETTINGS_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def untouched_pillow() -> Iterator[None]:
    """Give the Pillow of this process back its formats and limits."""
    Image.init()
    formats, largest = dict(Image.OPEN), Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        yield
    Image.OPEN.update(formats)
    Image.MAX_IMAGE_PIXELS = largest


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, untouched_pillow: None) -> Callable[..., Site]:
    """Make a site, of an application and the gate's settings."""

    def make(app: Application | None = None, *, key: str = "", **settings: Any) -> Site:
        monkeypatch.setenv(KEY_VARIABLE, key)
        monkeypatch.setenv(SETTINGS_VARIABLE, json.dumps(settings))
        app = app or Application()
        return Site(Gate(app), app)

    return make
