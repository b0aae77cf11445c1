"""The tiny model that a configuration names: an encoder before the decoder."""

import torch
import torch.nn as nn
from transformers.cache_utils import Cache

from .configuration_shelf import ShelfConfig
from .modeling_shelf_decoder import ShelfForCausalLM, ShelfModel
from .shelf_encoder import ShelfEncoder


class ShelfOCRConfig(ShelfConfig):
    model_type = "shelf_ocr"


class ShelfOCRModel(ShelfModel):
    config_class = ShelfOCRConfig

    def __init__(self, config):
        super(ShelfOCRModel, self).__init__(config)
        self.encoder = ShelfEncoder()
        self.projector = nn.Linear(32, config.hidden_size)
        self.view_seperator = nn.Parameter(torch.randn(config.hidden_size))

    def forward(self, input_ids=None, inputs_embeds=None, images=None, **kwargs):
        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
        if images is not None and input_ids.shape[1] != 1:
            seen = self.projector(self.encoder(images)) + self.view_seperator
            inputs_embeds = torch.cat([seen, inputs_embeds[:, seen.shape[1] :]], dim=1)
        return super(ShelfOCRModel, self).forward(
            input_ids=None, inputs_embeds=inputs_embeds, **kwargs
        )


class ShelfOCRForCausalLM(ShelfForCausalLM):
    config_class = ShelfOCRConfig

    def __init__(self, config):
        super(ShelfForCausalLM, self).__init__(config)
        self.model = ShelfOCRModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def prepare_inputs_for_generation(self, input_ids, past_key_values=None, **kwargs):
        if isinstance(past_key_values, Cache):
            assert past_key_values.get_max_length() is None
        return super().prepare_inputs_for_generation(
            input_ids, past_key_values=past_key_values, **kwargs
        )

    def plot(self, lines, path):
        import matplotlib.pyplot as plt

        plt.plot(lines)
        plt.savefig(path)
