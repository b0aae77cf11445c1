"""The engine that reads: vLLM, V0 or V1, through the one interface both have.

Pages go in as they come and answers come out as they are ready (continuous batching); a bounded
number is in flight, so memory does not grow with the page count.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dsk.errors import EngineMissing
from dsk.transformers_patch import OFF_SWITCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from PIL import Image

    from dsk.ocr.job import Job
    from dsk.ocr.remote import RemoteEngine

Page = TypeVar("Page")

WHITELIST: Final = ("<td>", "</td>")
"""Tokens that the n-gram guard lets repeat: tables are made of them."""

_GUARD: Final = "dsk.vllm_plugin.v1_guard:NgramGuardProcessor"
_AHEAD: Final = 2
"""Pages in flight for each that is generated: the next is ready when one ends."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the engine made of a page.

    Args:
        text: special tokens included, without the end of sentence.
        finish_reason: vLLM's own: "stop", or "length" where the answer was cut off.
        tokens: how many were generated.
        prompt_tokens: of the prompt and the page's vision tokens.
        problem: why there is no answer, where the finish reason is not vLLM's own.
    """

    text: str
    finish_reason: str
    tokens: int
    prompt_tokens: int
    problem: str = ""


class Engine:
    """A loaded model.

    Raises:
        EngineMissing: the stack is for the other engine than vLLM started.
    """

    def __init__(self, job: Job) -> None:
        if not job.patch:
            os.environ[OFF_SWITCH] = "1"
        os.environ.pop("VLLM_USE_V1", None)
        if job.engine == "V0":
            os.environ["VLLM_USE_V1"] = "0"
        if job.device == "cpu":
            # Without it vLLM's V1 worker computes on one thread.
            os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
        from vllm import LLM

        settings: dict[str, Any] = dict(job.settings)
        if job.device == "cpu":
            settings["dtype"] = cpu_dtype()
        if job.engine == "V1":
            settings |= {"logits_processors": [_GUARD], "mm_processor_cache_gb": 0}
        self.settings = settings
        self._llm = LLM(
            model=str(job.model),
            limit_mm_per_prompt={"image": 1},
            disable_log_stats=True,
            **settings,
        )
        self._engine = self._llm.llm_engine
        started = "V1" if type(self._engine).__module__.startswith("vllm.v1.") else "V0"
        if started != job.engine:
            what = f"stack '{job.stack}' is for vLLM's {job.engine} engine, but {started} started"
            raise EngineMissing(what, do=f"dsk doctor --stack {job.stack}")
        self._prompt = job.prompt
        self._parameters = self._sampling(job)
        self._in_flight = _AHEAD * int(settings["max_num_seqs"])

    def read(
        self, pages: Iterable[Page], image_of: Callable[[Page], Image.Image]
    ) -> Iterator[tuple[Page, Answer]]:
        """Read pages and yield each with its answer, in the order in which they are ready."""
        waiting: dict[str, Page] = {}
        source = iter(pages)
        number = 0
        more = True
        while more or waiting:
            while more and len(waiting) < self._in_flight:
                page = next(source, None)
                if page is None:
                    more = False
                    break
                number += 1
                waiting[str(number)] = page
                self._engine.add_request(
                    str(number), self._request(image_of(page)), self._parameters
                )
            for output in self._engine.step() if waiting else ():
                if output.finished:
                    yield waiting.pop(output.request_id), _answer(output)

    def _request(self, image: Image.Image) -> dict[str, Any]:
        return {"prompt": self._prompt, "multi_modal_data": {"image": image}}

    def _sampling(self, job: Job) -> Any:
        from vllm import SamplingParams

        tokenizer = self._llm.get_tokenizer()
        return SamplingParams(
            temperature=0,
            max_tokens=job.max_tokens,
            # Tags are special tokens: without them a grounded answer is words without places.
            skip_special_tokens=False,
            extra_args={
                "ngram_size": job.ngram_size,
                "window_size": job.ngram_window,
                "whitelist_token_ids": tokenizer.convert_tokens_to_ids(list(WHITELIST)),
            },
        )


def engine_for(job: Job) -> Engine | RemoteEngine:
    """The engine that a job asks for, ready to read."""
    if job.servers:
        from dsk.ocr.remote import RemoteEngine

        return RemoteEngine(job)
    return Engine(job)


def cpu_dtype() -> str:
    """The type to compute in on this CPU: bfloat16 where it is fast, else float32.

    Without AVX-512 torch multiplies bfloat16 in plain loops, eight times slower than float32
    (measured on an AVX2 machine: a layer of SAM 4.5 s against 0.6 s), and vLLM's workers are
    given up as dead after five minutes.
    """
    import torch

    return "bfloat16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"  # noqa: SLF001


def _answer(output: Any) -> Answer:
    first = output.outputs[0]
    return Answer(
        text=first.text,
        finish_reason=str(first.finish_reason),
        tokens=len(first.token_ids),
        prompt_tokens=len(output.prompt_token_ids),
    )
