"""What the V1 engine makes of pages that arrive ready, and of others, as JSON.

Usage: v1_views.py CHECKPOINT PAGE.png OUT.json
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

PROMPT = "<image>\nFree OCR."


def main() -> None:
    # Without it vLLM's V1 worker computes on one thread.
    os.environ["OMP_NUM_THREADS"] = str(len(os.sched_getaffinity(0)))
    from PIL import Image
    from vllm import LLM

    from dsk import models

    checkpoint, page, out = sys.argv[1:]
    llm = LLM(
        checkpoint,
        dtype="float32",
        max_model_len=2048,
        max_num_seqs=4,
        enforce_eager=True,
        limit_mm_per_prompt={"image": 1},
        mm_processor_cache_gb=0,
        skip_mm_profiling=True,  # two pages of 933 tokens are 30 s
    )
    image = Image.open(page).convert("RGB")
    profile = models.default()
    views = {
        name: profile.prepare(image, resolution) for name, resolution in profile.resolutions.items()
    }
    said = {
        "read": answers(llm, {name: views[name] for name in ("gundam", "base")}),
        "tokens": prompts(llm, views),
        "tokens by name": prompts(llm, {"tiny": image}, mm_processor_kwargs={"mode": "tiny"}),
        "refused": [refusal(llm, PROMPT, "a path"), refusal(llm, "no place", image)],
    }
    Path(out).write_text(json.dumps(said))


def answers(llm: Any, pages: dict[str, Any]) -> dict[str, str]:
    from vllm import SamplingParams

    found = llm.generate(
        [{"prompt": PROMPT, "multi_modal_data": {"image": page}} for page in pages.values()],
        SamplingParams(temperature=0, max_tokens=300, skip_special_tokens=False),
        use_tqdm=False,
    )
    return {name: answer.outputs[0].text for name, answer in zip(pages, found, strict=True)}


def prompts(llm: Any, pages: dict[str, Any], **request: Any) -> dict[str, int]:
    """How many tokens each page's prompt has, without its answer."""
    found = {}
    for name, page in pages.items():
        prompt = {"prompt": PROMPT, "multi_modal_data": {"image": page}} | request
        parsed = llm._preprocess_cmpl([prompt])
        found[name] = len(parsed[0]["prompt_token_ids"])
    return found


def refusal(llm: Any, prompt: str, image: Any) -> str:
    try:
        llm.generate({"prompt": prompt, "multi_modal_data": {"image": image}}, use_tqdm=False)
    except ValueError as error:
        return str(error)
    return "nothing"


if __name__ == "__main__":
    main()
