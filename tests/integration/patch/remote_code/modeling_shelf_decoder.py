"""A tiny decoder that leans on transformers 4.46.3 the way the model's does."""

import torch
import torch.utils.checkpoint
from torch import nn
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_attn_mask_utils import _prepare_4d_causal_attention_mask
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaFlashAttention2
from transformers.pytorch_utils import (
    ALL_LAYERNORM_LAYERS,
    is_torch_greater_or_equal_than_1_13,
)
from transformers.utils import (
    add_start_docstrings,
    add_start_docstrings_to_model_forward,
    is_flash_attn_2_available,
    is_flash_attn_greater_or_equal_2_10,
    logging,
    replace_return_docstrings,
)
from transformers.utils.import_utils import is_torch_fx_available

from .configuration_shelf import ShelfConfig

if is_flash_attn_2_available():
    from flash_attn import flash_attn_func  # noqa

if is_torch_fx_available():
    if not is_torch_greater_or_equal_than_1_13:
        import torch.fx

    _prepare_4d_causal_attention_mask = torch.fx.wrap(_prepare_4d_causal_attention_mask)

logger = logging.get_logger(__name__)

TEXT = "A tiny decoder. "


class ShelfNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        dtype, x = x.dtype, x.to(torch.float32)
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * x.to(dtype)


ALL_LAYERNORM_LAYERS.append(ShelfNorm)


class ShelfOwnAttention(nn.Module):
    """Stands where the model has its latent attention, which its configuration does not use."""

    def __init__(self, config, layer_idx=None):
        super().__init__()
        self.top_left = not is_flash_attn_greater_or_equal_2_10()


ATTENTION_CLASSES = {
    "eager": ShelfOwnAttention,
    "mla_eager": ShelfOwnAttention,
    "mha_eager": LlamaAttention,
    "mha_flash_attention_2": LlamaFlashAttention2,
}


class ShelfLayer(nn.Module):
    def __init__(self, config, layer_idx, classes):
        super().__init__()
        kind = ("mla_" if config.use_mla else "mha_") + config._attn_implementation
        self.self_attn = classes[kind](config=config, layer_idx=layer_idx)
        self.up = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.act = ACT2FN[config.hidden_act]
        self.norm1 = ShelfNorm(config.hidden_size, config.rms_norm_eps)
        self.norm2 = ShelfNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x, attention_mask, position_ids, past_key_value, output_attentions, use_cache):
        mixed, weights, present = self.self_attn(
            hidden_states=self.norm1(x),
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_value=past_key_value,
            output_attentions=output_attentions,
            use_cache=use_cache,
        )
        x = x + mixed
        return x + self.down(self.act(self.up(self.norm2(x)))), weights, present


@add_start_docstrings("The bare decoder.", TEXT)
class ShelfPreTrainedModel(PreTrainedModel):
    config_class = ShelfConfig
    base_model_prefix = "model"
    _no_split_modules = ["ShelfLayer"]
    _skip_keys_device_placement = "past_key_values"
    _supports_flash_attn_2 = True
    _supports_cache_class = True

    def _init_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            module.weight.data.normal_(mean=0.0, std=self.config.initializer_range)


