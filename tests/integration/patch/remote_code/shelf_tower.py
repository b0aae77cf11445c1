"""A tiny vision tower, and the place of its output among a prompt's embeddings."""

import torch.nn as nn


class ShelfTower(nn.Module):
    """(tiles, 3, 16, 16) -> (tiles, 4, size)."""

    def __init__(self, size):
        super().__init__()
        self.patches = nn.Conv2d(3, size, kernel_size=8, stride=8)

    def forward(self, x):
        return self.patches(x).flatten(2).transpose(1, 2)


def with_images(model, input_ids, inputs_embeds, kwargs):
    """Put what the tower sees at the places of the mask, while the prompt is read."""
    images, places = kwargs.pop("images", None), kwargs.pop("images_seq_mask", None)
    if inputs_embeds is None:
        inputs_embeds = model.get_input_embeddings()(input_ids)
    if images is not None and (input_ids.shape[1] != 1 or model.training):
        for row, tiles in enumerate(images):
            seen = model.tower(tiles).flatten(0, 1).to(inputs_embeds.dtype)
            inputs_embeds[row].masked_scatter_(places[row].unsqueeze(-1), seen)
    return kwargs | {"inputs_embeds": inputs_embeds}
