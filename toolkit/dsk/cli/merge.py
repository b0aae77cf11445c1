"""`dsk merge`: make one output folder of the shards of a run."""

from __future__ import annotations

from pathlib import Path

import click

from dsk import console
from dsk.errors import PagesDegraded


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.pass_context
def command(context: click.Context, out: Path) -> None:
    """Merge the shards that dsk run --shard has read into OUT.

    Afterwards OUT holds what one run over all pages would have written there. The shards' own
    folders are left as they are.

    \b
    Example, two machines that share a disk:
      dsk run scans/ -o out --shard 1/2     # on one
      dsk run scans/ -o out --shard 2/2     # on the other
      dsk merge out
    """
    from dsk.filenames import printable
    from dsk.ocr.results.summary import Summary
    from dsk.ocr.run.index_page import IndexPage
    from dsk.ocr.run.merging import Merge
    from dsk.ocr.run.progress import progress

    merge = Merge(out)
    summary, index = Summary(merge.plan), IndexPage(merge.plan)
    count = sum(len(document.pages) for document in merge.plan.documents)
    with progress(count) as listener:
        is_whole = merge.run(index.count_for(summary.count_for(listener)))
    summary.write(out)
    index.write(out)
    what = f"{len(merge.plan.documents)} documents with {count} pages are in {printable(out)}"
    console.echo(f"{what}; the folders shard-*-of-{merge.count} there may be removed")
    if not is_whole:
        console.warn("some pages did not come out whole: pages.jsonl says which and why")
    if merge.plan.rejected or not is_whole:
        context.exit(PagesDegraded.exit_code)
