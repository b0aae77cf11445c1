"""Carry out a plan: lock the output folder, record the plan, hand it to an executor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.ocr.results import folder_owners, job_file
from dsk.ocr.run import output_folder, shards

if TYPE_CHECKING:
    from dsk.ocr.executors.base import Executor
    from dsk.ocr.schema.events import Listener
    from dsk.ocr.schema.run_plan import RunPlan


def execute(plan: RunPlan, executor: Executor, listener: Listener) -> bool:
    """Carry out a plan, and return True if every page of every document came out whole.

    Raises:
        UsageProblem: another run writes to the folder, or another model has read pages in it.
        DskError: something stopped the run, of the fitting kind.
    """
    with output_folder.locked(plan.out):
        job_file.require_one_model(plan)
        # Before anything is read: after a kill folders must know their documents, or the next run
        # could give one of them to another document of the same name.
        folder_owners.write(plan.documents, plan.out)
        job_file.write(plan, plan.out)
        if plan.shard:
            shards.write(plan)
        return executor.execute(plan, listener)
