"""Read each page twice under Model Runner V2, without the guard and with it; prints the tokens.

No CPU takes that runner by itself: its kernels are in Triton, which is interpreted here.

Usage: v2_runner.py CHECKPOINT PAGES NGRAM_SIZE WINDOW TOKENS
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ |= {
    "TRITON_INTERPRET": "1",
    "VLLM_USE_V2_MODEL_RUNNER": "1",
    # In this process, where vLLM finds Triton fit for a CPU.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}


def admit_triton() -> None:
    """Let vLLM take Triton, which it refuses on a CPU without a compiler for it."""
    from types import SimpleNamespace

    from triton.backends import backends

    backends["cpu"] = SimpleNamespace(driver=SimpleNamespace(is_active=lambda: True))


def main() -> None:
    admit_triton()
    from PIL import Image
    from vllm import LLM, SamplingParams

    checkpoint, pages, size, window, count = sys.argv[1:]
    llm = LLM(
        checkpoint,
        dtype="float32",
        max_model_len=512,
        max_num_seqs=8,
        enforce_eager=True,
        enable_prefix_caching=False,
        limit_mm_per_prompt={"image": 1},
        logits_processors=["dsk.vllm_plugin.v1.guard:NgramGuardProcessor"],
        scheduler_cls="dsk.vllm_plugin.v1.scheduler.GroupingScheduler",
    )
    guard = {"ngram_size": int(size), "window_size": int(window)}
    prompts, parameters = [], []
    for name in sorted(Path(pages).glob("*.png")):
        for args in ({}, guard):
            image = {"image": Image.open(name)}
            prompts.append({"prompt": "<image>\nFree OCR.", "multi_modal_data": image})
            parameters.append(SamplingParams(temperature=0, max_tokens=int(count), extra_args=args))
    answers = llm.generate(prompts, parameters, use_tqdm=False)
    print(json.dumps([list(answer.outputs[0].token_ids) for answer in answers]))


if __name__ == "__main__":
    main()
