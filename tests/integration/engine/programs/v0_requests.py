"""What the V0 engine does with requests of every kind; prints one JSON object.

Usage: v0_requests.py CHECKPOINT MODEL_ID MODE
"""

from __future__ import annotations

import json
import sys
from typing import Any


def main() -> None:
    import numpy as np
    from PIL import Image
    from vllm import LLM, SamplingParams

    from dsk import models

    checkpoint, model_id, mode = sys.argv[1:]
    llm = LLM(
        checkpoint,
        dtype="float32",
        max_model_len=1024,
        max_num_seqs=4,
        enforce_eager=True,
        limit_mm_per_prompt={"image": 2},
        mm_processor_kwargs={"mode": mode},
    )
    profile = models.profile(model_id)
    rng = np.random.default_rng(1)
    one, two = (
        Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8))
        for h, w in ((300, 200), (200, 300))
    )
    requests = {
        "one": ("<image>\nFree OCR.", one),
        "ready": ("<image>\nFree OCR.", profile.prepare(one, profile.resolution(mode))),
        "other prompt": ("<image>\nParse the figure.", one),
        "other image": ("<image>\nFree OCR.", two),
        "two images": ("<image> and <image>", [one, two]),
        "no image": ("words", None),
    }
    parameters = SamplingParams(temperature=0, max_tokens=24, ignore_eos=True)
    together = answers(llm, requests, parameters)
    alone = {name: answers(llm, {name: r}, parameters)[name] for name, r in requests.items()}
    guard = {"ngram_size": 2, "window_size": 24}
    guarded = SamplingParams(temperature=0, max_tokens=24, ignore_eos=True, extra_args=guard)
    said = {
        "engine": type(llm.llm_engine).__module__,
        "together": together,
        "alone": alone,
        "guarded": answers(llm, {name: requests[name] for name in GUARDED}, guarded),
        "refused": [refusal(llm, *request) for request in REFUSED],
        "profiled tokens": profiled_tokens(llm),
        "kv bytes a token": kv_bytes(llm),
    }
    print(json.dumps(said))


# A view of the towers is seconds on a CPU.
GUARDED = ("one", "no image")

REFUSED: tuple[tuple[str, Any], ...] = (
    ("<image>", "a path"),
    ("no placeholder", None),
)


def answers(llm: Any, requests: dict[str, Any], parameters: Any) -> dict[str, Any]:
    made = [
        {"prompt": prompt} | ({"multi_modal_data": {"image": image}} if image is not None else {})
        for prompt, image in requests.values()
    ]
    found = llm.generate(made, parameters, use_tqdm=False)
    return {
        name: [len(answer.prompt_token_ids), list(answer.outputs[0].token_ids)]
        for name, answer in zip(requests, found, strict=True)
    }


def refusal(llm: Any, prompt: str, image: Any) -> str:
    from PIL import Image

    data = {"image": image if image is not None else Image.new("RGB", (64, 64))}
    try:
        llm.generate({"prompt": prompt, "multi_modal_data": data}, use_tqdm=False)
    except ValueError as error:
        return str(error)
    return "nothing"


def profiled_tokens(llm: Any) -> int:
    from vllm.multimodal import MULTIMODAL_REGISTRY

    config = llm.llm_engine.model_config
    config.mm_processor_kwargs = {}
    counts = MULTIMODAL_REGISTRY.get_max_tokens_per_item_by_modality(config)
    return int(counts["image"])


def kv_bytes(llm: Any) -> float:
    """Of the cache that the worker holds, whichever its layout."""
    worker = llm.llm_engine.model_executor.driver_worker.worker
    cache = worker.cpu_cache[0]
    tokens = worker.cache_config.num_gpu_blocks * worker.cache_config.block_size
    return float(sum(layer.nbytes for layer in cache) / tokens)


if __name__ == "__main__":
    main()
