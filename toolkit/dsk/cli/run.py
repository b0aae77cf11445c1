"""`dsk run`: read documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from dsk import console
from dsk.cli.common import api_key
from dsk.cli.common.sections import SectionedCommand
from dsk.cli.reading import options as reading_options
from dsk.cli.reading import preview
from dsk.errors import Interrupted, PagesDegraded, UsageProblem

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.ocr.run.planning import RunRequest
    from dsk.ocr.run.progress import Detail
    from dsk.ocr.schema.filetypes import Wanted


_KINDS: Final[dict[str, Wanted]] = {"pdf": "pdf", "image": "image"}


@click.command(cls=SectionedCommand)
@reading_options.run_options
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Read documents into OUT: pages in, Markdown out, every page accounted for.

    INPUTS are PDF files and images, folders, quoted patterns, @LIST (a file with one input a line),
    or - (a document or such a list on standard input). A file's type is recognised by its content,
    not its name. dsk run pdf and dsk run image take only such files from folders.

    \b
    Examples:
      dsk run report.pdf -o out
      dsk run scans/ photo.jpg -o out --prompt free
      dsk run book.pdf -o out --pages 1-10,end --stack cpu
      dsk run image 'fax/2024-*.tif' -o out --pages 1-2
      curl -s https://example.org/a.pdf | dsk run - -o out
      find /archive -name '*.pdf' -print0 | dsk run - -o out
      dsk run scans/ -o out --server http://10.0.0.5:8000,http://10.0.0.6:8000
    """
    kind, options["inputs"] = _wanted(options["inputs"])
    dry_run = options.pop("dry_run")
    detail = reading_options.take_detail(options)
    if not _read(_request(context, kind, options), dry_run=dry_run, detail=detail):
        context.exit(PagesDegraded.exit_code)


def _wanted(inputs: tuple[Path, ...]) -> tuple[Wanted, tuple[Path, ...]]:
    """Return the files to take from folders, and the inputs: the first may be a kind's name.

    Raises:
        UsageProblem: nothing follows the name of a kind.
    """
    first, *others = inputs
    name = str(first)
    if name not in _KINDS:
        return "any", inputs
    if not others:
        what = f"dsk run {name} names nothing to read"
        do = f"add files or folders; ./{name} is a file or folder of that name"
        raise UsageProblem(what, do=do)
    return _KINDS[name], tuple(others)


def _request(context: click.Context, kind: Wanted, options: dict[str, Any]) -> RunRequest:
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


def _read(request: RunRequest, *, dry_run: bool, detail: Detail) -> bool:
    """Read the documents; return True if all pages of all inputs came out whole."""
    from dsk.filenames import printable
    from dsk.matrix import load_matrix
    from dsk.ocr.engines import loading
    from dsk.ocr.results import job_file
    from dsk.ocr.results.summary import Summary
    from dsk.ocr.run import execution, planning
    from dsk.ocr.run.closing_summary import ClosingSummary
    from dsk.ocr.run.index_page import IndexPage
    from dsk.ocr.run.progress import Detail, progress

    matrix = load_matrix()
    with preview.checking(detail):
        plan = planning.plan(request, matrix)
    preview.warn_rejected(plan)
    if dry_run:
        job_file.require_one_model(plan)
        preview.show(plan)
        return not plan.rejected
    count = sum(len(document.pages) for document in plan.documents)
    summary, closing, index = Summary(plan), ClosingSummary(plan), IndexPage(plan)
    usual_start = loading.usual_time("" if plan.engine.servers else plan.engine.device)
    is_whole = False
    try:
        with progress(count, usual_start=usual_start, detail=detail) as listener:
            executor = planning.executor(request, plan.stack, matrix)
            counted = index.count_for(closing.count_for(summary.count_for(listener)))
            is_whole = execution.execute(plan, executor, counted)
        summary.write(plan.out)
        index.write(plan.out)
    except Interrupted:
        index.write(plan.out)
        preview.show_end(closing, detail)
        raise
    # On a terminal the summary says where to look; a program gets the path of each text.
    if detail is not Detail.EVENTS and not console.out().is_terminal:
        for document in plan.documents:
            text = document.folder / ("" if plan.compat else f"{document.stem}.md")
            console.out().print(printable(text), markup=False)
    preview.show_end(closing, detail)
    for line in summary.advice():
        console.warn(line)
    return is_whole and not plan.rejected
