"""No-repeat n-gram guard for a whole batch on the device that holds its tokens and logits.

The rule is that of `dsk.vllm_plugin.guard.ngram`. Nothing is kept from step to step: the last
tokens of each row are compared with themselves at every distance within the window. All shapes
follow from numbers that the host knows, so that it never waits for the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from torch import Tensor

# Comparisons at once, a byte each: rows of the largest windows are done in turns. 256 rows of the
# longest window that models ask for, 35 tokens within 128, are 0.8 million.
_AT_ONCE: Final = 1 << 25


@dataclass(frozen=True, kw_only=True, eq=False)
class Histories:
    """Tokens of a step's rows of logits.

    Args:
        tokens: int32 (slots, context): the tokens of each slot's request, prompt first.
        prompt_lengths: int32 (slots,): tokens of each prompt.
        slots: (rows,): the slot of each row.
        ends: (rows,): position of the last token that each row has seen.
        drafts: None, or for rows that have seen draft tokens ``offsets`` (rows,), the place of each
            row among those of its request, and ``inputs`` (rows,), the last token that it has seen.
    """

    tokens: Tensor
    prompt_lengths: Tensor
    slots: Tensor
    ends: Tensor
    drafts: tuple[Tensor, Tensor] | None = None

    def last(self, rows: slice, count: int) -> Tensor:
        """Return the last tokens of some rows, int64 (rows, count), the newest one first.

        Places before the first token hold any token.
        """
        slots, ends = self.slots[rows].long()[:, None], self.ends[rows].long()[:, None]
        back = torch.arange(count, device=ends.device)
        last = self.tokens[slots, (ends - back).clamp_(min=0)].long()
        if self.drafts is None:
            return last
        # Drafts are in no slot yet: the rows before this one have seen them one by one.
        offsets, inputs = (tensor.long() for tensor in self.drafts)
        own = torch.arange(len(self.slots), device=ends.device)[rows, None]
        return torch.where(back < offsets[rows, None], inputs[(own - back).clamp_(min=0)], last)


def ban_repeats(
    logits: Tensor,
    histories: Histories,
    settings: Tensor,
    allowed: Tensor,
    *,
    largest_prefix: int,
    largest_distance: int,
) -> None:
    """Ban the tokens that would repeat an n-gram, in place.

    Args:
        logits: (rows, vocabulary), floating.
        histories: the tokens of the rows.
        settings: int32 (3, slots): the prefix of an n-gram in tokens, the distances to look back
            over (0 is no guard), and the request's row of ``allowed``.
        allowed: bool (lists, vocabulary): tokens that are never banned.
        largest_prefix: the greatest prefix of the batch, 1 or more.
        largest_distance: the greatest number of distances of the batch, 1 or more.
    """
    step = max(1, _AT_ONCE // (largest_prefix * largest_distance))
    for start in range(0, len(logits), step):
        rows = slice(start, start + step)
        slots = histories.slots[rows].long()
        prefix, distances, lists = settings[:, slots].long()
        outputs = histories.ends[rows] + 1 - histories.prompt_lengths[slots]
        # An n-gram begins within the window, and within the output.
        reach = torch.minimum(distances, outputs - prefix)
        last = histories.last(rows, largest_prefix + largest_distance)
        same = last[:, 1:].unfold(1, largest_prefix, 1) == last[:, None, :largest_prefix]
        places = torch.arange(largest_prefix, device=logits.device)
        repeated = (same | (places >= prefix[:, None, None])).all(-1)
        away = torch.arange(1, largest_distance + 1, device=logits.device)
        # What a place before the first token holds may be beyond the vocabulary.
        tokens = last[:, :largest_distance].clamp(0, logits.shape[1] - 1)
        banned = repeated & (away <= reach[:, None]) & ~allowed[lists[:, None], tokens]
        # Added: a token may stand at several distances, and not be banned for each of them.
        change = torch.zeros_like(tokens, dtype=logits.dtype).masked_fill_(banned, -float("inf"))
        logits[rows].scatter_add_(1, tokens, change)
