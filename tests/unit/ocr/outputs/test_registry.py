"""The registry: a format is one module, and everything else follows from it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.unit.ocr.outputs.conftest import context, records

from dsk.errors import UsageProblem
from dsk.ocr.outputs import formats as package
from dsk.ocr.outputs import registry
from dsk.ocr.outputs.writer import write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dsk.ocr.schema.run_plan import Document

    AddModule = Callable[[str, str], None]

PLAIN = """
from dsk.ocr.outputs.base import OutputFile, OutputFormat

def write(context):
    context.write_text("{stem}.txt", (record.text for record in context.records()))

FORMAT = OutputFormat(
    name="plain", files=(OutputFile(name="{stem}.txt", content="plain text"),), write=write
)
"""


@pytest.fixture
def add_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AddModule]:
    """Add a module to the package of formats."""
    folder = tmp_path / "more formats"
    folder.mkdir()
    added: list[str] = []

    def add(name: str, source: str) -> None:
        (folder / f"{name}.py").write_text(source)
        added.append(f"{package.__name__}.{name}")
        registry.formats.cache_clear()

    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    yield add
    for name in added:
        sys.modules.pop(name, None)
    registry.formats.cache_clear()


# Subsets throughout: a further format is one module, and no line here.
def test_the_formats_are_those_of_the_package() -> None:
    assert set(registry.names()) >= {"md", "json", "layout", "html", "figures"}
    assert set(registry.default_names()) >= {"md", "layout", "html", "figures"}
    assert "md" in registry.required_names()
    assert registry.names_without_source() >= {"md", "json"}
    assert registry.names_without_source().isdisjoint({"layout", "html", "figures"})


def test_the_formats_are_listed_by_their_order() -> None:
    known = [name for name in registry.names() if name in {"md", "json", "layout", "html"}]
    assert known == ["md", "json", "layout", "html"]


def test_a_format_is_one_module(document: Document, add_module: AddModule) -> None:
    add_module("plain_text", PLAIN)
    assert "plain" in registry.names()
    assert "plain" not in registry.default_names()
    assert "plain" in registry.names_without_source()
    write(context(document, records("one", "two")), registry.parse("plain"))
    assert (document.folder / "two pages.txt").read_text() == "onetwo"
    assert (document.folder / "two pages.md").exists()


def test_required_formats_need_no_name() -> None:
    required = set(registry.required_names())
    assert registry.parse("") == required
    assert registry.parse(" json , html,") == {*required, "json", "html"}


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageProblem, match="no format 'nonsense': give some of md,"):
        registry.parse("json,nonsense")


def test_a_module_without_a_format_is_named(add_module: AddModule) -> None:
    add_module("empty", "")
    with pytest.raises(TypeError, match=r"formats\.empty does not define FORMAT"):
        registry.formats()


def test_two_formats_of_one_name_are_refused(add_module: AddModule) -> None:
    add_module("other", PLAIN)
    add_module("plain_text", PLAIN)
    with pytest.raises(ValueError, match="define the format 'plain'"):
        registry.formats()


def test_listing_the_formats_loads_nothing_slow() -> None:
    code = (
        "import sys\nfrom dsk.ocr.outputs import registry\nregistry.names()\n"
        "print([name for name in ('pymupdf', 'PIL', 'numpy', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
