"""Generated parts of Markdown files, each between two markers.

A part begins at ``<!-- generated:NAME -->`` and ends at ``<!-- /generated -->``; the text around it
is written by hand and left alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from dsk.errors import MatrixInvalid
from dsk.generated import cli_reference, model_tables, tables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import click

    from dsk.matrix import Matrix

_PART: Final = re.compile(
    r"<!-- generated:(?P<name>[\w-]+) -->(?P<body>.*?)(?P<end><!-- /generated -->|\Z)", re.DOTALL
)


def parts(matrix: Matrix, commands: click.Group) -> dict[str, str]:
    """Make every part, by its name.

    Args:
        matrix: the loaded matrix.
        commands: the command line, for its reference.
    """
    return {
        "stacks": tables.stacks(matrix),
        "gpus": tables.gpus(matrix),
        "vllm-releases": tables.vllm_releases(),
        "model-releases": tables.model_releases(),
        "models": model_tables.models(),
        "model-figures": model_tables.figures(),
        "model-stacks": model_tables.stacks(matrix),
        "prompts": tables.prompts(),
        "resolutions": tables.resolutions(),
        "patch": tables.patch(),
        "exit-codes": tables.exit_codes(),
        "outputs": tables.outputs(),
        "cli": cli_reference.reference(commands),
    }


def files(root: Path, made: Mapping[str, str]) -> dict[Path, str]:
    """Return the README and the pages of ``docs`` that have parts, with those parts filled in.

    Raises:
        MatrixInvalid: a marker is wrong, or a part has no marker.
    """
    texts, used = {}, set[str]()
    for file in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        text = file.read_text("utf-8")
        names = {match["name"] for match in _PART.finditer(text)}
        if names:
            texts[file] = filled(text, made, str(file.relative_to(root)))
            used |= names
    # A table that no page shows any more would drift unseen.
    if missing := sorted(set(made) - used):
        what = f"no Markdown file has the marker '<!-- generated:{missing[0]} -->'"
        raise MatrixInvalid(what, do="add it, and its end, where the table belongs")
    return texts


def filled(text: str, made: Mapping[str, str], name: str) -> str:
    """Fill a Markdown text's parts in.

    Args:
        text: the file as it is.
        made: the parts.
        name: the file's name, for messages.

    Raises:
        MatrixInvalid: a marker names no part, or has no end.
    """

    def content(match: re.Match[str]) -> str:
        part = match["name"]
        # A part without an end would swallow the next one, up to that one's end.
        if not match["end"] or "<!-- generated:" in match["body"]:
            what = f"{name}: the marker '<!-- generated:{part} -->' has no end"
            raise MatrixInvalid(what, do="add '<!-- /generated -->' below the table")
        if part not in made:
            what = f"{name}: there is no generated part '{part}'"
            raise MatrixInvalid(what, do=f"known are {', '.join(sorted(made))}")
        return f"<!-- generated:{part} -->\n{made[part]}\n<!-- /generated -->"

    return _PART.sub(content, text)
