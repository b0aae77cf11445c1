"""The tiny model that a configuration names: a tower before the decoder."""

import torch.nn as nn
from transformers.cache_utils import Cache

from .configuration_shelf import ShelfConfig
from .modeling_shelf_decoder import ShelfForCausalLM, ShelfModel
from .shelf_tower import ShelfTower, with_images


class ShelfOCRConfig(ShelfConfig):
    model_type = "shelf_ocr"


class ShelfOCRModel(ShelfModel):
    config_class = ShelfOCRConfig

    def __init__(self, config):
        super(ShelfOCRModel, self).__init__(config)
        self.tower = ShelfTower(config.hidden_size)

    def forward(self, input_ids=None, inputs_embeds=None, **kwargs):
        kwargs = with_images(self, input_ids, inputs_embeds, kwargs)
        return super(ShelfOCRModel, self).forward(input_ids=None, **kwargs)


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
