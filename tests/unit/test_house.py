"""The shape of the package: what no linter counts."""

import ast
import collections
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "toolkit" / "dsk"
MODULES = {file: file.read_text("utf-8") for file in sorted(PACKAGE.rglob("*.py"))}
TREES = {file: ast.parse(text) for file, text in MODULES.items()}

QUESTION_WORDS = {"What", "Whether", "How", "Where", "Who", "When", "Which"}


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


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {file: text.count("\n") for file, text in MODULES.items()}
    assert {file: length for file, length in lengths.items() if length > 400} == {}


def test_a_class_name_has_one_meaning() -> None:
    classes = [
        node.name
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    counts = collections.Counter(classes)
    assert [name for name, count in counts.items() if count > 1] == []


def test_docstrings_of_functions_begin_with_a_verb_and_not_with_a_question() -> None:
    docstrings = [
        docstring
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (docstring := ast.get_docstring(node))
    ]
    questions = [text for text in docstrings if text.split()[0].strip(",:") in QUESTION_WORDS]
    assert len(questions) < 0.02 * len(docstrings), questions


PRINTS_ITSELF = {
    "console.py": "it is where printing is made harmless",
    "eyechart/__main__.py": "its output goes to the launcher, through a pipe",
    "host/nvml_client.py": "its output goes to the launcher, through a pipe",
    "ocr/benchmark/baseline.py": "its output goes into a log",
    "ocr/documents/validation.py": "its output goes to the launcher, through a pipe",
    "ocr/pipeline/fork_server.py": "it warns while its processes end, with `visible`",
    "processes/child.py": "it warns while a process ends, with `visible`",
    "processes/programs.py": "it warns while a process ends, with `visible`",
    "serving/server_log.py": "it passes on a server's log, with `visible`",
    "transformers_patch/folders.py": "it runs where rich may be missing, with `printable`",
    "vllm_plugin/registration.py": "it runs where rich may be missing, and prints our own words",
}
PRINTING = {"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"}


def test_all_that_is_printed_goes_through_the_console() -> None:
    """Another way would let control characters of a file or a server reach the terminal."""
    printing = {
        str(file.relative_to(PACKAGE))
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in PRINTING
    }
    json_dumps = {"host/nvml_client.py"}  # json.dump to sys.stdout
    assert printing | json_dumps == set(PRINTS_ITSELF)
