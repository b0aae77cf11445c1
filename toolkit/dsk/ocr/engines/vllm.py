"""The engine that reads: vLLM, V0 or V1, through the one interface both have.

Pages go in as they come and answers come out as they are ready (continuous batching). An answer
that goes round in circles is stopped while it is generated.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from dsk.errors import EngineMissing
from dsk.models.deepseek_ocr.resolutions import MODES
from dsk.ocr.engines.loop_detector import LoopDetector
from dsk.transformers_patch.switch import OFF_SWITCH
from dsk.vllm_plugin import NATIVE_SWITCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from dsk.models.deepseek_ocr.tiles import Views
    from dsk.ocr.schema.run_plan import Document, RunPlan

Form = Literal["views", "png"]

WHITELIST: Final = ("<td>", "</td>")
"""Tokens that the n-gram guard lets repeat: tables are made of them."""

_SCHEDULER: Final = "dsk.vllm_plugin.v1.scheduler.GroupingScheduler"
_GUARD: Final = "dsk.vllm_plugin.v1.guard:NgramGuardProcessor"
_NATIVE_GUARD: Final = "vllm.model_executor.models.deepseek_ocr:NGramPerReqLogitsProcessor"
_GOLDEN: Final = (5**0.5 - 1) / 2
"""Whose multiples' fractions are spread evenly, however many there are."""
_TOKENS_OF_AN_ANSWER: Final = 500
"""In the KV cache on average: what begins and has no room to go on is read anew."""
_AHEAD: Final = 2
"""Pages in flight for each that is generated: the next is ready when one ends."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the engine made of a page.

    Args:
        text: special tokens included, without the end of sentence.
        finish_reason: vLLM's own: "stop", or "length" where the answer was cut off; ours: "loop"
            where it was stopped because it repeated itself, its text said once, and "error".
        tokens: how many were generated.
        prompt_tokens: of the prompt and the page's vision tokens.
        problem: why there is no answer, where the finish reason is not vLLM's own.
    """

    text: str
    finish_reason: str
    tokens: int
    prompt_tokens: int
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is asked about a page.

    Args:
        prompt: with its ``<image>``.
        ngram_size: tokens that do not come twice within ``ngram_window``.
        max_tokens: of the answer.
    """

    prompt: str
    ngram_size: int
    ngram_window: int
    max_tokens: int
    fixed_tokens: bool = False
    """Whether the answer goes on to ``max_tokens``, its end notwithstanding."""


def fixed(ask: Ask, mean: int, document: Document, page: int) -> Ask:
    """An ask whose answer has a length of the page's own, from half of ``mean`` to three halves.

    A document's pages have that mean, nearly, however many they are. Were they of one length, they
    would begin and end together, as no real ones do.
    """
    share = (int(document.sha256[:8] or "0", 16) / 2**32 + page * _GOLDEN) % 1 + 0.5
    return replace(ask, max_tokens=max(1, round(mean * share)), fixed_tokens=True)


class Reader(Protocol):
    """What reads pages: vLLM here, or servers elsewhere."""

    settings: dict[str, Any]
    """What it was started with."""
    form: Form
    """How it takes pages: `dsk.models.deepseek_ocr.tiles.Views`, or bytes of a PNG."""
    capacity: int
    """Pages to have in flight: fewer leave it waiting, more only wait themselves."""

    @property
    def running(self) -> int:
        """Pages in flight."""

    def add(self, number: int, page: Views | bytes, ask: Ask) -> None:
        """Take a page, under a number that no other in flight has."""

    def step(self) -> Sequence[tuple[int, Answer]]:
        """Go on for a moment; the pages that have ended with it."""

    def drop(self, number: int) -> None:
        """Forget a page in flight."""

    def close(self) -> None:
        """End what was started."""


class Engine:
    """vLLM with a model loaded; see `Reader`.

    Raises:
        EngineMissing: the stack is for the other engine than vLLM started.
    """

    def __init__(self, plan: RunPlan) -> None:
        if not plan.patch:
            os.environ[OFF_SWITCH] = "1"
        os.environ.pop("VLLM_USE_V1", None)
        if plan.engine == "V0":
            os.environ["VLLM_USE_V1"] = "0"
        if plan.device == "cpu":
            # Without it vLLM's V1 worker computes on one thread.
            os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
        from vllm import LLM

        settings: dict[str, Any] = dict(plan.settings)
        if plan.device == "cpu":
            settings["dtype"] = cpu_dtype()
        if plan.engine == "V1":
            native = bool(os.environ.get(NATIVE_SWITCH))
            settings |= {
                "logits_processors": [_NATIVE_GUARD if native else _GUARD],
                # No page comes twice: what earlier ones were is not worth looking up.
                "mm_processor_cache_gb": 0,
                "enable_prefix_caching": False,
            }
            if plan.device == "cuda" and not native:
                settings["scheduler_cls"] = _SCHEDULER
        self.settings = settings
        self._llm = LLM(
            model=str(plan.model),
            limit_mm_per_prompt={"image": 1},
            disable_log_stats=True,
            **settings,
        )
        self._engine = self._llm.llm_engine
        started = "V1" if type(self._engine).__module__.startswith("vllm.v1.") else "V0"
        if started != plan.engine:
            what = f"stack '{plan.stack}' is for vLLM's {plan.engine} engine, but {started} started"
            raise EngineMissing(what, do=f"dsk doctor --stack {plan.stack}")
        tokenizer = self._llm.get_tokenizer()
        self._tokenizer = tokenizer
        self._whitelist = tokenizer.convert_tokens_to_ids(list(WHITELIST))
        self._answers: dict[str, _Growing] = {}
        self.form: Form = form_for(plan)
        cache = self._engine.vllm_config.cache_config
        tokens = (cache.num_gpu_blocks or 0) * cache.block_size
        pages = tokens // (MODES[plan.mode].max_tokens + _TOKENS_OF_AN_ANSWER)
        self.capacity = max(1, min(_AHEAD * int(settings["max_num_seqs"]), pages))

    @property
    def running(self) -> int:
        """See `Reader.running`."""
        return len(self._answers)

    def add(self, number: int, page: Views | bytes, ask: Ask) -> None:
        """See `Reader.add`."""
        image = _decoded(page) if isinstance(page, bytes) else page
        request = {"prompt": ask.prompt, "multi_modal_data": {"image": image}}
        self._engine.add_request(str(number), request, self._parameters(ask))
        self._answers[str(number)] = _Growing(heeds_loops=not ask.fixed_tokens)

    def step(self) -> list[tuple[int, Answer]]:
        """See `Reader.step`: one iteration of vLLM's."""
        ended = []
        for output in self._engine.step() if self._answers else ():
            growing = self._answers.get(output.request_id)
            if growing is None:  # dropped
                continue
            growing.take(output)
            if not output.finished and not growing.detector.looped:
                continue
            if not output.finished:
                self._engine.abort_request([output.request_id])
            del self._answers[output.request_id]
            ended.append((int(output.request_id), growing.answer(self._tokenizer)))
        return ended

    def drop(self, number: int) -> None:
        """See `Reader.drop`."""
        if self._answers.pop(str(number), None) is not None:
            self._engine.abort_request([str(number)])

    def close(self) -> None:
        """See `Reader.close`: vLLM's own processes end with this one."""

    def all_at_once(self, images: list[Image.Image], asks: list[Ask]) -> int:
        """Read images by one call of ``LLM.generate``, to measure against; the tokens it made."""
        parameters = [self._parameters(ask) for ask in asks]
        for one in parameters:
            one.output_kind = type(one.output_kind).CUMULATIVE
        requests = [
            {"prompt": ask.prompt, "multi_modal_data": {"image": image}}
            for image, ask in zip(images, asks, strict=True)
        ]
        answers = self._llm.generate(requests, parameters, use_tqdm=False)
        return sum(len(answer.outputs[0].token_ids) for answer in answers)

    def _parameters(self, ask: Ask) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=0,
            max_tokens=ask.max_tokens,
            ignore_eos=ask.fixed_tokens,
            # Tags are special tokens: without them a grounded answer is words without places.
            skip_special_tokens=False,
            # A whole answer with every token would cost the square of its length.
            output_kind=RequestOutputKind.DELTA,
            extra_args={
                "ngram_size": ask.ngram_size,
                "window_size": ask.ngram_window,
                "whitelist_token_ids": self._whitelist,
            },
        )


