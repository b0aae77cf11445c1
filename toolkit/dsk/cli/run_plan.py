"""A job, as it is said before it is begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk import console

if TYPE_CHECKING:
    from dsk.ocr.schema.job import Job


def name_rejected(job: Job) -> None:
    """Say of which inputs nothing is read, and why."""
    for rejected in job.rejected:
        console.warn(f"not read: {rejected.reason}")


def show(job: Job) -> None:
    """Say what would be read, by what, and where it would go."""
    from dsk.filenames import printable

    say = console.out().print
    if job.servers:
        for server in job.servers:
            say(f"server  {server.url}, which serves {server.model}", markup=False)
    else:
        say(f"stack   {job.stack} (vLLM {job.engine}, {job.device})", markup=False)
        say(f"model   {job.model}", markup=False)
    say(f"patch   {'on' if job.patch else 'off'}", markup=False)
    say(f"prompt  {job.prompt!r}", markup=False)
    for document in job.documents:
        count = f"{len(document.pages)} of {document.page_count} pages"
        names = f"{printable(document.path)}: {count}"
        say(f"read    {names} at {job.dpi} dpi -> {printable(document.folder)}", markup=False)
