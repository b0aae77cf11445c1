"""The tiny model of the second kind: its tower is a decoder whose mask is an override."""

import torch
import torch.nn as nn

from .configuration_shelf import ShelfConfig
from .modeling_shelf_decoder import ShelfForCausalLM, ShelfModel
from .shelf_encoder import ShelfEncoder
from .shelf_tower import ShelfTower, with_images


class ShelfOCR2Config(ShelfConfig):
    model_type = "shelf_ocr2"


class ShelfDecodingTower(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.tower = ShelfTower(32)
        self.encoder = ShelfEncoder(32)
        self.projector = nn.Linear(32, size)
        self.view_seperator = nn.Parameter(torch.randn(size))

    def forward(self, x):
        return self.projector(self.encoder(self.tower(x))) + self.view_seperator


class ShelfOCR2Model(ShelfModel):
    config_class = ShelfOCR2Config

    def __init__(self, config):
        super(ShelfOCR2Model, self).__init__(config)
        self.tower = ShelfDecodingTower(config.hidden_size)

    def forward(self, input_ids=None, inputs_embeds=None, **kwargs):
        kwargs = with_images(self, input_ids, inputs_embeds, kwargs)
        return super(ShelfOCR2Model, self).forward(input_ids=None, **kwargs)


class ShelfOCR2ForCausalLM(ShelfForCausalLM):
    config_class = ShelfOCR2Config

    def __init__(self, config):
        super(ShelfForCausalLM, self).__init__(config)
        self.model = ShelfOCR2Model(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()
