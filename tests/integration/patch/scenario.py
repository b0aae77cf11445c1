"""Run by an environment's Python: make the tiny model, or load it and write down its numbers.

scenario.py make FOLDER     config, tokenizer and seeded weights beside the remote code
scenario.py run FOLDER OUT  logits and tokens, as JSON
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoTokenizer

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
SPECIAL = ["<begin>", "<end>", "<pad>", "<image>"]
TEXT = "the quick brown  fox\nreads <image> the page"
CONFIG = {
    "architectures": ["ShelfOCRForCausalLM"],
    "auto_map": {
        "AutoConfig": "modeling_shelf.ShelfOCRConfig",
        "AutoModel": "modeling_shelf.ShelfOCRForCausalLM",
    },
    "model_type": "shelf_vl",
    "torch_dtype": "float32",
    "transformers_version": "4.46.3",
}


def make(folder: Path) -> None:
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    (folder / "config.json").write_text(json.dumps(CONFIG))
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
        "pad_token": SPECIAL[2],
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


def run(folder: Path) -> dict[str, object]:
    with torch.no_grad():
        return numbers_of(folder)


def numbers_of(folder: Path) -> dict[str, object]:
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    seen: dict[str, object] = {"config": type(config).__name__}
    ids = tokenizer(TEXT)["input_ids"]
    seen["text"] = [ids, tokenizer.decode(ids)]
    torch.manual_seed(1)
    ids = torch.randint(4, 90, (2, 11))
    mask = torch.ones_like(ids)
    ids[0, :4], mask[0, :4] = 2, 0
    image = torch.randn(2, 5, 32)
    kinds = ["eager"] if os.environ.get("DSK_NO_PATCH") else ["eager", "sdpa"]
    for kind in kinds:
        chosen = {} if kind == "eager" else {"attn_implementation": kind}
        model = AutoModel.from_pretrained(folder, trust_remote_code=True, **chosen).eval()
        assert model.config._attn_implementation == kind
        numbers: dict[str, object] = {}
        plain = model(input_ids=ids, attention_mask=mask, use_cache=False)
        numbers["forward"] = plain.logits.tolist()
        cached = model(input_ids=ids, attention_mask=mask, use_cache=True)
        numbers["forward cached"] = cached.logits.tolist()
        longer = torch.cat([mask, torch.ones(2, 1, dtype=mask.dtype)], dim=1)
        more = model(
            input_ids=ids[:, -1:],
            attention_mask=longer,
            past_key_values=cached.past_key_values,
            use_cache=True,
        )
        numbers["forward from a legacy cache"] = more.logits.tolist()
        looked = model(input_ids=ids, attention_mask=mask, images=image, use_cache=False)
        numbers["forward with an image"] = looked.logits.tolist()
        for name, use_cache in (("generate", True), ("generate uncached", False)):
            made = model.generate(
                ids,
                attention_mask=mask,
                images=image,
                max_new_tokens=32,
                do_sample=False,
                use_cache=use_cache,
                eos_token_id=None,
                pad_token_id=2,
                output_logits=True,
                return_dict_in_generate=True,
            )
            numbers[f"{name}: tokens"] = made.sequences.tolist()
            numbers[f"{name}: logits"] = torch.stack(made.logits).tolist()
        made = model.generate(ids[1:], max_new_tokens=8, do_sample=False, eos_token_id=None)
        numbers["generate without a mask: tokens"] = made.tolist()
        seen[kind] = numbers
    with tempfile.TemporaryDirectory() as saved:
        model.save_pretrained(saved)
        names = [path.name for path in Path(saved).glob("*.py")]
        same = [(Path(saved) / name).read_bytes() == (folder / name).read_bytes() for name in names]
    seen["saves the original"] = bool(names) and all(same)
    return seen


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    else:
        Path(sys.argv[3]).write_text(json.dumps(run(Path(sys.argv[2]))))
