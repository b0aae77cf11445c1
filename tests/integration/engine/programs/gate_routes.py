"""Asks every route of vLLM's own application, with the gate in front: what each method answers.

Arguments: the server's command line, as `dsk serve` gives it. The key is in ``VLLM_API_KEY``.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import httpx
from vllm.plugins import load_general_plugins

try:
    from vllm.utils.argparse_utils import FlexibleArgumentParser
except ImportError:  # 0.8.5
    from vllm.utils import FlexibleArgumentParser

if TYPE_CHECKING:
    from collections.abc import Iterator

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Of those, in 0.24.0 and 0.32.0, whose routes need no model.
TASKS = ("generate", "render", "transcription", "realtime")


def application(arguments: list[str]) -> Any:
    """vLLM's application, made as its server makes it."""
    load_general_plugins()
    try:
        parsers = import_module("vllm.entrypoints.openai.cli_args")
    except ModuleNotFoundError:  # 0.32.0
        parsers = import_module("vllm.entrypoints.launchers.cli_args")
    args = parsers.make_arg_parser(FlexibleArgumentParser()).parse_args(arguments)
    build_app = import_module("vllm.entrypoints.openai.api_server").build_app
    return (
        build_app(args) if "0.8." in import_module("vllm").__version__ else build_app(args, TASKS)
    )


def paths(routes: Any, prefix: str = "") -> Iterator[str]:
    """Yield the paths of all routes, those inside of mounted and included ones, too."""
    for route in routes:
        path = getattr(route, "path", None)
        if path is not None:
            yield re.sub(r"{[^}]*}", "x", prefix + path)
        inner = getattr(route, "routes", None) or getattr(
            getattr(route, "original_router", None), "routes", None
        )
        if inner:
            yield from paths(inner, prefix + (path or ""))


async def answers(app: Any, key: str) -> dict[str, dict[str, list[int]]]:
    """Ask each path by each method: the status without the key, and with it."""
    found: dict[str, dict[str, list[int]]] = {}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        for path in sorted(set(paths(app.routes))):
            found[path] = {
                method: [
                    (await client.request(method, path, json={}, headers=headers)).status_code
                    for headers in ({}, {"Authorization": f"Bearer {key}"})
                ]
                for method in METHODS
            }
    return found


def main() -> None:
    """Print the middleware on the outside and what was answered, as JSON."""
    app = application(sys.argv[1:])
    outermost = app.user_middleware[0].cls.__qualname__
    http_parser = import_module("uvicorn.config").HTTP_PROTOCOLS["auto"]
    asked = asyncio.run(answers(app, os.environ["VLLM_API_KEY"]))
    print(json.dumps({"outermost": outermost, "parser": http_parser, "answers": asked}))


main()
