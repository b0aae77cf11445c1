"""Nodes that would read otherwise than the driver's machine."""

from __future__ import annotations

import pytest

from dsk.ocr.cluster.node_check import problem
from dsk.ocr.cluster.node_facts import NodeFacts

DRIVER = NodeFacts(
    dsk="1.0",
    python="3.12.3",
    packages={"numpy": "2.0", "ray": "2.60.0", "vllm": "0.30.0", "zlib-ng": "1.0"},
    weights="a" * 64,
)


def test_a_node_with_the_same_facts_reads_whatever_else_is_installed_there() -> None:
    more = DRIVER.packages | {"ipython": "9.0"}
    node = DRIVER.model_copy(update={"packages": more, "gpus": ("3",)})
    assert problem(DRIVER, node, "n1", "v1") is None


@pytest.mark.parametrize(
    ("changes", "what", "do"),
    [
        (
            {"dsk": "0.9"},
            "node n1 has other versions than this machine: dsk 0.9 for 1.0",
            "dsk 1.0",
        ),
        ({"python": "3.11.9"}, "Python 3.11.9 for 3.12.3", "dsk env create --stack v1"),
        (
            {"packages": DRIVER.packages | {"numpy": "1.26", "vllm": "0.24.0"}},
            "vllm 0.24.0 for 0.30.0, numpy 1.26 for 2.0",
            "dsk env create --stack v1",
        ),
        (
            {"packages": {}},
            "ray missing for 2.60.0, vllm missing for 0.30.0, numpy missing for 2.0 and 1 more",
            "one image",
        ),
        ({"weights": ""}, "does not have the model", "dsk model fetch"),
        ({"weights": "b" * 64}, "other weights", "dsk model fetch"),
        ({"unseen": ("/data/a\n.pdf",)}, r"cannot open /data/a\n.pdf", "mount"),
    ],
)
def test_a_node_that_differs_is_named_with_what_mends_it(
    changes: dict[str, object], what: str, do: str
) -> None:
    found = problem(DRIVER, DRIVER.model_copy(update=changes), "n1", "v1")
    assert found is not None
    assert what in found[0]
    assert do in found[1]
