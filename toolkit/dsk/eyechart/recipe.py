"""Recipe of a test model: the model that it replaces, its size, its charts, its seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dsk.errors import UsageProblem
from dsk.eyechart import alphabet, tokenizer

if TYPE_CHECKING:
    from dsk.eyechart.alphabet import Alphabet
    from dsk.matrix.models import Model
    from dsk.models.base import ModelProfile

Size = Literal["tiny", "full"]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Dimensions in which test models of one model differ; all others are the model's own."""

    layers: int
    vocabulary: int
    dense_width: int
    expert_width: int
    experts: int
    experts_per_token: int
    shared_experts: int
    real_ids: bool


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The choices that make a test model: the same ones give the same bytes.

    Args:
        profile: the model that it replaces; its dimensions come from there.
        size: "tiny" (2 layers, few experts) or "full" (the model's own decoder).
        side: cells in a row of the charts that it reads: one cell is one vision token.
        seed: of all random weights.
    """

    profile: ModelProfile
    size: Size = "tiny"
    side: int
    seed: int = 0

    @property
    def record(self) -> Model:
        """The model's table of ``models.toml``."""
        return self.profile.record

    @property
    def alphabet(self) -> Alphabet:
        """The symbols that its charts can show."""
        return alphabet.alphabet_of(self.profile)

    @property
    def words(self) -> dict[str, int]:
        """Number of each token by its text."""
        return tokenizer.vocabulary(self.profile, real_ids=self.sizes.real_ids)

    @property
    def distance(self) -> int:
        """The distance in tokens from the first answer to the first cell, for a prompt of one.

        Between them are the view's tokens and the separator behind it.
        """
        view = self.profile.custom_resolution(self.side * self.profile.cell)
        return view.tokens((1, 1))

    @property
    def sizes(self) -> Sizes:
        """The decoder's sizes."""
        language = self.record.language
        if self.size == "tiny":
            return Sizes(
                layers=2,
                vocabulary=320,
                dense_width=256,
                expert_width=128,
                experts=8,
                experts_per_token=2,
                shared_experts=language.shared_experts,
                real_ids=False,
            )
        return Sizes(
            layers=language.layers,
            vocabulary=language.vocabulary,
            dense_width=language.intermediate_size,
            expert_width=language.moe_intermediate_size,
            experts=language.routed_experts,
            experts_per_token=language.experts_per_token,
            shared_experts=language.shared_experts,
            real_ids=True,
        )


def chart_side(profile: ModelProfile, side: int | None = None) -> int:
    """Return the cells in a row of a chart that fills a view of the model.

    Args:
        profile: the model.
        side: the wanted number; None fills the view of the default resolution.

    Raises:
        UsageProblem: the model has no resolution with such a view.
    """
    if side is None:
        return profile.default_resolution.cells
    known = {resolution.cells: name for name, resolution in profile.resolutions.items()}
    if side not in known:
        message = f"{profile.name} has no resolution with {side} cells in a row"
        choices = ", ".join(f"{cells} ({known[cells]})" for cells in sorted(known))
        raise UsageProblem(message, do=f"choose one of {choices}")
    return side
