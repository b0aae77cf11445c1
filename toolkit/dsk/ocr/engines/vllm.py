"""The vLLM engine in this process, V0 or V1, through the one interface that both have.

Pages go in as they come and answers come out as they are ready (continuous batching). An answer
that loops is stopped while it is generated.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dsk import models
from dsk.errors import EngineMissing
from dsk.ocr.engines.base import PageAnswer
from dsk.ocr.engines.config import engine_environment
from dsk.ocr.engines.loop_detector import LoopDetector

if TYPE_CHECKING:
    from PIL import Image

    from dsk.models.base import Views
    from dsk.ocr.engines.base import PageRequest
    from dsk.ocr.schema.engine_config import EngineConfig, PageFormat

# Of an average answer in the KV cache: vLLM recomputes a page that finds no room to go on.
_ANSWER_TOKENS: Final = 500
# Pages in flight for each that is generated, so that the next is ready when one ends.
_IN_FLIGHT_FOR_EACH: Final = 2


class VllmEngine:
    """vLLM with a model loaded; see `dsk.ocr.engines.base.Engine`.

    Args:
        config: what vLLM is started with.
        stack: the stack's name, for messages.
        gpu: number of the GPU in PCI order.

    Raises:
        EngineMissing: vLLM started its other engine, or loads another model than planned.
    """

    def __init__(self, config: EngineConfig, stack: str, gpu: int = 0) -> None:
        # Whatever the shell says: the configuration decides which engine starts.
        os.environ.pop("VLLM_USE_V1", None)
        os.environ.update(engine_environment(config))
        if config.kind == "V0":
            _name_by_number(gpu)
        from vllm import LLM

        from dsk.vllm_plugin import registration

        profile = models.profile(config.profile)
        registration.require(config.package, profile.record.architecture)
        self.settings: dict[str, Any] = dict(config.settings)
        self._llm = LLM(
            model=str(config.model),
            limit_mm_per_prompt={"image": 1},
            disable_log_stats=True,
            **self.settings,
        )
        self._engine = self._llm.llm_engine
        # vLLM 0.8 falls back from V1 to V0 by itself where an argument asks for it.
        started = "V1" if type(self._engine).__module__.startswith("vllm.v1.") else "V0"
        if started != config.kind:
            what = f"stack '{stack}' is for vLLM's {config.kind} engine, but {started} started"
            raise EngineMissing(what, do=f"dsk doctor --stack {stack}")
        tokenizer = self._llm.get_tokenizer()
        self._tokenizer = tokenizer
        self._kept_ids = tokenizer.convert_tokens_to_ids(list(profile.record.kept_tokens))
        self._answers: dict[str, _PartialAnswer] = {}
        self.page_format: PageFormat = config.page_format
        cache = self._engine.vllm_config.cache_config
        tokens = (cache.num_gpu_blocks or 0) * cache.block_size
        pages = tokens // (profile.resolution(config.mode).max_tokens + _ANSWER_TOKENS)
        # More pages than fit the KV cache would be preempted and computed again.
        self.capacity = max(1, min(_IN_FLIGHT_FOR_EACH * int(self.settings["max_num_seqs"]), pages))

    @property
    def running(self) -> int:
        """See `Engine.running`."""
        return len(self._answers)

    def add(self, number: int, page: Views | bytes, request: PageRequest) -> None:
        """See `Engine.add`."""
        image = _decoded(page) if isinstance(page, bytes) else page
        prompt = {"prompt": request.prompt, "multi_modal_data": {"image": image}}
        self._engine.add_request(str(number), prompt, self._parameters(request))
        self._answers[str(number)] = _PartialAnswer(stops_loops=not request.fixed_tokens)

    def step(self) -> list[tuple[int, PageAnswer]]:
        """See `Engine.step`: one iteration of vLLM's."""
        ended = []
        for output in self._engine.step() if self._answers else ():
            partial = self._answers.get(output.request_id)
            # Dropped: its tokens may still be on the way.
            if partial is None:
                continue
            partial.take(output)
            if not output.finished and not partial.detector.looped:
                continue
            if not output.finished:
                self._engine.abort_request([output.request_id])
            del self._answers[output.request_id]
            ended.append((int(output.request_id), partial.answer(self._tokenizer)))
        return ended

    def drop(self, number: int) -> None:
        """See `Engine.drop`."""
        if self._answers.pop(str(number), None) is not None:
            self._engine.abort_request([str(number)])

    def close(self) -> None:
        """See `Engine.close`: vLLM's own processes end with this one."""

    def generate(self, images: list[Image.Image], requests: list[PageRequest]) -> int:
        """Read images by one call of ``LLM.generate``, to measure against; return the tokens."""
        parameters = [self._parameters(request) for request in requests]
        for sampling in parameters:
            sampling.output_kind = type(sampling.output_kind).CUMULATIVE
        prompts = [
            {"prompt": request.prompt, "multi_modal_data": {"image": image}}
            for image, request in zip(images, requests, strict=True)
        ]
        answers = self._llm.generate(prompts, parameters, use_tqdm=False)
        return sum(len(answer.outputs[0].token_ids) for answer in answers)

    def _parameters(self, request: PageRequest) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=0,
            max_tokens=request.max_tokens,
            ignore_eos=request.fixed_tokens,
            # Tags are special tokens: without them a grounded answer is words without places.
            skip_special_tokens=False,
            # A whole answer with every token would cost the square of its length.
            output_kind=RequestOutputKind.DELTA,
            # V1's guard does nothing for a request that does not carry its numbers.
            extra_args={
                "ngram_size": request.ngram_size,
                "window_size": request.ngram_window,
                "whitelist_token_ids": self._kept_ids,
            },
        )


def _name_by_number(gpu: int) -> None:
    """Name a MIG instance by its GPU's number, since vLLM 0.8.5 takes its UUID for a number.

    vLLM reads CUDA_VISIBLE_DEVICES for what it asks NVML, the compute capability
    (platforms/cuda.py of 0.8.5); CUDA has read the UUID by then, and does not read it again.
    """
    if not os.environ.get("CUDA_VISIBLE_DEVICES", "").startswith("MIG-"):
        return
    import torch

    torch.cuda.init()
    os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu)


@dataclass(kw_only=True)
class _PartialAnswer:
    """An answer while it is generated."""

    stops_loops: bool
    detector: LoopDetector = field(default_factory=LoopDetector)
    tokens: list[int] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    prompt_tokens: int = 0
    finish_reason: str | None = None

    def take(self, output: Any) -> None:
        """Append a step's output."""
        new = output.outputs[0]
        self.tokens += new.token_ids
        self.text.append(new.text)
        self.finish_reason = new.finish_reason
        if self.stops_loops:
            self.detector.feed(new.token_ids)
        if output.prompt_token_ids is not None:
            self.prompt_tokens = len(output.prompt_token_ids)

    def answer(self, tokenizer: Any) -> PageAnswer:
        """Return the answer as it stands."""
        text = "".join(self.text)
        reason = str(self.finish_reason)
        if self.detector.loop:
            reason = "loop"
            once = self.tokens[: self.detector.loop.start + self.detector.loop.period]
            text = tokenizer.decode(once, skip_special_tokens=False)
        return PageAnswer(
            text=text,
            finish_reason=reason,
            tokens=len(self.tokens),
            prompt_tokens=self.prompt_tokens,
        )


def _decoded(png: bytes) -> Any:
    import io

    from PIL import Image

    return Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB")
