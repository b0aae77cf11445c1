"""Plan a run: check a request, cheapest checks first, and decide everything before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dsk.errors import UsageProblem
from dsk.models import folder
from dsk.models.deepseek_ocr import prompts
from dsk.models.deepseek_ocr.resolutions import MODES
from dsk.ocr import executors
from dsk.ocr.documents import inputs
from dsk.ocr.engines import http_client
from dsk.ocr.engines.config import engine_config, server_config
from dsk.ocr.executors.base import ExecutorOptions
from dsk.ocr.outputs import registry
from dsk.ocr.results import output_folders
from dsk.ocr.run import output_folder, placement
from dsk.ocr.schema.engine_config import Placement, Server
from dsk.ocr.schema.limits import DEFAULT_LIMITS
from dsk.ocr.schema.run_plan import RunPlan
from dsk.transformers_patch.switch import switched_off
from dsk.vllm_plugin import registration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dsk.matrix import Matrix, Stack
    from dsk.ocr.executors.base import Executor
    from dsk.ocr.schema.engine_config import EngineConfig
    from dsk.ocr.schema.filetypes import Kind
    from dsk.ocr.schema.formats import Compat
    from dsk.ocr.schema.limits import Limits

DEFAULT_MODEL: Final = "deepseek-ai/DeepSeek-OCR"

NGRAM_SIZE: Final = 20
NGRAM_WINDOW: Final = 50
"""The n-gram guard of the model's own PDF script: 20 tokens do not come twice within 50."""

_OFFICIAL_NGRAM: Final = {"pdf": (NGRAM_SIZE, NGRAM_WINDOW), "image": (30, 90)}
"""The guards of the model's own scripts, one for each."""

_PROMPT_TOKENS: Final = 64
"""Room left for the prompt's words."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A run as the user asks for it, unchecked; see `dsk run pdf --help`."""

    inputs: tuple[Path, ...]
    kind: Kind = "pdf"
    """The files to take from folders."""
    out: Path
    model: str | None
    stack: str | None
    servers: tuple[str, ...] = ()
    """URLs of servers to read through, in place of a stack's engine."""
    api_key: str | None = None
    """The key that the servers want."""
    pages: str = "1-end"
    password_file: Path | None = None
    limits: Limits = DEFAULT_LIMITS
    dpi: int = 144
    prompt: str = "markdown"
    max_tokens: int | None = None
    formats: str = ",".join(registry.default_names())
    compat: Compat = ""
    runtime: str = "venv"
    image: str | None = None
    """The image of a container; None is the newest that fits."""
    shm_size: str | None = None
    """The size of a container's shared memory, as docker takes it."""
    patch: bool = True
    attempts: int = 3
    workers: int | None = None
    engines: int | None = None
    overwrite: bool = False
    retry_failed: bool = False


def plan(request: RunRequest, matrix: Matrix) -> RunPlan:
    """Check a request and decide what is to be done. Nothing is started.

    Raises:
        DskError: the request is at fault, or something that it needs is not on this machine.
    """
    if request.servers and request.engines:
        what = "--engines is for engines here, not for servers"
        raise UsageProblem(what, do="leave one of --engines and --server out")
    prompt = prompts.prompt_for(request.prompt)
    formats = registry.parse(request.formats)
    size, window = _OFFICIAL_NGRAM[request.kind] if request.compat else (NGRAM_SIZE, NGRAM_WINDOW)
    stack = None if request.servers else _stack(request, matrix)
    if stack:
        max_tokens = _max_tokens(request.max_tokens, int(stack.settings["max_model_len"]))
    options = inputs.InputOptions(
        kind=request.kind,
        pages=request.pages,
        password_file=request.password_file,
        limits=request.limits,
    )
    documents, rejected = inputs.resolve(
        request.inputs, request.out, options, output_folders.OutputFolders(request.out).allocate
    )
    output_folder.ensure_writable(request.out)
    if stack:
        model = folder.model_folder(request.model or DEFAULT_MODEL, matrix)
        executor(request, stack.id, matrix).require()
        pages = sum(len(document.pages) for document in documents)
        share = placement.share(stack, matrix.model("deepseek-ocr"), pages, request.engines)
        engine, placed = _engine(request, stack, model, share.settings), share.placement
    else:
        (engine, context), placed = _server_engine(request), Placement()
        max_tokens = _max_tokens(request.max_tokens, context)
    return RunPlan(
        out=request.out,
        documents=documents,
        rejected=rejected,
        limits=request.limits,
        stack=stack.id if stack else "server",
        lock_sha256=stack.lock_sha256() if stack else "",
        engine=engine,
        placement=placed,
        prompt=prompt,
        formats=formats,
        compat=request.compat,
        dpi=request.dpi,
        max_tokens=max_tokens,
        ngram_size=size,
        ngram_window=window,
        attempts=request.attempts,
        workers=request.workers,
        overwrite=request.overwrite,
        retry_failed=request.retry_failed,
    )


def baseline(run: RunPlan, request: RunRequest, matrix: Matrix) -> RunPlan:
    """Return the plan of a baseline to measure against: one engine, vLLM's own model if any."""
    assert run.engine.model is not None
    stack = matrix.stack(run.stack)
    engine = _engine(request, stack, run.engine.model, stack.settings, native=True)
    return run.model_copy(update={"engine": engine, "placement": Placement()})


def executor(request: RunRequest, stack: str, matrix: Matrix) -> Executor:
    """Return the executor that a request names, for the stack of its plan."""
    options = ExecutorOptions(
        image=request.image, shm_size=request.shm_size, api_key=request.api_key
    )
    return executors.executor_for(request.runtime, matrix.stacks.get(stack), matrix, options)


def _engine(
    request: RunRequest,
    stack: Stack,
    model: Path,
    settings: Mapping[str, Any],
    *,
    native: bool = False,
) -> EngineConfig:
    # Only this interpreter's own vLLM may be another one than the stack's.
    version = registration.installed_version() if request.runtime == "in-place" else None
    return engine_config(
        stack,
        model,
        mode=folder.mode_of(model),
        kept_tokens=prompts.KEPT_TOKENS,
        patch=request.patch and not switched_off(),
        version=version,
        native=native or registration.native_is_wanted(),
        settings=settings,
    )


def _server_engine(request: RunRequest) -> tuple[EngineConfig, int]:
    """Ask the servers what they serve; return the engine that reads through them, and the least
    context among them in tokens."""
    servers, contexts = [], []
    for url in request.servers:
        with http_client.Endpoint(url, request.api_key) as endpoint:
            served = endpoint.served(request.model, prompts.KEPT_TOKENS)
        servers.append(Server(url=endpoint.url, model=served.model, whitelist=served.whitelist))
        contexts.append(served.context)
    config = server_config(
        tuple(servers),
        mode="gundam",
        kept_tokens=prompts.KEPT_TOKENS,
        patch=request.patch and not switched_off(),
    )
    return config, min(contexts)


def _max_tokens(requested: int | None, context: int) -> int:
    page = MODES["gundam"].max_tokens
    most = context - page - _PROMPT_TOKENS
    if requested is None:
        return most
    if requested > most:
        what = f"an answer of {requested} tokens does not fit the context of {context}"
        raise UsageProblem(what, do=f"at most {most}: a page itself takes up to {page}")
    return requested


def _stack(request: RunRequest, matrix: Matrix) -> Stack:
    from dsk.host.this_machine import stack_for_this_machine

    return matrix.stack(request.stack) if request.stack else stack_for_this_machine(matrix)
