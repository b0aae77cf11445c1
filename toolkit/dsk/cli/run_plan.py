"""A job, as it is said before it is begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk import console

if TYPE_CHECKING:
    from dsk.ocr.schema.run_plan import RunPlan


def name_rejected(plan: RunPlan) -> None:
    """Say of which inputs nothing is read, and why."""
    for rejected in plan.rejected:
        console.warn(f"not read: {rejected.reason}")


def show(plan: RunPlan) -> None:
    """Say what would be read, by what, and where it would go."""
    from dsk.filenames import printable

    say = console.out().print
    if plan.engine.servers:
        for server in plan.engine.servers:
            say(f"server  {server.url}, which serves {server.model}", markup=False)
    else:
        say(f"stack   {plan.stack} (vLLM {plan.engine.kind}, {plan.engine.device})", markup=False)
        say(f"model   {plan.engine.model}", markup=False)
    say(f"patch   {'on' if plan.engine.patch else 'off'}", markup=False)
    say(f"prompt  {plan.prompt!r}", markup=False)
    for document in plan.documents:
        count = f"{len(document.pages)} of {document.page_count} pages"
        names = f"{printable(document.path)}: {count}"
        say(f"read    {names} at {plan.dpi} dpi -> {printable(document.folder)}", markup=False)
