"""Plan a run: check a request, cheapest checks first, and decide everything before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dsk import console, models
from dsk.errors import UsageProblem
from dsk.host import container_start, gpu_selection, this_machine
from dsk.models import folder
from dsk.models.reference import resolve
from dsk.ocr import executors
from dsk.ocr.documents import inputs
from dsk.ocr.engines import http_client
from dsk.ocr.engines.config import engine_config, server_config
from dsk.ocr.executors.base import ExecutorOptions
from dsk.ocr.outputs import registry
from dsk.ocr.results import manifest, output_folders
from dsk.ocr.run import output_folder, placement, shards
from dsk.ocr.schema.engine_config import Placement, Server
from dsk.ocr.schema.limits import DEFAULT_LIMITS
from dsk.ocr.schema.run_plan import ModelIdentity, RunPlan
from dsk.runtime import engine_versions
from dsk.transformers_patch.switch import switched_off
from dsk.vllm_plugin import registration, stack_support

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.host.facts import Facts
    from dsk.host.gpu_selection import Device
    from dsk.matrix import Matrix, Stack
    from dsk.matrix.models import GuardSize, Model
    from dsk.models.base import ModelProfile
    from dsk.ocr.engines.http_client import Served
    from dsk.ocr.executors.base import Executor
    from dsk.ocr.schema.engine_config import EngineConfig
    from dsk.ocr.schema.filetypes import Kind, Wanted
    from dsk.ocr.schema.formats import Compat, TextLayer
    from dsk.ocr.schema.limits import Limits
    from dsk.ocr.schema.shard import Shard

# Room left for the prompt's words.
_PROMPT_TOKENS: Final = 64


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A run as the user asks for it, unchecked; see `dsk run --help`."""

    inputs: tuple[Path, ...]
    kind: Wanted = "any"
    """The files to take from folders."""
    out: Path
    model: str | None
    stack: str | None
    servers: tuple[str, ...] = ()
    """URLs of servers to read through, in place of a stack's engine."""
    api_key: str | None = field(default=None, repr=False)
    """The key that the servers want."""
    wait_seconds: int = 300
    """The longest that a server may be away or busy."""
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
    """Engines on each GPU; None for as many as are worth their start."""
    gpus: str | None = None
    """The GPUs that read, as `dsk.host.gpu_selection.select` takes them; None for all that fit."""
    text_layer: TextLayer = "auto"
    """Use of the text that PDF files carry themselves."""
    overwrite: bool = False
    retry_failed: bool = False
    shard: Shard | None = None
    """The only part of the pages to read; it gets a folder of its own below ``out``."""


