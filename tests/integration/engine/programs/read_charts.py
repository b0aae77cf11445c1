"""Read charts in one batch, each with another prompt; prints one JSON list of texts.

Usage: read_charts.py CHECKPOINT PAGES MODE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PROMPTS = (
    "<image>\nFree OCR.",
    "<image>\n<|grounding|>Convert the document to markdown.",
    "<image>\nParse the figure.",
)


def main() -> None:
    from PIL import Image
    from vllm import LLM, SamplingParams

    checkpoint, pages, mode = sys.argv[1:]
    llm = LLM(
        checkpoint,
        dtype="float32",
        max_model_len=2048,
        max_num_seqs=4,
        enforce_eager=True,
        trust_remote_code=True,
        mm_processor_kwargs={"mode": mode},
    )
    images = [Image.open(name) for name in sorted(Path(pages).glob("*.png"))]
    requests = [
        {"prompt": prompt, "multi_modal_data": {"image": image}}
        for prompt, image in zip(PROMPTS, images, strict=False)
    ]
    guard = {"ngram_size": 20, "window_size": 50}
    parameters = SamplingParams(
        temperature=0, max_tokens=700, skip_special_tokens=False, extra_args=guard
    )
    answers = llm.generate(requests, parameters, use_tqdm=False)
    print(json.dumps([answer.outputs[0].text for answer in answers]))


if __name__ == "__main__":
    main()
