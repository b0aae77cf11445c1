"""The shape of the package: what no linter counts."""

import collections
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "toolkit" / "dsk"
MODULES = {file: file.read_text("utf-8") for file in sorted(PACKAGE.rglob("*.py"))}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("dsk", cache_dir=None)


def components(graph: grimp.ImportGraph) -> Iterator[list[str]]:
    """Yield the strongly connected components of the modules (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> Iterator[list[str]]:
        index[module] = low[module] = len(index)
        stack.append(module)
        for imported in graph.find_modules_directly_imported_by(module):
            if imported not in index:
                yield from visit(imported)
                low[module] = min(low[module], low[imported])
            elif imported in stack:
                low[module] = min(low[module], index[imported])
        if low[module] == index[module]:
            at = stack.index(module)
            yield stack[at:]
            del stack[at:]

    for module in sorted(graph.modules):
        if module not in index:
            yield from visit(module)


def test_no_module_imports_itself_by_way_of_others(graph: grimp.ImportGraph) -> None:
    assert [found for found in components(graph) if len(found) > 1] == []


def test_no_folder_has_more_than_twenty_modules() -> None:
    modules = [file for file in MODULES if file.name != "__init__.py"]
    counts = collections.Counter(file.parent for file in modules)
    assert {folder: count for folder, count in counts.items() if count > 20} == {}
