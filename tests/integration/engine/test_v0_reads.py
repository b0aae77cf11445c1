"""The V0 engine reads eye charts exactly, in every mode, different prompts in one batch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pymupdf
import pytest
from tests.integration.engine.clients import made

from dsk.eyechart import layout, page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.engine

TEXT = """\
Prices: $3.50 (50% off!) <|ref|>title<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>
Naïve café, 中文, l1I|.
"""


@pytest.mark.parametrize(
    ("mode", "side", "scales"),
    [
        ("gundam", 16, (144, 90)),  # 2 x 2 tiles, and none
        ("tiny", 8, (144,)),
        ("small", 10, (144,)),
        ("base", 16, (144,)),
        ("large", 20, (144,)),
    ],
)
def test_it_reads_every_chart_exactly(
    run_in: Callable[..., str],
    tmp_path: Path,
    mode: str,
    side: int,
    scales: tuple[int, ...],
) -> None:
    charts = layout.charts(TEXT, side)[:2]
    document = pymupdf.open("pdf", page.draw(charts, side))
    wanted: list[str] = []
    for chart, drawn in zip(charts, document, strict=True):
        for dpi in scales:
            drawn.get_pixmap(dpi=dpi).save(tmp_path / f"{len(wanted)}.png")
            wanted.append(layout.spelled(chart))
    texts = json.loads(run_in("cpu-v0", "read_charts", made(side), tmp_path, mode).splitlines()[-1])
    assert texts == wanted