def plan(request: RunRequest, matrix: Matrix) -> RunPlan:
    """Check a request and decide what is to be done. Nothing is started.

    Raises:
        DskError: the request is at fault, or something that it needs is not on this machine.
    """
    # The order is the user's time: words first, then files, then what asks other processes.
    for name, value in (("--engines", request.engines), ("--gpus", request.gpus)):
        if request.servers and value:
            what = f"{name} is for engines here, not for servers"
            raise UsageProblem(what, do=f"leave one of {name} and --server out")
    formats = registry.parse(request.formats)
    # Prompts are a model's own, and only its servers know which model theirs is.
    served = _served(request)
    reference = resolve(None if served else request.model)
    profile = served[0].profile if served else reference.profile
    prompt = profile.prompt_for(request.prompt)
    require_scripts(request, profile.record)
    stack, others = None, {}
    if not request.servers:
        facts, devices = this_machine.probe(request.gpus)
        stack = _stack(request, matrix, profile, facts)
        devices = _fitting(stack, devices, request.gpus)
        max_tokens = _max_tokens(request, profile, int(stack.settings["max_model_len"]))
    options = inputs.InputOptions(
        kind=request.kind,
        pages=request.pages,
        password_file=request.password_file,
        limits=request.limits,
    )
    shard = request.shard
    out = shard.folder(request.out) if shard else request.out
    documents, rejected = inputs.resolve(
        request.inputs, request.out, options, output_folders.OutputFolders(out).allocate
    )
    guard = guard_for(request, profile.record, {document.kind for document in documents})
    inputs_sha256 = shards.inputs_hash(documents) if shard else ""
    documents = shards.part(documents, shard) if shard else documents
    output_folder.ensure_writable(out)
    if stack:
        model = reference.locate()
        # A missing environment or image is reported before the run is recorded.
        executor(request, stack.id, matrix).require()
        pages = sum(len(document.pages) for document in documents)
        host = placement.resources(facts.memory)
        placed = placement.place(stack, profile.record, devices, pages, request.engines, host)
        engine = _engine(request, stack, profile, model)
        others = _other_versions(stack, request.runtime)
    else:
        engine, placed = _server_engine(request, served), Placement()
        # The smallest context decides, since any of the servers may get any page.
        max_tokens = _max_tokens(request, profile, min(model.context for model in served))
    return RunPlan(
        out=out,
        documents=documents,
        shard=shard,
        inputs_sha256=inputs_sha256,
        rejected=rejected,
        limits=request.limits,
        stack=stack.id if stack else "server",
        lock_sha256=stack.lock_sha256() if stack and not others else "",
        from_lock=stack is not None and engine_versions.is_from_lock(stack, request.runtime),
        stack_versions=others,
        identity=_identity(profile, engine),
        engine=engine,
        placement=placed,
        prompt=prompt,
        formats=formats,
        compat=request.compat,
        dpi=request.dpi,
        max_tokens=max_tokens,
        ngram_size=guard.size,
        ngram_window=guard.window,
        attempts=request.attempts,
        workers=request.workers,
        text_layer=request.text_layer,
        overwrite=request.overwrite,
        retry_failed=request.retry_failed,
    )


def baseline(run: RunPlan, request: RunRequest, matrix: Matrix) -> RunPlan:
    """Return the plan of a baseline to measure against: one engine, vLLM's own model if any."""
    assert run.engine.model is not None
    stack = matrix.stack(run.stack)
    profile = models.profile(run.engine.profile)
    engine = _engine(request, stack, profile, run.engine.model, native=True)
    return run.model_copy(update={"engine": engine, "placement": one_engine(run.placement)})


def one_engine(placed: Placement) -> Placement:
    """Return a placement with one engine, which has the first card to itself."""
    first = placed.cards[0].model_copy(update={"engines": 1, "settings": {}})
    return Placement(cards=(first,))


def executor(request: RunRequest, stack: str, matrix: Matrix) -> Executor:
    """Return the executor that a request names, for the stack of its plan."""
    options = ExecutorOptions(
        image=request.image, shm_size=request.shm_size, api_key=request.api_key
    )
    known = None if stack == "server" else matrix.stack(stack)
    return executors.executor_for(request.runtime, known, matrix, options)


def _engine(
    request: RunRequest,
    stack: Stack,
    profile: ModelProfile,
    model: Path,
    *,
    native: bool = False,
) -> EngineConfig:
    return engine_config(
        stack,
        profile,
        model,
        mode=folder.mode_of(model),
        patch=request.patch and not switched_off(),
        version=registration.version_in(request.runtime),
        native=native or registration.native_is_wanted(),
    )


def require_scripts(request: RunRequest, record: Model) -> None:
    """Refuse ``--compat official`` for a model that has no such scripts.

    Raises:
        UsageProblem: the model has none.
    """
    if request.compat and record.guards.official is None:
        what = f"{record.name} has no scripts whose files --compat official could write"
        raise UsageProblem(what, do="leave --compat out")


def guard_for(request: RunRequest, record: Model, kinds: set[Kind]) -> GuardSize:
    """Return the n-gram guard of a run: the model's own, or that of its published scripts.

    Args:
        request: the request.
        record: the model's; see `require_scripts`.
        kinds: of the documents, where the request names none.

    Raises:
        UsageProblem: scripts with different guards would read the documents.
    """
    official = record.guards.official
    if not request.compat or official is None:
        return record.guards.default
    guards = {"pdf": official.pdf, "image": official.image}
    asked = kinds if request.kind == "any" else {request.kind}
    found = {guards[kind] for kind in asked}
    if len(found) > 1:
        what = "--compat official: the published scripts read PDF files and images differently"
        raise UsageProblem(what, do="read them apart: dsk run pdf, then dsk run image")
    return found.pop()


