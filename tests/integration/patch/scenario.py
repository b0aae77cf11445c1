"""Run by an environment's Python: make the tiny models, or load them and write down their numbers.

scenario.py make FOLDER     config, tokenizer and seeded weights beside each model's remote code
scenario.py run FOLDER OUT  logits, tokens, and how many tokens each step was given, as JSON
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoTokenizer, DynamicCache

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
SPECIAL = ["<begin>", "<end>", "<pad>", "<image>"]
TEXT = "the quick brown  fox\nreads <image> the page"
PAD, IMAGE = 2, 3
# Of each model whose shape a tiny one has, the tiny one's module and classes.
MODELS = {
    "deepseek-ocr": ("modeling_shelf", "ShelfOCR"),
    "deepseek-ocr-2": ("modeling_shelf2", "ShelfOCR2"),
    "unlimited-ocr": ("modeling_shelf_window", "ShelfWindow"),
}
WINDOW = 4


def configuration(name: str) -> dict[str, Any]:
    module, classes = MODELS[name]
    return {
        "architectures": [f"{classes}ForCausalLM"],
        "auto_map": {
            "AutoConfig": f"{module}.{classes}Config",
            "AutoModel": f"{module}.{classes}ForCausalLM",
        },
        "model_type": "shelf_vl",
        "torch_dtype": "float32",
        "transformers_version": "4.46.3",
    } | ({"sliding_window": WINDOW} if name == "unlimited-ocr" else {})


def make(folder: Path, name: str) -> None:
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    (folder / "config.json").write_text(json.dumps(configuration(name)))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(set("the quick brown fox reads page.Ġ Ċ".replace(" ", "")))
    trainer = trainers.BpeTrainer(vocab_size=90, special_tokens=SPECIAL, initial_alphabet=alphabet)
    tokenizer.train_from_iterator([TEXT.replace("<image>", "")] * 9, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    declared = {
        "tokenizer_class": "LlamaTokenizerFast",
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": SPECIAL[0],
        "eos_token": SPECIAL[1],
        "pad_token": SPECIAL[PAD],
        "unk_token": None,
        "legacy": True,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(declared))
    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    model = AutoModel.from_config(config, trust_remote_code=True)
    weights = {name: x.contiguous().clone() for name, x in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def prompts(*rows: tuple[int, int]) -> dict[str, Any]:
    """Inputs of a batch, padded on the left: for each row its tiles and its words."""
    generator = torch.Generator().manual_seed(1)
    ids, seen, images = [], [], []
    for tiles, words in rows:
        text = torch.randint(4, 90, (words,), generator=generator).tolist()
        images.append(torch.randn(tiles, 3, 16, 16, generator=generator))
        ids.append([0] + [IMAGE] * (4 * tiles) + text)
        seen.append([False] + [True] * (4 * tiles) + [False] * words)
    longest = max(map(len, ids))
    missing = [longest - len(row) for row in ids]
    inputs: dict[str, Any] = {
        "input_ids": torch.tensor([[PAD] * n + row for n, row in zip(missing, ids, strict=True)]),
        "attention_mask": torch.tensor([[0] * n + [1] * (longest - n) for n in missing]),
    }
    if any(tiles for tiles, _ in rows):
        inputs["images"] = images
        inputs["images_seq_mask"] = torch.tensor(
            [[False] * n + row for n, row in zip(missing, seen, strict=True)]
        )
    return inputs


class Run:
    """One model in one attention, and what it gave: by part, by name."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.parts: dict[str, dict[str, Any]] = {}
        self._fed: list[int] = []
        model.model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, _module: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        self._fed.append(kwargs["input_ids"].shape[1])

    def logits(self, part: str, name: str, logits: torch.Tensor) -> None:
        self.parts.setdefault(part, {})[name] = {"logits": logits.float().tolist()}

    def forward(self, part: str, name: str, **inputs: Any) -> Any:
        outputs = self.model(**inputs)
        self.logits(part, name, outputs.logits)
        return outputs.past_key_values

    def generate(self, part: str, name: str, tokens: int = 24, **inputs: Any) -> Any:
        self._fed.clear()
        chosen = {
            "max_new_tokens": tokens,
            "do_sample": False,
            "eos_token_id": None,
            "pad_token_id": PAD,
            "output_logits": True,
            "return_dict_in_generate": True,
        }
        made = self.model.generate(**chosen | inputs)
        self.parts.setdefault(part, {})[name] = {
            "tokens": made.sequences.tolist(),
            "logits": torch.stack(made.logits).tolist(),
            "fed": list(self._fed),
        }
        return made


