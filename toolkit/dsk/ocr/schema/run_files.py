"""Names of the files that a run writes beside the documents' own outputs."""

from __future__ import annotations

from typing import Final

from dsk import file_lock

LEDGER: Final = "pages.jsonl"
# Both in the folder of each document.
MANIFEST: Final = "manifest.json"

JOB: Final = "job.json"
SUMMARY: Final = "run.json"
INDEX: Final = "index.html"
SHARD: Final = "shard.json"
BENCHMARK: Final = "bench.json"
ENGINE_LOG: Final = "engine.log"
# All of them in the output folder.
FOLDER_OWNERS: Final = "places.json"

# Names that no document's folder may have.
IN_OUTPUT_FOLDER: Final = frozenset(
    {JOB, SUMMARY, INDEX, SHARD, BENCHMARK, ENGINE_LOG, FOLDER_OWNERS, file_lock.LOCK_FILE}
)
