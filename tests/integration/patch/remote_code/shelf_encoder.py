"""A tiny vision decoder whose mask is an override, as DeepSeek-OCR-2's is."""

import torch
import torch.nn as nn
import transformers


class ShelfEncoder(nn.Module):
    def __init__(self, size=32, layers=2):
        super().__init__()
        Qwen2Model = getattr(transformers.models.qwen2.modeling_qwen2, "Qwen2Model")
        Qwen2Config = getattr(transformers, "Qwen2Config")
        config = Qwen2Config(
            hidden_size=size,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=48,
            vocab_size=8,
            rope_theta=1000000.0,
            max_position_embeddings=512,
            initializer_range=0.2,
            _attn_implementation="sdpa",
        )
        self.model = self._make(Qwen2Model, config)
        del self.model.embed_tokens

    def _make(self, Qwen2Model, config):
        class Inner(Qwen2Model):
            def forward(self, inputs_embeds=None, token_type_ids=None, attention_mask=None, **kwargs):
                self._types = token_type_ids
                return super().forward(
                    inputs_embeds=inputs_embeds, attention_mask=attention_mask, **kwargs
                )

            def _update_causal_mask(
                self, attention_mask, input_tensor, cache_position, past_key_values, output_attentions
            ):
                """Image tokens see each other; queries see them and the queries before."""
                least = torch.finfo(input_tensor.dtype).min
                query = self._types[:, :, None] == 1
                image = self._types[:, None, :] == 0
                n = input_tensor.shape[1]
                before = torch.tril(torch.ones(n, n, dtype=torch.bool, device=input_tensor.device))
                allowed = image | (query & before[None])
                mask = torch.zeros(allowed.shape, dtype=input_tensor.dtype)
                return mask.masked_fill(~allowed, least)[:, None]

        return Inner(config)

    def forward(self, x):
        """(batch, tokens, size): as many queries are appended, and returned."""
        both = torch.cat([x, x.flip(1)], dim=1)
        types = torch.cat([torch.zeros(x.shape[:2]), torch.ones(x.shape[:2])], dim=1).long()
        out = self.model(
            inputs_embeds=both,
            token_type_ids=types,
            use_cache=None,
            output_attentions=False,
            return_dict=True,
            cache_position=None,
        )
        return out[0][:, x.shape[1] :]
