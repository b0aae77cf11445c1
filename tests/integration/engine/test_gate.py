"""The gate in front of each engine's own application: no route of vLLM's is left open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dsk import models
from dsk.ocr.engines.config import engine_config
from dsk.serving import server
from dsk.vllm_plugin.gate.middleware import HEALTH, ROUTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.matrix import Stack

pytestmark = [pytest.mark.engine, pytest.mark.network]

KEY = "s3cret-key"


@pytest.fixture(scope="module", params=["cpu-v0", "cpu"])
def walked(
    request: pytest.FixtureRequest,
    usable: Callable[[str], Stack],
    run_in: Callable[..., str],
) -> dict[str, Any]:
    """The answer of each route of vLLM, started as `dsk serve` starts it."""
    stack = usable(request.param)
    config = engine_config(stack, models.default(), Path("/model"), mode="gundam", patch=True)
    options = server.ServeOptions(
        name="deepseek-ocr",
        host="0.0.0.0",
        port=8000,
        api_key=KEY,
        mode=None,
        ngram=None,
        urls=False,
    )
    variables = server.environment(options, config)
    lines = run_in(stack.id, "gate_routes", *server.arguments(options, config), variables=variables)
    found: dict[str, Any] = json.loads(lines.splitlines()[-1])
    return found


def test_the_gate_is_on_the_outside(walked: dict[str, Any]) -> None:
    assert walked["outermost"] == "Gate"
    assert walked["parser"].endswith("LimitedH11Protocol")


def test_the_walk_sees_the_routes_that_were_open(walked: dict[str, Any]) -> None:
    assert {"/invocations", "/ping", "/tokenize", "/metrics", "/version"} <= set(walked["answers"])
    assert set(ROUTES) <= set(walked["answers"])
    assert len(walked["answers"]) > 15


def test_without_the_key_every_route_but_health_is_401(walked: dict[str, Any]) -> None:
    for path, methods in walked["answers"].items():
        for method, (without, _) in methods.items():
            is_health = (method, path) == ("GET", HEALTH)
            assert (without == 401) is not is_health, (method, path, without)


def test_with_the_key_what_is_not_named_is_404(walked: dict[str, Any]) -> None:
    for path, methods in walked["answers"].items():
        for method, (_, with_key) in methods.items():
            served = method == ROUTES.get(path)
            refusal = 404 if path not in ROUTES else 405
            # No model stands behind: what vLLM answers to a request that gets through is its own.
            is_refused = with_key == refusal
            assert is_refused is not served, (method, path, with_key)
            assert not served or with_key not in (401, 403, 404, 405, 415), (path, with_key)
