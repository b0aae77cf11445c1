"""`dsk run`: read documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dsk import console
from dsk.cli import reading_options, run_plan
from dsk.errors import PagesDegraded, UsageProblem

if TYPE_CHECKING:
    from dsk.ocr.run.planning import RunRequest
    from dsk.ocr.schema.filetypes import Kind


@click.group()
def command() -> None:
    """Read documents: pages in, Markdown out, every page accounted for."""


@command.command()
@reading_options.of_a_run
@click.pass_context
def pdf(context: click.Context, /, **wishes: Any) -> None:
    """Read PDF files into OUT: named ones, and those in folders. Named images are read too.

    \b
    INPUTS are files, folders, patterns in quotes, @LIST (a file with one input a line) or - (such
    a list on standard input).

    \b
    Examples:
      dsk run pdf report.pdf -o out
      dsk run pdf scans/ -o out --prompt free
      dsk run pdf book.pdf -o out --pages 1-10,end --stack cpu
      dsk run pdf scans/ -o out --runtime container
      find /archive -name '*.pdf' -print0 | dsk run pdf - -o out
      dsk run pdf scans/ -o out --server http://10.0.0.5:8000,http://10.0.0.6:8000
    """
    _run(context, "pdf", wishes)


@command.command()
@reading_options.of_a_run
@click.pass_context
def image(context: click.Context, /, **wishes: Any) -> None:
    """Read images (PNG, JPEG, WebP, TIFF, GIF) into OUT.

    A TIFF may have many pages. A folder stands for the images below it. A file's type is recognised
    by its content, not its name.

    \b
    Examples:
      dsk run image photo.jpg -o out
      dsk run image scans/ -o out --prompt free
      dsk run image 'fax/2024-*.tif' -o out --pages 1-2
    """
    _run(context, "image", wishes)


def _run(context: click.Context, kind: Kind, wishes: dict[str, Any]) -> None:
    dry_run = wishes.pop("dry_run")
    if not _read(_request(context, kind, wishes), dry_run=dry_run):
        context.exit(PagesDegraded.exit_code)


def _request(context: click.Context, kind: Kind, wishes: dict[str, Any]) -> RunRequest:
    from dsk.ocr.run.planning import RunRequest

    servers = wishes.pop("servers")
    if servers:
        # What an image's variables say of its own engine is no wish.
        for name in ("stack", "runtime"):
            if _is_given(context, name):
                what = f"--server and --{name} do not go together"
                raise UsageProblem(what, do="a server has its own engine: leave one of them out")
        wishes |= {"stack": None, "runtime": "venv"}
    if wishes["compat"] and _is_given(context, "formats"):
        what = "--compat and --to do not go together"
        raise UsageProblem(what, do="what the official scripts write is fixed: leave --to out")
    wishes["compat"] = wishes["compat"] or ""
    if wishes["runtime"] != "container" and (wishes["image"] or wishes["shm_size"]):
        what = f"{'--image' if wishes['image'] else '--shm-size'} is for a container"
        raise UsageProblem(what, do="add --runtime container")
    return RunRequest(
        kind=kind,
        servers=tuple(url.strip() for url in servers.split(",") if url.strip()),
        limits=reading_options.limits(wishes),
        **wishes,
    )


def _is_given(context: click.Context, name: str) -> bool:
    """Whether an option is on the command line."""
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _read(request: RunRequest, *, dry_run: bool) -> bool:
    from dsk.filenames import printable
    from dsk.matrix import load_matrix
    from dsk.ocr.results.summary import Summary
    from dsk.ocr.run import execution, planning
    from dsk.ocr.run.progress import progress

    matrix = load_matrix()
    plan = planning.plan(request, matrix)
    run_plan.name_rejected(plan)
    if dry_run:
        run_plan.show(plan)
        return not plan.rejected
    count = sum(len(document.pages) for document in plan.documents)
    summary = Summary(plan)
    with progress(count) as listener:
        executor = planning.executor(request, plan.stack, matrix)
        whole = execution.execute(plan, executor, summary.count_for(listener))
    summary.write(request.out)
    for document in plan.documents:
        text = document.folder / ("" if plan.compat else f"{document.stem}.md")
        console.out().print(printable(text), markup=False)
    if not whole:
        what = "some pages did not come out whole: pages.jsonl says which and why"
        console.warn(f"{what}; --retry-failed reads them again")
    return whole and not plan.rejected
