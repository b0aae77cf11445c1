"""A plan before it is carried out, and the summary of a run afterwards, as they are printed."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from dsk import console, urls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.run.closing_summary import ClosingSummary
    from dsk.ocr.run.progress import Detail
    from dsk.ocr.schema.engine_config import Placement
    from dsk.ocr.schema.run_plan import RunPlan


@contextlib.contextmanager
def checking(detail: Detail) -> Iterator[None]:
    """Show on a terminal that the inputs are being checked: thousands of them take minutes."""
    from dsk.ocr.run.progress import Detail

    if detail in {Detail.QUIET, Detail.EVENTS} or not console.err().is_terminal:
        yield
        return
    with console.err().status("checking the inputs"):
        yield


def warn_rejected(plan: RunPlan) -> None:
    """Warn about each input that cannot be read."""
    for rejected in plan.rejected:
        console.warn(f"not read: {rejected.reason}")


def cards(placement: Placement) -> list[str]:
    """Return a line for each card that is named."""
    lines = []
    for card in placement.cards:
        if not card.device:
            continue
        cache = card.settings.get("kv_cache_memory_bytes")
        each = f", {cache / 2**30:.1f} GiB of KV cache each" if cache else ""
        engines = "1 engine" if card.engines == 1 else f"{card.engines} engines"
        lines.append(f"gpu     {card}: {engines}{each}")
    return lines


def show(plan: RunPlan) -> None:
    """Print the engine of a plan, its prompt, and its documents with their folders."""
    from dsk.filenames import printable

    lines = [
        f"server  {urls.without_user(server.url)}, which serves {server.model}"
        for server in plan.engine.servers
    ] or [
        f"stack   {plan.stack} (vLLM {plan.engine.kind}, {plan.engine.device})",
        f"model   {plan.engine.model}",
    ]
    lines += cards(plan.placement)
    lines += [f"patch   {'on' if plan.engine.patch else 'off'}", f"prompt  {plan.prompt!r}"]
    for document in plan.documents:
        pages = f"{len(document.pages)} of {document.page_count} pages at {plan.dpi} dpi"
        path, folder = printable(document.path), printable(document.folder)
        lines.append(f"read    {path}: {pages} -> {folder}")
    for line in lines:
        console.out().print(line, markup=False)


def show_end(summary: ClosingSummary, detail: Detail) -> None:
    """Print the summary of a run: as JSON on standard output, or as lines on standard error."""
    from dsk.ocr.run.progress import Detail

    if detail is Detail.EVENTS:
        console.echo_json(json.dumps(summary.content(), ensure_ascii=False))
    elif detail is not Detail.QUIET:
        for line in summary.lines(verbose=detail is Detail.VERBOSE):
            console.err().print(line, markup=False)
