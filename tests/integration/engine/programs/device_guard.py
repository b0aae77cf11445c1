"""The guard in vLLM's V2 interface, on random batches: its bans against the rescanning rule's.

Prints, as JSON, how many rows and bans were compared, and which class each runner's loader makes.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import build_logitsprocs
from vllm.v1.worker.gpu.sample.logits_processor import build_custom_logits_processors
from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsContext

from dsk.vllm_plugin.guard.ngram import GuardSettings

NAME = "dsk.vllm_plugin.v1.guard:NgramGuardProcessor"
SLOTS, CONTEXT, VOCABULARY = 7, 400, 40
STEPS = 900
# Of the models: pages, Unlimited-OCR's pages and its documents; and small ones, which ban often.
SETTINGS = ((20, 50), (20, 90), (35, 128), (2, 9), (3, 30), (4, 3), (5, 5), (2, 1))
CPU = torch.device("cpu")


def rescanned(output: list[int], settings: GuardSettings | None) -> set[int]:
    """The published rule, written plainly: look through the window for the last tokens."""
    if settings is None or len(output) < settings.ngram_size:
        return set()
    size = settings.ngram_size
    prefix = output[len(output) - size + 1 :]
    starts = range(max(0, len(output) - settings.window_size), len(output) - size + 1)
    follow = {output[i + size - 1] for i in starts if output[i : i + size - 1] == prefix}
    return follow - settings.whitelist_token_ids


@dataclass
class Request:
    """A request with its tokens so far."""

    params: SamplingParams
    settings: GuardSettings | None
    prompt: list[int]
    output: list[int]
    period: int

    def next_token(self, rng: random.Random) -> int:
        """Go round in a loop mostly, so that long n-grams repeat."""
        if len(self.output) >= self.period and rng.random() < 0.97:
            return self.output[-self.period]
        return rng.randrange(4)


def request(rng: random.Random) -> Request:
    args: dict[str, Any] = {}
    if rng.random() < 0.85:
        size, window = rng.choice(SETTINGS)
        args = {"ngram_size": size, "window_size": window}
        if rng.random() < 0.5:
            # One list is mostly that of all; the others make rows of the table change hands.
            some = rng.sample(range(VOCABULARY + 3), rng.randrange(3))
            args["whitelist_token_ids"] = rng.choice([[0, 1], some])
    return Request(
        SamplingParams(extra_args=args),
        GuardSettings.from_args(args),
        # A prompt's tokens are as those of the output, and do not count.
        [rng.randrange(4) for _ in range(rng.randrange(1, 60))],
        [],
        rng.randrange(1, 40),
    )


class Engine:
    """The parts of the runner that a processor sees: slots, and what is committed to them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.tokens = torch.randint(0, VOCABULARY, (SLOTS, CONTEXT), dtype=torch.int32)
        self.prompt_lengths = torch.zeros(SLOTS, dtype=torch.int32)
        self.running: dict[int, Request] = {}
        states = SimpleNamespace(
            device=CPU,
            max_num_reqs=SLOTS,
            vocab_size=VOCABULARY,
            all_token_ids=SimpleNamespace(gpu=self.tokens),
            prompt_len=SimpleNamespace(gpu=self.prompt_lengths),
            prefill_len=None,
            total_len=None,
        )
        (self.guard,) = build_custom_logits_processors(
            None,
            states,
            is_pooling_model=False,
            custom_logitsprocs=[NAME],
        )

    def admit(self, new: Request) -> None:
        slot = self.rng.choice([slot for slot in range(SLOTS) if slot not in self.running])
        self.running[slot] = new
        known = new.prompt + new.output
        self.tokens[slot, : len(known)] = torch.tensor(known, dtype=torch.int32)
        self.prompt_lengths[slot] = len(new.prompt)
        guarded = self.guard.add_request(slot, new.params)
        able = new.settings is not None and new.settings.window_size >= new.settings.ngram_size
        assert guarded == able

    def step(self) -> tuple[int, int]:
        """Run a step; return the rows and the bans that were compared."""
        self.guard.apply_staged_writes()
        batch = self.rng.sample(sorted(self.running), len(self.running))
        drafting = self.rng.random() < 0.3
        slots, offsets, inputs, ends, seen = [], [], [], [], []
        for slot in batch:
            here = self.running[slot]
            known = here.prompt + here.output
            if not here.output and self.rng.random() < 0.2:  # a part of the prompt
                known = known[: self.rng.randrange(1, len(known) + 1)]
            drafts: list[int] = []
            for _ in range(self.rng.randrange(4) if drafting and here.output else 0):
                ahead = Request(here.params, None, [], here.output + drafts, here.period)
                drafts.append(ahead.next_token(self.rng))
            for offset, token in enumerate([known[-1], *drafts]):
                slots.append(slot)
                offsets.append(offset)
                inputs.append(token)
                ends.append(len(known) - 1 + offset)
                seen.append((known + drafts[:offset])[len(here.prompt) :])
        self.compare(batch, slots, offsets, inputs, ends, seen)
        bans = sum(
            len(rescanned(output, self.running[slot].settings))
            for slot, output in zip(slots, seen, strict=True)
        )
        for slot, here in list(self.running.items()):
            here.output.append(here.next_token(self.rng))
            length = len(here.prompt) + len(here.output)
            self.tokens[slot, length - 1] = here.output[-1]
            if length > CONTEXT - 9 or self.rng.random() < 0.005:
                del self.running[slot]
            elif self.rng.random() < 0.01:  # preempted: it comes back with its tokens
                self.admit(self.running.pop(slot))
        return len(slots), bans

    def compare(
        self,
        batch: list[int],
        slots: list[int],
        offsets: list[int],
        inputs: list[int],
        ends: list[int],
        seen: list[list[int]],
    ) -> None:
        logits = torch.rand(len(slots), VOCABULARY)
        expected = logits.clone()
        for row, (slot, output) in enumerate(zip(slots, seen, strict=True)):
            for token in rescanned(output, self.running[slot].settings):
                expected[row, token] = -float("inf")
        context = LogitsContext(
            expanded_idx_mapping=torch.tensor(slots, dtype=torch.int32),
            idx_mapping=torch.tensor(batch, dtype=torch.int32),
            idx_mapping_np=np.array(batch, np.int32),
            expanded_local_pos=torch.tensor(offsets, dtype=torch.int32),
            input_ids=torch.tensor(inputs, dtype=torch.int32),
            pos=torch.tensor(ends),
            seq_lens_upper_bound_np=np.array(ends, np.int32) + 1,
        )
        assert torch.equal(self.guard.apply(logits, context), expected)


def main() -> None:
    rows = bans = 0
    for seed in range(3):
        rng = random.Random(seed)
        engine = Engine(rng)
        for _ in range(STEPS // 3):
            while not engine.running or (len(engine.running) < SLOTS and rng.random() < 0.3):
                engine.admit(request(rng))
            step = engine.step()
            rows, bans = rows + step[0], bans + step[1]
    config = SimpleNamespace(
        speculative_config=None,
        scheduler_config=SimpleNamespace(max_num_seqs=4),
        model_config=SimpleNamespace(max_model_len=9),
    )
    old = build_logitsprocs(config, CPU, False, False, [NAME])
    classes = [type(engine.guard).__name__, *(type(each).__name__ for each in old.all)]
    print(json.dumps({"rows": rows, "bans": bans, "classes": classes}))


if __name__ == "__main__":
    main()
