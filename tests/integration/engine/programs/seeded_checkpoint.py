"""Write a checkpoint of real-size towers and a small decoder, all drawn from one seed.

Usage: seeded_checkpoint.py FOLDER MODEL_ID [mla]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from dsk.models import profile
from dsk.vllm_plugin.towers.tower import VisionTower

if TYPE_CHECKING:
    from dsk.models.base import ModelProfile

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"  # noqa: RUF001
SPECIAL = (BOS, EOS, PAD, "<image>", "<|grounding|>", "<|ref|>", "<|/ref|>", "<td>", "</td>")
VOCABULARY = 320
LANGUAGE = {
    "architectures": ["DeepseekV2ForCausalLM"],
    "bos_token_id": 0,
    "eos_token_id": 1,
    "first_k_dense_replace": 1,
    "hidden_size": 1280,
    "intermediate_size": 256,
    "kv_lora_rank": None,
    "max_position_embeddings": 8192,
    "moe_intermediate_size": 128,
    "n_group": 1,
    "n_routed_experts": 8,
    "n_shared_experts": 2,
    "num_attention_heads": 10,
    "num_experts_per_tok": 6,
    "num_hidden_layers": 2,
    "num_key_value_heads": 10,
    "q_lora_rank": None,
    "qk_nope_head_dim": 0,
    "qk_rope_head_dim": 0,
    "topk_group": 1,
    "topk_method": "greedy",
    "torch_dtype": "bfloat16",
    "use_mla": False,
    "v_head_dim": 0,
    "vocab_size": VOCABULARY,
}
MLA = {
    "use_mla": True,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
}

MHA_SHAPES = dict.fromkeys(("q_proj", "k_proj", "v_proj", "o_proj"), (1280, 1280))
MLA_SHAPES = {
    "q_proj": (10 * (128 + 64), 1280),
    "kv_a_proj_with_mqa": (512 + 64, 1280),
    "kv_b_proj": (10 * (128 + 128), 512),
    "o_proj": (1280, 10 * 128),
}


def main(folder: Path, model: ModelProfile, *, mla: bool) -> None:
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    language = LANGUAGE | (MLA if mla else {})
    tensors = vision(model) | decoder(language)
    save_file({name: t.bfloat16() for name, t in tensors.items()}, folder / "model.safetensors")
    write(folder / "config.json", configuration(model, language))
    write(folder / "processor_config.json", PROCESSOR)
    write(folder / "generation_config.json", {"bos_token_id": 0, "eos_token_id": 1})
    tokenizer(folder)


def vision(model: ModelProfile) -> dict[str, torch.Tensor]:
    """Default initialisation, and positions, which it leaves at zero, of a size that matters.

    Queries would look at all features alike, and so at all images: they get preferences.
    """
    tower = VisionTower(model, 1280, patches_per_pass=1)
    for name, parameter in tower.named_parameters():
        if "pos_embed" in name or "rel_pos" in name:
            torch.nn.init.normal_(parameter, std=0.05)
        if "qwen2_model" in name and name.endswith(("q_proj.weight", "k_proj.weight")):
            torch.nn.init.normal_(parameter, std=0.08)
    return {f"model.{name}": tensor for name, tensor in tower.state_dict().items()}


def decoder(text: dict[str, object]) -> dict[str, torch.Tensor]:
    wide = 1280
    found = {
        "model.embed_tokens.weight": torch.randn(VOCABULARY, wide),
        "model.norm.weight": torch.ones(wide),
        "lm_head.weight": torch.randn(VOCABULARY, wide) * 0.1,
    }
    for layer in range(2):
        at = f"model.layers.{layer}"
        found[f"{at}.input_layernorm.weight"] = torch.ones(wide)
        found[f"{at}.post_attention_layernorm.weight"] = torch.ones(wide)
        for name, shape in (MLA_SHAPES if text["use_mla"] else MHA_SHAPES).items():
            # More than that of the rest, or all answers soon repeat one token.
            found[f"{at}.self_attn.{name}.weight"] = torch.randn(shape) * 0.05
        if text["use_mla"]:
            found[f"{at}.self_attn.kv_a_layernorm.weight"] = torch.ones(512)
        if layer:
            found[f"{at}.mlp.gate.weight"] = torch.randn(8, wide) * 0.03
            found |= mlp(f"{at}.mlp.shared_experts", 256)
            for expert in range(8):
                found |= mlp(f"{at}.mlp.experts.{expert}", 128)
        else:
            found |= mlp(f"{at}.mlp", 256)
    return found


def mlp(at: str, inner: int) -> dict[str, torch.Tensor]:
    return {
        f"{at}.gate_proj.weight": torch.randn(inner, 1280) * 0.03,
        f"{at}.up_proj.weight": torch.randn(inner, 1280) * 0.03,
        f"{at}.down_proj.weight": torch.randn(1280, inner) * 0.03,
    }


def configuration(model: ModelProfile, language: dict[str, object]) -> dict[str, object]:
    return {
        "candidate_resolutions": [[1024, 1024]],
        "global_view_pos": "head",
        "language_config": language,
        "model_type": "deepseek_vl_v2",
        "projector_config": {
            "input_dim": model.record.vision.features,
            "model_type": "mlp_projector",
            "n_embed": 1280,
            "projector_type": "linear",
        },
        "tile_tag": "2D",
        "torch_dtype": "bfloat16",
        "vision_config": {"image_size": 1024, "model_name": "deeplip_b_l", "model_type": "vision"},
        **language,
        # After the decoder's own: the whole model's name is the one that counts.
        "architectures": [model.record.architecture],
    }


PROCESSOR = {
    "add_special_token": False,
    "candidate_resolutions": [[1024, 1024]],
    "downsample_ratio": 4,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "image_token": "<image>",
    "mask_prompt": False,
    "normalize": True,
    "pad_token": PAD,
    "patch_size": 16,
    "processor_class": "DeepseekVLV2Processor",
    "sft_format": "deepseek",
}


def tokenizer(folder: Path) -> None:
    words = {word: number for number, word in enumerate((BOS, EOS, PAD))}
    for letter in sorted(pre_tokenizers.ByteLevel.alphabet()):
        words[letter] = len(words)
    made = Tokenizer(models.BPE(vocab=words, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(word, normalized=False, special=True) for word in SPECIAL])
    made.save(str(folder / "tokenizer.json"))
    write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "LlamaTokenizerFast",
            "bos_token": BOS,
            "eos_token": EOS,
            "pad_token": PAD,
            "add_bos_token": True,
            "add_eos_token": False,
            "clean_up_tokenization_spaces": False,
            "legacy": True,
            "model_max_length": 8192,
        },
    )


def write(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), profile(sys.argv[2]), mla="mla" in sys.argv[3:])