class ShelfModel(ShelfPreTrainedModel):
    attention_classes = ATTENTION_CLASSES

    def __init__(self, config):
        super().__init__(config)
        self.padding_idx = config.pad_token_id
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, self.padding_idx)
        self.layers = nn.ModuleList(
            [
                ShelfLayer(config, i, self.attention_classes)
                for i in range(config.num_hidden_layers)
            ]
        )
        self._use_flash_attention_2 = config._attn_implementation == "flash_attention_2"
        self.norm = ShelfNorm(config.hidden_size, config.rms_norm_eps)
        # A buffer that is computed and not saved.
        ramp = torch.linspace(0.5, 1.5, config.hidden_size, dtype=torch.float32)
        self.register_buffer("ramp", ramp, persistent=False)
        self.steps = [x.item() for x in torch.linspace(0, 1, 3)]
        self.post_init()

    def get_input_embeddings(self):
        return self.embed_tokens

    def set_input_embeddings(self, value):
        self.embed_tokens = value

    @add_start_docstrings_to_model_forward(TEXT)
    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        inputs_embeds=None,
        use_cache=None,
        output_attentions=None,
        output_hidden_states=None,
        return_dict=None,
        cache_position=None,
    ):
        output_attentions = (
            output_attentions if output_attentions is not None else self.config.output_attentions
        )
        use_cache = use_cache if use_cache is not None else self.config.use_cache
        return_dict = return_dict if return_dict is not None else self.config.use_return_dict
        if inputs_embeds is None:
            inputs_embeds = self.embed_tokens(input_ids)
        batch_size, seq_length = inputs_embeds.shape[:2]

        past_key_values_length = 0
        if use_cache:
            use_legacy_cache = not isinstance(past_key_values, Cache)
            if use_legacy_cache:
                past_key_values = DynamicCache.from_legacy_cache(past_key_values)
            past_key_values_length = past_key_values.get_usable_length(seq_length)
        if position_ids is None:
            position_ids = torch.arange(
                past_key_values_length,
                seq_length + past_key_values_length,
                device=inputs_embeds.device,
            ).unsqueeze(0)
        if self._use_flash_attention_2:
            attention_mask = (
                attention_mask if attention_mask is not None and 0 in attention_mask else None
            )
        else:
            attention_mask = _prepare_4d_causal_attention_mask(
                attention_mask, (batch_size, seq_length), inputs_embeds, past_key_values_length
            )
        x = inputs_embeds * self.ramp.to(inputs_embeds.dtype)
        seen = ()
        present = None
        for layer in self.layers:
            x, weights, present = layer(
                x, attention_mask, position_ids, past_key_values, output_attentions, use_cache
            )
            seen += (weights,)
        x = self.norm(x)
        cache = None
        if use_cache:
            cache = present.to_legacy_cache() if use_legacy_cache else present
        if not return_dict:
            return tuple(v for v in (x, cache) if v is not None)
        return BaseModelOutputWithPast(
            last_hidden_state=x,
            past_key_values=cache,
            attentions=seen if output_attentions else None,
        )


class ShelfForCausalLM(ShelfPreTrainedModel):
    _tied_weights_keys = ["lm_head.weight"]

    def __init__(self, config):
        super().__init__(config)
        self.model = ShelfModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self):
        return self.model.embed_tokens

    def get_output_embeddings(self):
        return self.lm_head

    @replace_return_docstrings(output_type=CausalLMOutputWithPast, config_class="ShelfConfig")
    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        inputs_embeds=None,
        use_cache=None,
        output_attentions=None,
        output_hidden_states=None,
        return_dict=None,
        cache_position=None,
        images=None,
        images_seq_mask=None,
    ):
        r"""
        Returns:
        """
        return_dict = return_dict if return_dict is not None else self.config.use_return_dict
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            output_attentions=output_attentions,
            return_dict=return_dict,
            images=images,
            images_seq_mask=images_seq_mask,
        )
        return CausalLMOutputWithPast(
            logits=self.lm_head(outputs[0]).float(),
            past_key_values=outputs.past_key_values,
            attentions=outputs.attentions,
        )

    def prepare_inputs_for_generation(
        self, input_ids, past_key_values=None, attention_mask=None, inputs_embeds=None, **kwargs
    ):
        past_length = 0
        if past_key_values is not None:
            if isinstance(past_key_values, Cache):
                cache_length = past_key_values.get_seq_length()
                past_length = past_key_values.seen_tokens
                max_cache_length = past_key_values.get_max_length()
            else:
                cache_length = past_length = past_key_values[0][0].shape[2]
                max_cache_length = None
            if attention_mask is not None and attention_mask.shape[1] > input_ids.shape[1]:
                input_ids = input_ids[:, -(attention_mask.shape[1] - past_length) :]
            elif past_length < input_ids.shape[1]:
                input_ids = input_ids[:, past_length:]
            if max_cache_length is not None and cache_length >= max_cache_length:
                attention_mask = attention_mask[:, -max_cache_length:]
        position_ids = kwargs.get("position_ids", None)
        if attention_mask is not None and position_ids is None:
            position_ids = attention_mask.long().cumsum(-1) - 1
            position_ids.masked_fill_(attention_mask == 0, 1)
            if past_key_values:
                position_ids = position_ids[:, -input_ids.shape[1] :]
        return {
            "input_ids": input_ids,
            "position_ids": position_ids,
            "past_key_values": past_key_values,
            "use_cache": kwargs.get("use_cache"),
            "attention_mask": attention_mask,
            "images": kwargs.get("images", None),
            "images_seq_mask": kwargs.get("images_seq_mask", None),
        }

    @staticmethod
    def _reorder_cache(past_key_values, beam_idx):
        reordered_past = ()
        for layer_past in past_key_values:
            reordered_past += (
                tuple(x.index_select(0, beam_idx.to(x.device)) for x in layer_past),
            )
        return reordered_past
