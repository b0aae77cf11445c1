"""Shards of a run: divide its pages, and record in each shard's folder what `dsk merge` needs."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from dsk.control_characters import escaped_in_json
from dsk.errors import UsageProblem
from dsk.filenames import printable
from dsk.files import read_regular, write_atomically
from dsk.ocr.schema.run_files import SHARD
from dsk.ocr.schema.run_plan import RunPlan
from dsk.ocr.schema.shard import Shard
from dsk.urls import without_user

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dsk.ocr.schema.run_plan import Document

_FOLDER: Final = re.compile(r"shard-([1-9][0-9]{0,8})-of-([1-9][0-9]{0,8})")


def inputs_hash(documents: Sequence[Document]) -> str:
    """Return a hash of the content, the pages and the order of the documents of all shards."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(f"{document.sha256}:{document.page_count}:{document.pages}\n".encode())
    return digest.hexdigest()


def part(documents: Sequence[Document], shard: Shard) -> list[Document]:
    """Return a shard's documents with its pages: consecutive ones, as many as every shard has.

    Most documents lie in one shard whole, so that few are opened twice. A document without a page
    in the shard is left out.
    """
    total = sum(len(document.pages) for document in documents)
    first = total * (shard.number - 1) // shard.count
    end = total * shard.number // shard.count
    found = []
    before = 0
    for document in documents:
        pages = document.pages[max(0, first - before) : max(0, end - before)]
        before += len(document.pages)
        if pages:
            found.append(document.model_copy(update={"pages": pages}))
    return found


def write(plan: RunPlan) -> None:
    """Write `shard.json` into the folder of a plan's shard."""
    # A URL may hold a password; of servers the merge needs nothing.
    servers = tuple(
        server.model_copy(update={"url": without_user(server.url)})
        for server in plan.engine.servers
    )
    engine = plan.engine.model_copy(update={"servers": servers})
    # The merge may be started in another folder.
    documents = [
        document.model_copy(update={"path": document.path.absolute()})
        for document in plan.documents
    ]
    text = plan.model_copy(update={"engine": engine, "documents": documents}).model_dump_json()
    write_atomically(plan.out / SHARD, escaped_in_json(text) + "\n")


def read(folder: Path) -> RunPlan:
    """Read the plan of the shard in a folder, whose place may have changed since.

    Raises:
        UsageProblem: no shard has been read there, or one of another version of dsk.
    """
    try:
        plan = RunPlan.model_validate_json(read_regular(folder / SHARD))
        documents = [
            document.model_copy(update={"folder": folder / document.folder.relative_to(plan.out)})
            for document in plan.documents
        ]
    except (OSError, ValidationError, ValueError, TypeError, KeyError) as error:
        what = f"{printable(folder)} is not the folder of a shard that this dsk has read"
        raise UsageProblem(what, do="read the shard with this version of dsk") from error
    if any(".." in document.folder.relative_to(folder).parts for document in documents):
        what = f"{printable(folder / SHARD)} names folders outside its own"
        raise UsageProblem(what, do="read the shard again")
    return plan.model_copy(update={"out": folder, "documents": documents})


def found_in(out: Path) -> dict[Shard, Path]:
    """Return the folders of the shards that have begun in an output folder, in their order.

    Raises:
        UsageProblem: they are of runs with different numbers of shards.
    """
    try:
        names = sorted(entry.name for entry in out.iterdir() if entry.is_dir())
    except OSError:
        return {}
    shards = sorted(
        (int(match[2]), int(match[1])) for name in names if (match := _FOLDER.fullmatch(name))
    )
    counts = sorted({count for count, _ in shards})
    if len(counts) > 1:
        what = f"{printable(out)} has folders of runs with {' and '.join(map(str, counts))} shards"
        raise UsageProblem(what, do="remove those of one run, or move them elsewhere")
    found = (Shard(number=number, count=count) for count, number in shards)
    folders = {shard: shard.folder(out) for shard in found}
    # The file is written when a shard begins to read; its folder is there before.
    return {shard: folder for shard, folder in folders.items() if (folder / SHARD).exists()}