def common(run: Run) -> None:
    """What each model is asked for."""
    one, two = prompts((0, 9)), prompts((0, 6), (0, 11))
    seen, several = prompts((2, 5)), prompts((1, 7), (2, 4))
    run.forward("text", "forward", use_cache=False, **one)
    run.generate("text", "cached", **one)
    run.generate("text", "uncached", use_cache=False, **one)
    run.generate("text", "without a mask", input_ids=one["input_ids"])
    run.generate("text", "in a cache of the caller's", past_key_values=DynamicCache(), **one)
    sampled = {"do_sample": True, "top_k": 20}
    torch.manual_seed(2)
    run.generate("text", "sampled", **one | sampled)
    run.generate(
        "text", "with prompt lookup", prompt_lookup_num_tokens=3, **one | {"eos_token_id": 1}
    )
    first = run.generate("text", "first part", 5, **one)
    more = {"input_ids": first.sequences, "past_key_values": first.past_key_values}
    run.generate("text", "second part", 5, **more)

    run.forward("image", "forward", use_cache=False, **seen)
    run.generate("image", "cached", **seen)
    without = {name: x for name, x in seen.items() if name != "attention_mask"}
    run.generate("image", "without a mask", **without)

    run.forward("batch", "forward", use_cache=False, **two)
    past = run.forward("batch", "forward cached", use_cache=True, **two)
    longer = torch.cat([two["attention_mask"], torch.ones(2, 1, dtype=torch.long)], dim=1)
    step = {"input_ids": two["input_ids"][:, -1:], "attention_mask": longer}
    run.forward("batch", "step after it", past_key_values=past, use_cache=True, **step)
    run.generate("batch", "text", **two)
    run.generate("batch", "images", **several)

    run.generate("beams", "text", num_beams=3, num_return_sequences=2, **two)
    run.generate("beams", "uncached", 6, num_beams=3, use_cache=False, **two)
    run.generate("beams", "image", num_beams=3, **seen)


def windowed(run: Run) -> None:
    """Unlimited-OCR's own way: it hides the window from generation and keeps it itself."""
    config = run.model.config
    config._ring_window, config.sliding_window = WINDOW, None
    run.generate("text", "windowed", **prompts((0, 9)))
    run.generate("image", "windowed", **prompts((2, 5)))
    run.generate("batch", "windowed", **prompts((1, 7), (2, 4)))
    run.generate("beams", "windowed", num_beams=3, **prompts((2, 5)))


def loaded(folder: Path, **chosen: Any) -> Any:
    return AutoModel.from_pretrained(folder, trust_remote_code=True, **chosen).eval()


def numbers_of(folder: Path, name: str) -> dict[str, Any]:
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    ids = tokenizer(TEXT)["input_ids"]
    seen: dict[str, Any] = {
        "config": type(config).__name__,
        "text": [ids, tokenizer.decode(ids)],
    }
    # The published code has eager attention alone, and Unlimited-OCR's stays so.
    alone = os.environ.get("DSK_NO_PATCH") or name == "unlimited-ocr"
    for kind in ["eager"] if alone else ["eager", "sdpa"]:
        run = Run(loaded(folder, **{} if kind == "eager" else {"attn_implementation": kind}))
        assert run.model.config._attn_implementation == kind
        common(run)
        if name == "unlimited-ocr":
            windowed(run)
        seen[kind] = run.parts
    run = Run(loaded(folder, torch_dtype=torch.bfloat16))
    run.forward("bfloat16", "loaded", use_cache=False, **prompts((0, 6), (0, 11)))
    run.model = loaded(folder).to(torch.bfloat16)
    run.forward("bfloat16", "converted", use_cache=False, **prompts((0, 6), (0, 11)))
    seen["eager"] |= run.parts
    with tempfile.TemporaryDirectory() as saved:
        run.model.save_pretrained(saved)
        names = [path.name for path in Path(saved).glob("*.py")]
        same = [(Path(saved) / name).read_bytes() == (folder / name).read_bytes() for name in names]
    seen["saves the original"] = bool(names) and all(same)
    return seen


if __name__ == "__main__":
    if sys.argv[1] == "make":
        for name in MODELS:
            make(Path(sys.argv[2]) / name, name)
    else:
        with torch.no_grad():
            numbers = {name: numbers_of(Path(sys.argv[2]) / name, name) for name in MODELS}
        Path(sys.argv[3]).write_text(json.dumps(numbers))
