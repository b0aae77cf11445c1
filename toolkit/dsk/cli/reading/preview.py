"""Preview of a plan, as `dsk run` and `dsk bench` print it before they carry it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk import console, urls

if TYPE_CHECKING:
    from dsk.ocr.schema.engine_config import Placement
    from dsk.ocr.schema.run_plan import RunPlan


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
