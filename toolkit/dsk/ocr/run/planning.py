"""A run from the user's wishes to its outputs: check everything, then start the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dsk.errors import UsageProblem
from dsk.matrix import load_matrix
from dsk.models import folder
from dsk.models.deepseek_ocr import prompts
from dsk.ocr.documents import inputs
from dsk.ocr.engines import http_client
from dsk.ocr.results import folder_owners, job_file, output_folders
from dsk.ocr.run import container, launcher, placement
from dsk.ocr.schema.formats import DEFAULT_FORMATS, Compat, chosen
from dsk.ocr.schema.limits import DEFAULT_LIMITS
from dsk.ocr.schema.run_plan import RunPlan, Server
from dsk.runtime import environments
from dsk.runtime.base import InPlaceRuntime, runtime_for
from dsk.transformers_patch.switch import switched_off

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.matrix import Matrix, Stack
    from dsk.ocr.schema.events import Listener
    from dsk.ocr.schema.filetypes import Kind
    from dsk.ocr.schema.limits import Limits

DEFAULT_MODEL: Final = "deepseek-ai/DeepSeek-OCR"

NGRAM_SIZE: Final = 20
NGRAM_WINDOW: Final = 50
"""The n-gram guard of the model's own PDF script: 20 tokens do not come twice within 50."""

_OFFICIAL_NGRAM: Final = {"pdf": (NGRAM_SIZE, NGRAM_WINDOW), "image": (30, 90)}
"""The guards of the model's own scripts, one for each."""

_VISION_TOKENS: Final = 933
"""The most a page takes in Gundam mode, at 1 x 6 tiles."""
_PROMPT_TOKENS: Final = 64
"""Room left for the prompt's words."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asks for, unchecked; see `dsk run pdf --help`."""

    inputs: tuple[Path, ...]
    kind: Kind = "pdf"
    """What the folders among them stand for."""
    out: Path
    model: str | None
    stack: str | None
    servers: tuple[str, ...] = ()
    """URLs of servers to read through, in place of a stack's engine."""
    api_key: str | None = None
    """What the servers want."""
    pages: str = "1-end"
    password_file: Path | None = None
    limits: Limits = DEFAULT_LIMITS
    dpi: int = 144
    prompt: str = "markdown"
    max_tokens: int | None = None
    formats: str = ",".join(DEFAULT_FORMATS)
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


def plan(request: Request) -> RunPlan:
    """Check a request, cheapest things first, and make it a job. Nothing is started.

    Raises:
        DskError: what is wrong with it, of the fitting kind.
    """
    if request.servers and request.engines:
        what = "--engines is for engines here, not for servers"
        raise UsageProblem(what, do="leave one of --engines and --server out")
    matrix = load_matrix()
    prompt = prompts.prompt_for(request.prompt)
    formats = chosen(request.formats)
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
    launcher.prepare(request.out)
    if stack:
        pages = sum(len(document.pages) for document in documents)
        engine = _engine_of(stack, request, matrix, pages)
    else:
        engine, context = _engine_of_servers(request)
        max_tokens = _max_tokens(request.max_tokens, context)
    return RunPlan(
        out=request.out,
        documents=documents,
        rejected=rejected,
        limits=request.limits,
        **engine,
        prompt=prompt,
        formats=formats,
        compat=request.compat,
        dpi=request.dpi,
        max_tokens=max_tokens,
        ngram_size=size,
        ngram_window=window,
        patch=request.patch and not switched_off(),
        attempts=request.attempts,
        workers=request.workers,
        overwrite=request.overwrite,
        retry_failed=request.retry_failed,
    )


def read(plan: RunPlan, request: Request, listener: Listener) -> bool:
    """Run a job; whether every page of every document came out whole.

    Raises:
        UsageProblem: another run writes to the folder.
        DskError: what stopped it, of the fitting kind.
    """
    with launcher.locked(request.out):
        folder_owners.write(plan.documents, request.out)
        job_file.write(plan, request.out)
        return _read(plan, request, listener)


def _read(plan: RunPlan, request: Request, listener: Listener) -> bool:
    if plan.servers:
        key = {http_client.KEY_VARIABLE: request.api_key} if request.api_key else {}
        return launcher.run(plan, InPlaceRuntime(), request.out, listener, environment=key)
    stack = load_matrix().stack(plan.stack)
    if request.runtime == "container":
        wished, size = request.image, request.shm_size
        return container.read(plan, stack, request.out, listener, wished=wished, shm_size=size)
    return launcher.run(plan, runtime_for(stack, request.runtime), request.out, listener)


def _stack(request: Request, matrix: Matrix) -> Stack:
    return matrix.stack(request.stack) if request.stack else _for_this_machine()


def _engine_of(stack: Stack, request: Request, matrix: Matrix, pages: int) -> dict[str, Any]:
    """What a job says of a stack's engine."""
    model = folder.model_folder(request.model or DEFAULT_MODEL, matrix)
    if request.runtime == "venv":
        environments.require(stack)
    if request.runtime == "container":
        container.image(stack, request.image)
    return {
        "model": model,
        "stack": stack.id,
        "engine": stack.engine,
        "device": stack.device,
        "lock_sha256": stack.lock_sha256(),
        "mode": folder.mode_of(model),
        **placement.engines(stack, matrix.model("deepseek-ocr"), pages, request.engines),
    }


def _engine_of_servers(request: Request) -> tuple[dict[str, Any], int]:
    """What a job says of servers, which are asked what they serve, and the least context."""
    servers, contexts = [], []
    for url in request.servers:
        with http_client.Endpoint(url, request.api_key) as found:
            served = found.served(request.model)
        servers.append(Server(url=found.url, model=served.model, whitelist=served.whitelist))
        contexts.append(served.context)
    said: dict[str, Any] = {
        "model": None,
        "stack": "server",
        "engine": "server",
        "device": "cpu",
        "lock_sha256": "",
        "settings": {},
        "servers": servers,
    }
    return said, min(contexts)


def _max_tokens(wished: int | None, context: int) -> int:
    most = context - _VISION_TOKENS - _PROMPT_TOKENS
    if wished is None:
        return most
    if wished > most:
        what = f"an answer of {wished} tokens does not fit the context of {context}"
        raise UsageProblem(what, do=f"at most {most}: a page itself takes up to {_VISION_TOKENS}")
    return wished


def _for_this_machine() -> Stack:
    from dsk.host.probes import FOR_A_CHOICE, gather
    from dsk.host.stack_choice import choose_strictly

    return choose_strictly(load_matrix(), gather(FOR_A_CHOICE)).stack