def _served(request: RunRequest) -> list[Served]:
    """Ask the servers of a request what they serve, in their order; none for a stack.

    Raises:
        UsageProblem: they serve different models.
    """
    served = [
        http_client.Endpoint(url, request.api_key).served(request.model, models.default())
        for url in request.servers
    ]
    names = {model.profile.id: model.profile.name for model in served}
    if len(names) > 1:
        what = f"the servers serve different models: {', '.join(names.values())}"
        raise UsageProblem(what, do="name servers of one model with --server")
    return served


def _server_engine(request: RunRequest, served: list[Served]) -> EngineConfig:
    """Return the engine that reads through the servers."""
    servers = tuple(
        Server(url=url, model=model.model, whitelist=model.whitelist)
        for url, model in zip(request.servers, served, strict=True)
    )
    patch = request.patch and not switched_off()
    profile = served[0].profile
    return server_config(servers, profile, patch=patch, wait_seconds=request.wait_seconds)


def _identity(profile: ModelProfile, engine: EngineConfig) -> ModelIdentity:
    if engine.model is None:
        return ModelIdentity(id=profile.id, name=profile.name, server_model=engine.servers[0].model)
    hub, revision = folder.origin(engine.model)
    return ModelIdentity(
        id=profile.id,
        name=profile.name,
        hub=hub,
        revision=revision,
        test_model=folder.is_test_model(engine.model),
        weights=manifest.weights_hash(engine.model),
    )


def _max_tokens(request: RunRequest, profile: ModelProfile, context: int) -> int:
    requested, page = request.max_tokens, profile.max_page_tokens
    most = context - page - _PROMPT_TOKENS
    if most < 1:
        what = f"a context of {context} tokens does not hold a page, which takes up to {page}"
        raise UsageProblem(what, do="start the server with a larger --max-model-len")
    if requested is None:
        return most
    if requested > most:
        what = f"an answer of {requested} tokens does not fit the context of {context}"
        raise UsageProblem(what, do=f"at most {most}: a page itself takes up to {page}")
    return requested


def _other_versions(stack: Stack, runtime: str) -> dict[str, str]:
    """Return the stack's versions of packages of which the engine has others; warn of them."""
    others = engine_versions.stack_versions(stack, runtime)
    if others:
        console.warn(engine_versions.warning(stack, runtime, others))
    return {name: wanted for name, (_, wanted) in others.items()}


def _fitting(stack: Stack, devices: tuple[Device, ...], gpus: str | None) -> tuple[Device, ...]:
    """Return the devices that a stack runs on; warn of those that it leaves out.

    Raises:
        UsageProblem: GPUs are named for a stack that runs on the CPU.
        NoStackFits: a GPU that is named does not fit the stack.
    """
    if stack.gpu is None and gpus is not None:
        what = f"stack '{stack.id}' reads on the CPU"
        raise UsageProblem(what, do="leave --gpus out, or name another --stack")
    is_named = gpus is not None and gpus.lower() != gpu_selection.ALL
    found, left_out = placement.fitting(stack, devices, named=is_named)
    for message in left_out:
        console.warn(message)
    return found


def _stack(request: RunRequest, matrix: Matrix, profile: ModelProfile, facts: Facts) -> Stack:
    record, version = profile.record, registration.version_in(request.runtime)
    stack = (
        matrix.stack(request.stack)
        if request.stack
        else this_machine.stack_for_this_machine(matrix, record, version=version, facts=facts)
    )
    container_start.require(stack, facts)
    # Before anything is looked for, fetched or loaded: another stack may be what is needed.
    stack_support.require(stack, record, matrix, version=version)
    return stack
