"""Likeliest tokens in bfloat16, page by page.

Usage:
  greedy.py generate CHECKPOINT PAGES OUT.json      200 greedy tokens a page
  greedy.py score CHECKPOINT PAGES OUT.json IN.json the likeliest token after each of IN's
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

STEPS = 200
PROMPT = "<image>\nFree OCR."


def main() -> None:
    from PIL import Image
    from vllm import LLM

    task, checkpoint, pages, out, *given = sys.argv[1:]
    llm = LLM(
        checkpoint,
        dtype="bfloat16",
        max_model_len=2048,
        max_num_seqs=2,
        enforce_eager=True,
        limit_mm_per_prompt={"image": 1},
    )
    images = {name.stem: Image.open(name) for name in sorted(Path(pages).glob("*.png"))}
    if task == "generate":
        found = generate(llm, images)
    else:
        found = score(llm, images, json.loads(Path(given[0]).read_text()))
    Path(out).write_text(json.dumps(found))


def generate(llm: Any, images: dict[str, Any]) -> dict[str, list[int]]:
    from vllm import SamplingParams

    requests = [{"prompt": PROMPT, "multi_modal_data": {"image": i}} for i in images.values()]
    parameters = SamplingParams(temperature=0, max_tokens=STEPS, ignore_eos=True)
    answers = llm.generate(requests, parameters)
    return {
        name: list(answer.outputs[0].token_ids)
        for name, answer in zip(images, answers, strict=True)
    }


def score(llm: Any, images: dict[str, Any], given: dict[str, list[int]]) -> dict[str, list[int]]:
    """Ours, teacher-forced: after the same tokens, which is the likeliest next?"""
    from vllm import SamplingParams

    # As vLLM 0.32.0 reads it: without a beginning of sentence.
    prompt = llm.get_tokenizer()(PROMPT, add_special_tokens=False).input_ids
    requests = [
        {"prompt_token_ids": prompt + given[name], "multi_modal_data": {"image": image}}
        for name, image in images.items()
    ]
    answers = llm.generate(requests, SamplingParams(max_tokens=1, prompt_logprobs=1))
    return {
        name: [
            next(token for token, logprob in position.items() if logprob.rank == 1)
            for position in answer.prompt_logprobs[-STEPS:]
        ]
        for name, answer in zip(images, answers, strict=True)
    }


if __name__ == "__main__":
    main()
