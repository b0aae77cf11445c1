"""Measure how much faster dsk reads on all cards of a plan than on one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsk.errors import Interrupted, UsageProblem
from dsk.ocr.benchmark import benchmark
from dsk.ocr.schema.engine_config import Placement

if TYPE_CHECKING:
    from dsk.ocr.schema.run_plan import Document, RunPlan
    from dsk.runtime.base import Runtime


def measure(plan: RunPlan, runtime: Runtime, *, dollars_an_hour: float | None) -> Any:
    """Read a share of a plan's pages on its first card, then all of them on all its cards.

    Args:
        plan: the run; its output folder, which is created here, gets the engines' logs, too.
        runtime: starts both.
        dollars_an_hour: the price of the machine.

    Returns:
        For JSON: ``one_gpu`` and ``dsk``, and their ``ratio``: pages a second of all cards over
        those of one, each from a started engine to written files.

    Raises:
        UsageProblem: the plan has one card only.
        PagesDegraded: one of them read no page.
        Interrupted: the user interrupted the command.
        DskError: one of them ended early.
    """
    if len(plan.placement.cards) < 2:
        what = "the run has one GPU, and nothing to compare it with"
        raise UsageProblem(what, do="name several with --gpus, or leave --against out")
    plan.out.mkdir()
    one = on_one_card(plan)
    one.out.mkdir()
    try:
        single = benchmark.measure_dsk(one, runtime)
        all_cards = benchmark.measure_dsk(plan, runtime)
    except Interrupted as error:
        what = "the measurement was interrupted"
        raise Interrupted(what, do="run the same command again") from error
    if dollars_an_hour is not None:
        benchmark.add_price(all_cards, dollars_an_hour)
    comparison = {
        **benchmark.described(plan),
        "cards": len(plan.placement.cards),
        "one_gpu": single,
        "dsk": all_cards,
        "ratio": all_cards["pages_per_second"] / single["pages_per_second"],
    }
    return benchmark.rounded(comparison)


def on_one_card(plan: RunPlan) -> RunPlan:
    """Return the part of a plan that its first card has: as many pages for each card in both."""
    count = sum(len(document.pages) for document in plan.documents)
    out = plan.out / "one-gpu"
    documents: list[Document] = []
    left = max(1, count // len(plan.placement.cards))
    for document in plan.documents:
        folder = out / document.folder.relative_to(plan.out)
        changes = {"pages": document.pages[:left], "folder": folder}
        documents.append(document.model_copy(update=changes))
        left -= len(documents[-1].pages)
        if not left:
            break
    placed = Placement(cards=plan.placement.cards[:1], starts_at_once=plan.placement.starts_at_once)
    return plan.model_copy(update={"out": out, "documents": documents, "placement": placed})
