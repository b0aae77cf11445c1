"""A run from the user's wishes to its outputs: check everything, then start the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk.compat import load_matrix
from dsk.errors import UsageProblem
from dsk.ocr import inputs, launch, models, prompts
from dsk.ocr.job import Job
from dsk.runtime import environments
from dsk.runtime.launch import runtime_for
from dsk.transformers_patch import switched_off

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.compat import Stack

NGRAM_SIZE: Final = 20
NGRAM_WINDOW: Final = 50
"""The n-gram guard of the model's own PDF script: 20 tokens do not come twice within 50."""

_VISION_TOKENS: Final = 933
"""The most a page takes in Gundam mode, at 1 x 6 tiles."""
_PROMPT_TOKENS: Final = 64
"""Room left for the prompt's words."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asks for, unchecked; see `dsk run pdf --help`."""

    inputs: tuple[Path, ...]
    out: Path
    model: str
    stack: str | None
    pages: str = "1-end"
    dpi: int = 144
    prompt: str = "markdown"
    max_tokens: int | None = None
    runtime: str = "venv"
    patch: bool = True


def job(request: Request) -> Job:
    """Check a request, cheapest things first, and make it a job. Nothing is started.

    Raises:
        DskError: what is wrong with it, of the fitting kind.
    """
    matrix = load_matrix()
    prompt = prompts.prompt_for(request.prompt)
    stack = matrix.stack(request.stack) if request.stack else _for_this_machine()
    max_tokens = _max_tokens(request.max_tokens, int(stack.settings["max_model_len"]))
    documents = inputs.documents(request.inputs, request.out, pages=request.pages)
    launch.prepare(request.out)
    model = models.model_folder(request.model, matrix)
    if request.runtime == "venv":
        environments.require(stack)
    return Job(
        documents=documents,
        model=model,
        stack=stack.id,
        engine=stack.engine,
        device=stack.device,
        lock_sha256=stack.lock_sha256(),
        settings=stack.settings,
        prompt=prompt,
        dpi=request.dpi,
        max_tokens=max_tokens,
        ngram_size=NGRAM_SIZE,
        ngram_window=NGRAM_WINDOW,
        patch=request.patch and not switched_off(),
    )


def read(job: Job, request: Request, listener: launch.Listener) -> bool:
    """Run a job; whether every page came out whole."""
    stack = load_matrix().stack(job.stack)
    return launch.run(job, runtime_for(stack, request.runtime), request.out, listener)


def _max_tokens(wished: int | None, context: int) -> int:
    most = context - _VISION_TOKENS - _PROMPT_TOKENS
    if wished is None:
        return most
    if wished > most:
        what = f"--max-tokens {wished} does not fit the context of {context}"
        raise UsageProblem(what, do=f"at most {most}: a page itself takes up to {_VISION_TOKENS}")
    return wished


def _for_this_machine() -> Stack:
    from dsk.doctor.choice import choose
    from dsk.doctor.probes import FOR_A_CHOICE, gather

    return choose(load_matrix(), gather(FOR_A_CHOICE), None)[0]
