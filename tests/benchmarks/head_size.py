"""What vLLM's own model does with and without the plugin's head size; prints one JSON object.

``python tests/benchmarks/head_size.py MODEL...`` in an environment with vLLM and dsk, on a Hopper
GPU. Each test model reads one eye chart twice by ``LLM.generate``, each time in a process of its
own: with no vLLM plugin, and with dsk's, which then leaves vLLM's own model in place.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from dsk.eyechart import layout, page

TEXT: Final = "The head size is 128, not 0."
SIDE: Final = 16
LIMIT: Final = 180.0  # seconds
SWITCHES: Final = {
    "no plugin": {"VLLM_PLUGINS": ""},
    "dsk's correction": {"DSK_NATIVE_MODEL": "1"},
}
ANSWER: Final = "answer: "
SIZE: Final = "head size: "


def main() -> None:
    if sys.argv[1] == "read":
        print(ANSWER + json.dumps(read(sys.argv[2])))
        return
    import torch
    import transformers
    import vllm

    found: dict[str, Any] = {
        "what": "vLLM's own model reads an eye chart, without and with its head size",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "card": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "versions": {one.__name__: one.__version__ for one in (torch, transformers, vllm)},
        "models": {
            Path(model).name: {name: outcome(model, more) for name, more in SWITCHES.items()}
            for model in sys.argv[1:]
        },
    }
    print(json.dumps(found, indent=2))


def outcome(model: str, switches: dict[str, str]) -> dict[str, Any]:
    """How reading ended: the answer, or the signal and where Python was."""
    always = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "PYTHONFAULTHANDLER": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "read", model],
        env=os.environ | always | switches,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
    )
    sizes = re.findall(rf"^{SIZE}(\d+)$", done.stdout, re.MULTILINE)
    found: dict[str, Any] = {"head_size": int(sizes[-1]) if sizes else None}
    answers = re.findall(rf"^{ANSWER}(.*)$", done.stdout, re.MULTILINE)
    if done.returncode == 0 and answers:
        told: dict[str, str] = json.loads(answers[-1])
        ended = "exact" if told["text"] == told["printed"] else "different"
        return {"ended": ended, **found, **told}
    code = done.returncode
    ended = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return {"ended": ended, **found, "where": _where(done.stdout)}


def read(model: str) -> dict[str, str]:
    """Read the chart with vLLM as it is; the text, beside what is printed."""
    import pymupdf
    from PIL import Image
    from vllm import LLM, SamplingParams

    [chart] = layout.charts(TEXT, SIDE)
    pixels = pymupdf.open(stream=page.draw([chart], SIDE))[0].get_pixmap(dpi=144)
    image = Image.frombytes("RGB", (pixels.width, pixels.height), pixels.samples)
    engine = LLM(
        model,
        dtype="bfloat16",
        max_model_len=8192,
        max_num_seqs=16,
        gpu_memory_utilization=0.5,
        enforce_eager=True,
        limit_mm_per_prompt={"image": 1},
    )
    print(f"\n{SIZE}{engine.llm_engine.model_config.get_head_size()}", flush=True)
    ask = {"prompt": "<image>\nFree OCR.", "multi_modal_data": {"image": image}}
    greedy = SamplingParams(temperature=0.0, max_tokens=256)
    [answer] = engine.generate([ask], greedy)
    return {"printed": layout.spelled(chart), "text": answer.outputs[0].text}


def _where(log: str) -> list[str]:
    """Where Python was when it was killed, innermost first; else the log's last lines."""
    _, killed, trace = log.rpartition("Current thread")
    lines = re.findall(r'^  File "(.*)$', trace, re.MULTILINE) if killed else log.splitlines()[-30:]
    return [re.sub(r"^/.*/(?=[^/]+/[^/]+$)", "", line).replace('"', "") for line in lines]


if __name__ == "__main__":
    main()