@dataclass(kw_only=True)
class _Growing:
    """An answer while it is generated."""

    heeds_loops: bool
    detector: LoopDetector = field(default_factory=LoopDetector)
    tokens: list[int] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    prompt_tokens: int = 0
    finish_reason: str | None = None

    def take(self, output: Any) -> None:
        """What is new of it."""
        new = output.outputs[0]
        self.tokens += new.token_ids
        self.text.append(new.text)
        self.finish_reason = new.finish_reason
        if self.heeds_loops:
            self.detector.feed(new.token_ids)
        if output.prompt_token_ids is not None:
            self.prompt_tokens = len(output.prompt_token_ids)

    def answer(self, tokenizer: Any) -> Answer:
        """The answer as it stands."""
        said = "".join(self.text)
        reason = str(self.finish_reason)
        if self.detector.loop and reason != "stop":
            reason = "loop"
            once = self.tokens[: self.detector.loop.start + self.detector.loop.period]
            said = tokenizer.decode(once, skip_special_tokens=False)
        return Answer(
            text=said,
            finish_reason=reason,
            tokens=len(self.tokens),
            prompt_tokens=self.prompt_tokens,
        )


def form_for(plan: RunPlan) -> Form:
    """How the engine that a job asks for takes its pages.

    vLLM's own model, where `NATIVE_SWITCH` leaves it in, wants whole pictures, as servers do.
    """
    native = plan.engine == "V1" and os.environ.get(NATIVE_SWITCH)
    return "png" if plan.servers or native else "views"


def engine_for(plan: RunPlan) -> Reader:
    """The engine that a job asks for, ready to read."""
    if plan.servers:
        from dsk.ocr.engines.http import RemoteEngine

        return RemoteEngine(plan)
    return Engine(plan)


def cpu_dtype() -> str:
    """The type to compute in on this CPU: bfloat16 where it is fast, else float32.

    Without AVX-512 torch multiplies bfloat16 in plain loops, eight times slower than float32
    (measured on an AVX2 machine: a layer of SAM 4.5 s against 0.6 s), and vLLM's workers are
    given up as dead after five minutes.
    """
    import torch

    return "bfloat16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"  # noqa: SLF001


def _decoded(png: bytes) -> Any:
    import io

    from PIL import Image

    return Image.open(io.BytesIO(png)).convert("RGB")
