"""`dsk run`: read documents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dsk import console
from dsk.errors import PagesDegraded, UsageProblem

if TYPE_CHECKING:
    from dsk.ocr.job import Job
    from dsk.ocr.reading import Request


@click.group()
def command() -> None:
    """Read documents: pages in, Markdown out, every page accounted for."""


@command.command()
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder of the outputs."
)
@click.option(
    "--model",
    show_default="deepseek-ai/DeepSeek-OCR, or the server's",
    help="Model folder, or a hub's name that is in the local cache; or what a server calls it.",
)
@click.option("--stack", metavar="S", help="The stack; without it, the one for this machine.")
@click.option(
    "--server",
    "servers",
    metavar="URL[,URL]",
    default="",
    help="Read through OpenAI-compatible servers, as dsk serve starts them, not an engine here.",
)
@click.option("--api-key", envvar="DSK_API_KEY", show_envvar=True, help="What the servers want.")
@click.option("--pages", default="1-end", show_default=True, help="Pages to read: 1-3,7,10-end.")
@click.option(
    "--dpi",
    default=144,
    show_default=True,
    type=click.IntRange(36, 600),
    help="Dots per inch of the rendered pages.",
)
@click.option(
    "--prompt",
    default="markdown",
    show_default=True,
    help="markdown, ocr, free, figure, describe, or a text of your own.",
)
@click.option(
    "--max-tokens",
    default=None,
    type=click.IntRange(1),
    help="Most tokens a page's answer may have; without it, what the context holds.",
)
@click.option(
    "--runtime",
    default="venv",
    show_default=True,
    type=click.Choice(["venv", "in-place"]),
    help="Where the engine runs: the stack's environment, or this interpreter.",
)
@click.option(
    "--no-patch",
    "patch",
    flag_value=False,
    default=True,
    help="Load a checkpoint's own code as it is, unpatched.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, say what would be done, stop.")
@click.pass_context
def pdf(
    context: click.Context,
    inputs: tuple[Path, ...],
    out: Path,
    model: str | None,
    stack: str | None,
    servers: str,
    api_key: str | None,
    pages: str,
    dpi: int,
    prompt: str,
    max_tokens: int | None,
    runtime: str,
    patch: bool,
    dry_run: bool,
) -> None:
    """Read PDF files, and those in folders, into OUT.

    \b
    Examples:
      dsk run pdf report.pdf -o out
      dsk run pdf scans/ -o out --prompt free
      dsk run pdf book.pdf -o out --pages 1-10,end --stack cpu
      dsk run pdf scans/ -o out --server http://10.0.0.5:8000,http://10.0.0.6:8000
    """
    from dsk.ocr.reading import Request

    if servers and (stack or runtime != "venv"):
        what = f"--server and {'--stack' if stack else '--runtime'} do not go together"
        raise UsageProblem(what, do="a server has its own engine: leave one of them out")
    request = Request(
        inputs=inputs,
        out=out,
        model=model,
        stack=stack,
        servers=tuple(url.strip() for url in servers.split(",") if url.strip()),
        api_key=api_key,
        pages=pages,
        dpi=dpi,
        prompt=prompt,
        max_tokens=max_tokens,
        runtime=runtime,
        patch=patch,
    )
    if not _read(request, dry_run=dry_run):
        context.exit(PagesDegraded.exit_code)


def _read(request: Request, *, dry_run: bool) -> bool:
    from dsk.ocr import reading
    from dsk.ocr.progress import progress

    job = reading.job(request)
    if dry_run:
        _show(job)
        return True
    count = sum(len(document.pages) for document in job.documents)
    with progress(count) as listener:
        whole = reading.read(job, request, listener)
    for document in job.documents:
        console.out().print(str(document.folder / f"{document.path.stem}.md"), markup=False)
    if not whole:
        console.warn("some pages did not come out whole: pages.jsonl says which and why")
    return whole


def _show(job: Job) -> None:
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
        say(f"read    {document.path}: {count} at {job.dpi} dpi -> {document.folder}", markup=False)
