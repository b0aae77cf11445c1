"""`dsk run`: read documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dsk import console
from dsk.cli.common import api_key
from dsk.cli.common.sections import SectionedCommand
from dsk.cli.reading import options as reading_options
from dsk.cli.reading import preview
from dsk.errors import PagesDegraded, UsageProblem

if TYPE_CHECKING:
    from dsk.ocr.run.planning import RunRequest
    from dsk.ocr.schema.filetypes import Kind


@click.group()
def command() -> None:
    """Read documents: pages in, Markdown out, every page accounted for."""


@command.command(cls=SectionedCommand)
@reading_options.run_options
@click.pass_context
def pdf(context: click.Context, /, **options: Any) -> None:
    """Read PDF files into OUT.

    INPUTS are files, folders, quoted patterns, @LIST (a file with one input a line), or - (such a
    list on standard input). Of a folder the PDF files below it are read; an image is read if it is
    named itself.

    \b
    Examples:
      dsk run pdf report.pdf -o out
      dsk run pdf scans/ -o out --prompt free
      dsk run pdf book.pdf -o out --pages 1-10,end --stack cpu
      dsk run pdf scans/ -o out --runtime container
      find /archive -name '*.pdf' -print0 | dsk run pdf - -o out
      dsk run pdf scans/ -o out --server http://10.0.0.5:8000,http://10.0.0.6:8000
    """
    _run(context, "pdf", options)


@command.command(cls=SectionedCommand)
@reading_options.run_options
@click.pass_context
def image(context: click.Context, /, **options: Any) -> None:
    """Read images (PNG, JPEG, WebP, TIFF, GIF) into OUT.

    INPUTS are as for `dsk run pdf`; of a folder the images below it are read. A TIFF may have many
    pages. A file's type is recognised by its content, not its name.

    \b
    Examples:
      dsk run image photo.jpg -o out
      dsk run image scans/ -o out --prompt free
      dsk run image 'fax/2024-*.tif' -o out --pages 1-2
    """
    _run(context, "image", options)


def _run(context: click.Context, kind: Kind, options: dict[str, Any]) -> None:
    dry_run = options.pop("dry_run")
    if not _read(_request(context, kind, options), dry_run=dry_run):
        context.exit(PagesDegraded.exit_code)


def _request(context: click.Context, kind: Kind, options: dict[str, Any]) -> RunRequest:
    from dsk.ocr.run.planning import RunRequest

    servers = options.pop("servers")
    key_file = options.pop("api_key_file")
    # The key matters with servers alone: a variable that is set for another command does no harm.
    options["api_key"] = api_key.given(options["api_key"], key_file) if servers else None
    if servers:
        # Only the command line counts: a container image of dsk sets DSK_STACK, DSK_RUNTIME and
        # DSK_MODEL to its own.
        for name in ("stack", "runtime"):
            if _is_given(context, name):
                what = f"--server and --{name} exclude each other"
                raise UsageProblem(what, do="leave one of them out: a server has its own engine")
        options |= {"stack": None, "runtime": "venv"}
        if not _is_given(context, "model"):
            options["model"] = None
    if options["compat"] and _is_given(context, "formats"):
        what = "--compat and --to exclude each other"
        raise UsageProblem(what, do="leave --to out: the official scripts write fixed files")
    options["compat"] = options["compat"] or ""
    if options["runtime"] != "container" and (options["image"] or options["shm_size"]):
        what = f"{'--image' if options['image'] else '--shm-size'} is for a container"
        raise UsageProblem(what, do="add --runtime container")
    return RunRequest(
        kind=kind,
        servers=tuple(url.strip() for url in servers.split(",") if url.strip()),
        limits=reading_options.take_limits(options),
        **options,
    )


def _is_given(context: click.Context, name: str) -> bool:
    """Return True if an option is on the command line itself."""
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _read(request: RunRequest, *, dry_run: bool) -> bool:
    """Read the documents; return True if all pages of all inputs came out whole."""
    from dsk.filenames import printable
    from dsk.matrix import load_matrix
    from dsk.ocr.results import job_file
    from dsk.ocr.results.summary import Summary
    from dsk.ocr.run import execution, planning
    from dsk.ocr.run.progress import progress

    matrix = load_matrix()
    plan = planning.plan(request, matrix)
    preview.warn_rejected(plan)
    if dry_run:
        job_file.require_one_model(plan)
        preview.show(plan)
        return not plan.rejected
    count = sum(len(document.pages) for document in plan.documents)
    summary = Summary(plan)
    with progress(count) as listener:
        executor = planning.executor(request, plan.stack, matrix)
        is_whole = execution.execute(plan, executor, summary.count_for(listener))
    summary.write(plan.out)
    for document in plan.documents:
        text = document.folder / ("" if plan.compat else f"{document.stem}.md")
        console.out().print(printable(text), markup=False)
    for line in summary.advice():
        console.warn(line)
    return is_whole and not plan.rejected
