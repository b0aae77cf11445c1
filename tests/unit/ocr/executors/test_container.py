"""The cards of a plan, as the container that has them alone sees them."""

from __future__ import annotations

from dsk.ocr.executors.container import _renumbered, _requested
from dsk.ocr.schema.engine_config import CardPlacement, Placement


def test_gpus_are_counted_anew_and_instances_keep_their_uuids() -> None:
    placed = Placement(
        cards=(
            CardPlacement(device="6", number=6, uuid="GPU-6"),
            CardPlacement(device="2", number=2, uuid="GPU-2"),
            CardPlacement(device="MIG-4", number=4, uuid="MIG-4"),
        ),
        starts_at_once=2,
    )
    assert _requested(placed) == ["GPU-6", "GPU-2", "MIG-4"]
    inside = _renumbered(placed)
    assert [card.device for card in inside.cards] == ["2", "0", "MIG-4"]
    assert [card.number for card in inside.cards] == [6, 2, 4]
    assert inside.starts_at_once == 2


def test_a_plan_that_names_no_card_gets_all_of_the_machine() -> None:
    assert _requested(Placement()) == []
    assert _renumbered(Placement()) == Placement()
