"""Tables in Markdown."""

from dsk.generated.markdown_table import table


def test_a_table_has_a_head_a_rule_and_a_line_a_row() -> None:
    made = table(("a", "b"), [("1", "2"), ("3", "4")])
    assert made.splitlines() == ["| a | b |", "| --- | --- |", "| 1 | 2 |", "| 3 | 4 |"]
