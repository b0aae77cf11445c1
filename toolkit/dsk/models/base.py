"""The profile of a model: what its table of ``models.toml`` says, and the rules that are code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from dsk.errors import UsageProblem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from dsk.matrix.models import Model

# Columns and rows of tiles; (1, 1) is none.
Grid = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Resolution(ABC):
    """One of a model's resolutions: how a page is cut in it, and how many tokens it takes.

    Args:
        name: what the user calls it.
        view: side in pixels of the picture of the whole page.
        cell: side in pixels of what one vision token stands for.
        row_ends: each row of cells ends with a token of its own.
        tile: side of a tile in pixels; 0 where pages are not cut.
        grids: every grid that a page can be cut into, by tile count; empty where pages are not cut.
        squash: side in pixels of the square that the page is resized to before all else, whatever
            its aspect ratio; 0 where the ratio is kept.
    """

    name: str
    view: int
    cell: int
    row_ends: bool
    tile: int = 0
    grids: tuple[Grid, ...] = ()
    squash: int = 0

    @abstractmethod
    def grid(self, width: int, height: int) -> Grid:
        """Return the grid of tiles for an image of ``width`` x ``height`` pixels."""

    @abstractmethod
    def tokens(self, grid: Grid) -> int:
        """Return the vision tokens of an image that is cut into ``grid``."""

    @property
    def cells(self) -> int:
        """Vision tokens in a row of the view."""
        return self.view // self.cell

    @property
    def largest_grid(self) -> Grid:
        """The grid that takes the most tokens."""
        return max(self.grids, key=self.tokens, default=(1, 1))

    @property
    def max_tiles(self) -> int:
        """The most tiles that an image can be cut into."""
        return max((columns * rows for columns, rows in self.grids), default=0)

    @property
    def max_tokens(self) -> int:
        """The most vision tokens that an image can take."""
        return self.tokens(self.largest_grid)


@dataclass(frozen=True, kw_only=True, eq=False)
class Views:
    """The pictures that the vision towers see of one image, RGB.

    Args:
        view: (S, S, 3) uint8, the whole image.
        tiles: (rows, columns, T, T, 3) uint8; (0, 0, T, T, 3) for an image that is not cut.
    """

    view: NDArray[np.uint8]
    tiles: NDArray[np.uint8]

    @property
    def grid(self) -> Grid:
        """Columns and rows of tiles."""
        rows, columns = self.tiles.shape[:2]
        return (columns, rows) if rows else (1, 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelProfile(ABC):
    """A model of the family: a subclass in its own folder has the rules that differ.

    Args:
        record: its table of ``models.toml``.
    """

    record: Model
    resolution_class: ClassVar[type[Resolution]]

    @abstractmethod
    def prepare(self, image: Image.Image, resolution: Resolution) -> Views:
        """Cut an image of any mode and size, pixel for pixel as the model's own code does."""

    @property
    def id(self) -> str:
        """Key of the model's table."""
        return self.record.id

    @property
    def name(self) -> str:
        """The model's name."""
        return self.record.name

    @property
    def hub(self) -> str:
        """Hub id, ``owner/name``."""
        return self.record.hub

    @property
    def cell(self) -> int:
        """Side in pixels of what one vision token stands for."""
        return self.record.vision.pixels_per_token

    @property
    def tile(self) -> int:
        """Side in pixels of every tile, in whichever resolution."""
        return self.record.vision.tile_size

    @cached_property
    def grids(self) -> tuple[Grid, ...]:
        """Every grid that a page can be cut into, by tile count."""
        least, most = self.record.vision.min_tiles, self.record.vision.max_tiles
        sides = range(1, most + 1)
        grids = [(x, y) for x in sides for y in sides if least <= x * y <= most]
        return tuple(sorted(grids, key=lambda grid: (grid[0] * grid[1], grid)))

    @cached_property
    def resolutions(self) -> dict[str, Resolution]:
        """Resolutions by name."""
        return {
            name: self.custom_resolution(
                sizes.view, self.tile if sizes.tiles else 0, name=name, squash=sizes.squash
            )
            for name, sizes in self.record.resolutions.items()
        }

    def resolution(self, name: str) -> Resolution:
        """Return the resolution called ``name``.

        Raises:
            UsageProblem: there is none.
        """
        if name not in self.resolutions:
            message = f"unknown mode '{name}'"
            raise UsageProblem(message, do=f"choose one of {', '.join(self.resolutions)}")
        return self.resolutions[name]

    def custom_resolution(
        self, view: int, tile: int = 0, *, name: str = "custom", squash: int = 0
    ) -> Resolution:
        """Return a resolution of the model's rules with sides of one's own, in pixels."""
        grids = self.grids if tile else ()
        return self.resolution_class(
            name=name,
            view=view,
            cell=self.cell,
            row_ends=self.record.vision.row_ends,
            tile=tile,
            grids=grids,
            squash=squash,
        )

    @property
    def default_resolution(self) -> Resolution:
        """The resolution of a checkpoint that names none."""
        return self.resolutions[self.record.default_resolution]

    def retry_resolution(self, name: str) -> Resolution:
        """Return the resolution that a page is tried again in, after the one called ``name``."""
        return self.resolutions[self.record.resolutions[name].retry_as]

    @property
    def largest_resolution(self) -> Resolution:
        """The resolution in which a page can take the most tokens."""
        return max(self.resolutions.values(), key=lambda resolution: resolution.max_tokens)

    @property
    def largest_view(self) -> int:
        """Side in pixels of the largest view of all resolutions."""
        return max(resolution.view for resolution in self.resolutions.values())

    @property
    def picture_sides(self) -> set[int]:
        """Sides in pixels of all pictures that the vision towers see: views and tiles."""
        return {self.tile, *(resolution.view for resolution in self.resolutions.values())}

    def takes_view(self, side: int) -> bool:
        """Return True if the vision towers take a view of ``side`` x ``side`` pixels."""
        if self.record.vision.qwen2:
            # Queries are learned for each side, where CLIP's positions can be resized.
            return any(side == resolution.view for resolution in self.resolutions.values())
        return 0 < side <= self.largest_view and side % self.cell == 0

    @property
    def max_page_tokens(self) -> int:
        """The most vision tokens that a page can take in any resolution."""
        return self.largest_resolution.max_tokens

    @property
    def worst_page(self) -> tuple[int, int]:
        """Width and height in pixels of a page that takes `max_page_tokens`."""
        resolution = self.largest_resolution
        columns, rows = resolution.largest_grid
        side = resolution.tile or resolution.view
        return columns * side, rows * side

    @property
    def tag_tokens(self) -> tuple[str, ...]:
        """Tokens that open and close a label and its boxes, in their order."""
        tags = (self.record.label_tag, self.record.box_tag)
        return tuple(token for tag in tags for token in (f"<|{tag}|>", f"<|/{tag}|>"))

    def prompt_for(self, text: str) -> str:
        """Return the prompt of that name, or ``text`` itself with the image first if it has none.

        Raises:
            UsageProblem: the text is empty, looks like a misspelt name, or shows two images.
        """
        prompts, image = self.record.prompts, self.record.image_token
        if text in prompts:
            return prompts[text]
        if not text.strip() or text.isidentifier():
            what = f"there is no prompt '{text}' for {self.name}"
            raise UsageProblem(what, do=f"give one of {', '.join(prompts)}, or a sentence")
        if text.count(image) > 1:
            what = f"the prompt has {text.count(image)} images, but a page is one"
            raise UsageProblem(what, do=f"write {image} once, first")
        if image in text:
            return text
        # The published prompts of a model all have a line break after the image, or none has.
        published = next(iter(prompts.values()))
        return image + ("\n" if f"{image}\n" in published else "") + text

    def ungrounded(self, prompt: str) -> str:
        """Return the prompt to try in place of one that asks for boxes; any other unchanged."""
        other = self.record.ungrounded_prompt
        if other is None or self.record.grounding_token not in prompt:
            return prompt
        return self.record.prompts[other]
