"""Read charts in bfloat16, with vLLM's own model where it has one; writes each one's first 200
greedy tokens as JSON.

Usage: greedy.py CHECKPOINT PAGES OUT.json
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from dsk.vllm_plugin.registration import NATIVE_SWITCH

STEPS = 200


def main() -> None:
    os.environ[NATIVE_SWITCH] = "1"
    from PIL import Image
    from vllm import LLM, SamplingParams
    from vllm.engine.arg_utils import EngineArgs

    known = EngineArgs.__dataclass_fields__
    checkpoint, pages, out = sys.argv[1:]
    llm = LLM(
        checkpoint,
        dtype="bfloat16",
        max_model_len=2048,
        max_num_seqs=2,
        enforce_eager=True,
        limit_mm_per_prompt={"image": 1},
        # vLLM's own dummy pages take minutes in bfloat16 on a CPU that has none
        **({"skip_mm_profiling": True} if "skip_mm_profiling" in known else {}),
    )
    names = sorted(Path(pages).glob("*.png"))
    answers = llm.generate(
        [
            {"prompt": "<image>\nFree OCR.", "multi_modal_data": {"image": Image.open(name)}}
            for name in names
        ],
        SamplingParams(temperature=0, max_tokens=STEPS),
    )
    tokens = [list(answer.outputs[0].token_ids) for answer in answers]
    found = dict(zip((name.stem for name in names), tokens, strict=True))
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
