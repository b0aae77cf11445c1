"""Generated parts of Markdown files: between their markers, in whatever file names them."""

from pathlib import Path

import pytest

from dsk.errors import MatrixInvalid
from dsk.generated.markdown import files, filled

MADE = {"stacks": "| v0 |", "cli": "## dsk run"}


def test_the_text_around_the_markers_is_left_alone() -> None:
    text = (
        "before\n<!-- generated:stacks -->stale<!-- /generated -->\nbetween\n"
        "<!-- generated:cli -->\n<!-- /generated -->\nafter\n"
    )
    assert filled(text, MADE, "page.md") == (
        "before\n<!-- generated:stacks -->\n| v0 |\n<!-- /generated -->\nbetween\n"
        "<!-- generated:cli -->\n## dsk run\n<!-- /generated -->\nafter\n"
    )


def test_filling_in_twice_changes_nothing() -> None:
    once = filled("<!-- generated:stacks --><!-- /generated -->", MADE, "page.md")
    assert filled(once, MADE, "page.md") == once


def test_a_marker_of_an_unknown_part_is_refused() -> None:
    text = "<!-- generated:cards --><!-- /generated -->"
    with pytest.raises(MatrixInvalid, match=r"page\.md: there is no generated part 'cards'.*cli"):
        filled(text, MADE, "page.md")


@pytest.mark.parametrize(
    "text",
    [
        "<!-- generated:stacks -->\nthe rest of the page\n",
        "<!-- generated:stacks -->\n<!-- generated:cli --><!-- /generated -->\n",
    ],
)
def test_a_marker_without_an_end_is_refused(text: str) -> None:
    with pytest.raises(MatrixInvalid, match=r"page\.md: the marker '<!-- generated:stacks -->'"):
        filled(text, MADE, "page.md")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    (tmp_path / "README.md").write_text("# dsk\n")
    (tmp_path / "docs" / "plain.md").write_text("nothing generated\n")
    stacks, cli = tmp_path / "docs" / "stacks.md", tmp_path / "docs" / "deep" / "cli.md"
    stacks.write_text("<!-- generated:stacks --><!-- /generated -->\n")
    cli.write_text("<!-- generated:cli --><!-- /generated -->\n")
    return tmp_path


def test_pages_with_parts_are_returned_and_no_others(root: Path) -> None:
    texts = files(root, MADE)
    assert [file.name for file in texts] == ["cli.md", "stacks.md"]
    assert texts[root / "docs" / "stacks.md"].splitlines()[1] == "| v0 |"


def test_a_part_that_stands_nowhere_is_refused(root: Path) -> None:
    (root / "docs" / "stacks.md").write_text("the table is gone\n")
    with pytest.raises(MatrixInvalid, match=r"no Markdown file has .*generated:stacks"):
        files(root, MADE)
