"""Runs over a Ray cluster in which something is killed at random; each has to end the same.

``python tests/benchmarks/cluster_kills.py RUNS [SEED]`` with ray installed: three nodes on this
machine, stubs for engines. In turn a node, an actor or the driver is killed; a driver's command is
given again. Every page has to be read once, and the outputs to be those of a run on one machine.
One line of JSON for each run; the exit status says whether all were right.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks import clusters
from tests.pipeline import books, running

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

    from dsk.ocr.schema.run_plan import RunPlan

NODES: Final = 3
PAGES: Final = 40
SEED: Final = 20261130
SECONDS_A_PAGE: Final = "0.1"
TARGETS: Final = ("node", "actor", "driver")


def undisturbed(place: Path) -> tuple[Path, dict[str, str], list[dict[str, Any]]]:
    """A document, the outputs of a run on this machine, and its ledger."""
    colours = [books.PLAIN] * PAGES
    colours[7], colours[20], colours[33] = books.LOOPS, books.CUT_OFF, books.WORDY
    file = books.write(place / "book.pdf", colours)
    plan = clusters.plan_for(file, place / "out", place / "model", "")
    code, _ = running.run(plan, place)
    assert code == 0, (place / "runner.log").read_text()
    return file, clusters.outputs(plan.out), running.pages(plan.out / "book")


def kill(target: str, cluster: Cluster, driver: Any, chance: random.Random) -> None:
    """Kill one of them; a node is replaced."""
    match target:
        case "node":
            node = chance.choice(cluster.worker_nodes)
            cluster.remove_node(node, allow_graceful=False)
            clusters.add_node(cluster)
        case "actor":
            clusters.kill([chance.choice(clusters.processes_of("ray::ReaderActor"))])
        case "driver":
            driver.kill()


def disturbed(target: str, plan: RunPlan, place: Path, cluster: Cluster, seed: str) -> int:
    """Run, kill, and run again if that ended the run; return the last exit code."""
    chance = random.Random(seed)
    with running.start(plan, place, STUB_SECONDS=SECONDS_A_PAGE) as driver:
        after = chance.randrange(1, PAGES * 3 // 4)
        assert clusters.wait_for_pages(after, driver, plan.out / "book"), "it came too late"
        kill(target, cluster, driver, chance)
        driver.communicate(timeout=600)
    code: int = driver.returncode
    return running.run(plan, place)[0] if target == "driver" else code


def main() -> int:
    """Kill in as many runs as wanted."""
    runs, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else SEED
    wrong = 0
    with tempfile.TemporaryDirectory() as name, clusters.cluster(NODES) as cluster:
        file, outputs, pages = undisturbed(Path(name))
        for number in range(runs):
            target = TARGETS[number % len(TARGETS)]
            place = Path(name, str(number))
            place.mkdir()
            plan = clusters.plan_for(file, place / "out", Path(name, "model"), cluster.address)
            began = time.monotonic()
            code = disturbed(target, plan, place, cluster, f"{seed}-{number}")
            read = Counter(record["page"] for record in running.lines(plan.out / "book"))
            found = {
                "run": number,
                "killed": target,
                "code": code,
                "seconds": round(time.monotonic() - began, 1),
                "same_pages": running.pages(plan.out / "book") == pages,
                "same_outputs": clusters.outputs(plan.out) == outputs,
                "each_once": sorted(read.items()) == [(page, 1) for page in range(1, PAGES + 1)],
            }
            is_right = code == 0 and found["same_pages"] and found["same_outputs"]
            wrong += not (is_right and found["each_once"])
            print(json.dumps(found), flush=True)
            if code:
                print((place / "runner.log").read_text(), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
