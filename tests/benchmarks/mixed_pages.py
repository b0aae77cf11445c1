"""Pages to measure with: A4 text of several densities, landscape, slides, small pictures.

``python tests/benchmarks/mixed_pages.py FOLDER COUNT``: PDF files of 64 pages each; the same count
gives the same pages.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Final

import pymupdf

A_FILE: Final = 64
TEXT: Final = (
    "page table figure model token engine reads writes memory number total amount date the of and "
    "to in is that for with as on by from at are this was not which have has been their more"
)
WORDS: Final = TEXT.split()
KINDS: Final = (
    # (width, height in pt, size of type, share of the pages)
    (595, 842, 8.0, 4),
    (595, 842, 11.0, 4),
    (612, 792, 10.0, 3),
    (842, 595, 9.0, 2),
    (960, 540, 22.0, 2),
    (300, 220, 12.0, 1),
)


def text(chance: random.Random, words: int) -> str:
    return " ".join(
        chance.choice(WORDS) if chance.random() < 0.85 else str(chance.randint(0, 99999))
        for _ in range(words)
    )


def draw(document: pymupdf.Document, chance: random.Random) -> None:
    width, height, size, _ = chance.choices(KINDS, [kind[3] for kind in KINDS])[0]
    page = document.new_page(width=width, height=height)
    margin = width / 12
    page.insert_text((margin, margin), text(chance, 4).title(), fontsize=size * 1.5)
    room = (width - 2 * margin) * (height - 3 * margin) / (size * size * 3.2)
    area = (margin, 1.5 * margin, width - margin, height - margin)
    page.insert_textbox(area, text(chance, int(room)), fontsize=size)
    if chance.random() < 0.3:
        side = width / 4
        corner = chance.uniform(margin, height - side - margin)
        page.draw_rect((margin, corner, margin + side, corner + side), fill=(0.8, 0.85, 1))


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(0)
    for first in range(0, count, A_FILE):
        document = pymupdf.open()
        for _ in range(min(A_FILE, count - first)):
            draw(document, chance)
        document.save(folder / f"pages-{first:05}.pdf")


if __name__ == "__main__":
    main()
