"""The documentation says what is so: links lead somewhere, paths exist, commands parse."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Final

import click
import pytest
import yaml
from click.testing import CliRunner

from dsk import paths
from dsk.cli import cli
from dsk.host.facts import Facts
from dsk.host.stack_choice import choose_strictly
from dsk.matrix import load_matrix
from dsk.matrix.select import select

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT: Final = paths.CHECKOUT
PAGES: Final = [
    file
    for pattern in ("*.md", "docs/**/*.md", ".github/**/*.md")
    for file in sorted(ROOT.glob(pattern))
]
HEADING: Final = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
LINK: Final = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE: Final = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
CODE: Final = re.compile(r"`([^`\n]+)`")

TOPS: Final = tuple(
    f"{place.name}/"
    for place in ROOT.iterdir()
    if place.is_dir() and place.name not in (".git", ".venv", ".cache", "build")
)
"""What a path of the repository begins with; others in the text are of a user's machine."""


def text_of(file: Path) -> str:
    return file.read_text("utf-8")


def prose(file: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", text_of(file))


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def anchor(heading: str) -> str:
    """The id that GitHub and MkDocs give a heading."""
    plain = re.sub(r"[`*]", "", heading).strip().lower()
    return re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", plain))


@pytest.mark.parametrize("file", PAGES, ids=name_of)
def test_every_link_inside_the_repository_leads_somewhere(file: Path) -> None:
    for target in LINK.findall(CODE.sub("", prose(file))):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, fragment = target.partition("#")
        there = (file.parent / place).resolve() if place else file
        assert there.exists(), target
        if fragment:
            assert fragment in {anchor(heading) for heading in HEADING.findall(prose(there))}, (
                target
            )


@pytest.mark.parametrize("file", PAGES, ids=name_of)
def test_every_path_of_the_repository_that_is_named_exists(file: Path) -> None:
    for code in CODE.findall(prose(file)):
        named = code.startswith(TOPS) or re.fullmatch(r"[A-Z]+\.md", code)
        if not named or not re.fullmatch(r"[\w./<>*-]+", code):
            continue
        # compat/stacks/<stack>.toml stands for any of them.
        assert list(ROOT.glob(re.sub(r"<[\w-]+>", "*", code).rstrip("/"))), code


@pytest.mark.parametrize("file", PAGES, ids=name_of)
def test_no_cell_of_a_table_has_a_bar_in_it(file: Path) -> None:
    rows = [line for line in prose(file).splitlines() if line.startswith("|")]
    assert not [code for row in rows for code in CODE.findall(row) if "|" in code]


def test_every_page_of_the_site_is_in_its_navigation() -> None:
    nav = text_of(ROOT / "mkdocs.yml").partition("\nnav:\n")[2]
    listed = set(re.findall(r": ([\w/-]+\.md)$", nav, re.MULTILINE))
    assert listed == {str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md")}


def test_the_site_loads_nothing_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("material", reason="the documentation's tools are not here: just docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    subprocess.run([*command, "--site-dir", tmp_path], cwd=ROOT, env=environment, check=True)
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > len(list(ROOT.glob("docs/*.md")))  # and the one for what is not found
    for page in pages:
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", text_of(page))
        assert loaded
        assert not [tag for tag in loaded if re.search(r"(?:src|href)=[\"']?(?:https?:)?//", tag)]


@pytest.mark.parametrize("contract", ["dsk", "dsk.ocr"])
def test_the_architecture_s_tables_have_every_package_from_top_to_bottom(contract: str) -> None:
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))
    (layers,) = [
        one["layers"]
        for one in project["tool"]["importlinter"]["contracts"]
        if one.get("containers") == [contract]
    ]
    folder = f"toolkit/{contract.replace('.', '/')}"
    rows = re.findall(
        rf"^\| `{folder}/(\w+)` \|", text_of(ROOT / "docs/architecture.md"), re.MULTILINE
    )
    for layer in layers:
        names = {name for name in re.split(r"\W+", layer) if (ROOT / folder / name).is_dir()} - {""}
        assert set(rows[: len(names)]) == names
        rows = rows[len(names) :]
    assert rows == []


# Commands


def shown(file: Path) -> Iterator[tuple[str, bool]]:
    """A page's command lines, and whether each is shown to be typed as it is."""
    for _, language, body in FENCE.findall(text_of(file)):
        if language in ("console", "bash", "sh"):
            for line in body.replace("\\\n", " ").splitlines():
                command = re.sub(r"\s+# .*", "", line.removeprefix("$ "))
                for part in re.split(r"\s*(?:&&|\|\|?|;)\s*", command):
                    yield part, True
    for code in CODE.findall(prose(file)):
        yield code, False


def arguments(line: str) -> list[str] | None:
    """The arguments of a command line of ``dsk``, variables before it left out; None for others."""
    try:
        # A scheduler sets its variables to numbers.
        words = shlex.split(re.sub(r"\$[A-Z_]+", "1", line))
    except ValueError:
        return None
    while words and re.match(r"[A-Z_]+=", words[0]):
        del words[0]
    if not words or words[0] not in ("dsk", ".venv/bin/dsk"):
        return None
    return words[1:]


COMMANDS: Final = sorted(
    {
        (name_of(file), line, alone)
        for file in PAGES
        for line, alone in shown(file)
        if arguments(line) is not None
    }
)


def parse(command: click.Command, words: list[str], parent: click.Context | None) -> None:
    """Parse a command line as click would, down to the last command, and run nothing."""
    name = command.name or "dsk"
    with command.make_context(name, words, parent=parent) as context:
        if isinstance(command, click.Group):
            rest = [*context._protected_args, *context.args]
            _, member, following = command.resolve_command(context, rest)
            assert member is not None
            parse(member, following, context)


@pytest.mark.parametrize(("page", "line", "alone"), COMMANDS)
def test_every_command_line_that_is_shown_parses(page: str, line: str, alone: bool) -> None:
    words = arguments(line)
    assert words is not None
    try:
        parse(cli, words, None)
    except click.exceptions.Exit:  # --help, --version
        return
    except (
        click.MissingParameter,
        click.exceptions.NoArgsIsHelpError,
        click.BadOptionUsage,  # an option without its value
    ):
        # In a sentence a command and its options go by their names.
        assert not alone, f"{page}: {line}"


def test_there_are_commands_to_parse() -> None:
    pages = {page for page, _, alone in COMMANDS if alone}
    assert {"README.md", "docs/install.md", "docs/reading.md", "docs/serving.md"} <= pages


# The quick start


def quick_start() -> str:
    return text_of(ROOT / "README.md").partition("\n## Quick start")[2].partition("\n## ")[0]


@pytest.mark.parametrize("host", ["rtx4090", "rtx4090-fresh"])
def test_the_quick_start_makes_the_stack_that_its_run_then_takes(host: str) -> None:
    facts = Facts.model_validate_json(
        (ROOT / "tests" / "golden" / "doctor" / "hosts" / f"{host}.json").read_bytes()
    )
    matrix = load_matrix()
    taken = choose_strictly(matrix, facts, matrix.models["deepseek-ocr"]).stack.id
    assert taken == select(matrix, matrix.gpu("rtx4090")).id
    text = quick_start()
    (run,) = re.findall(r"^\$ dsk run .*$", text, re.MULTILINE)
    (create,) = re.findall(r"^\$ dsk env create .*$", text, re.MULTILINE)
    (verify,) = re.findall(r"^\$ dsk verify .*$", text, re.MULTILINE)
    assert not any("--stack" in command for command in (run, create, verify))
    assert f" stack {taken}, vLLM {matrix.stack(taken).pins['vllm']}:" in create


def test_nothing_is_installed_from_an_index_that_does_not_have_it() -> None:
    for file in PAGES:
        assert not re.search(r"pip install (-\S+ )*dsk", text_of(file)), name_of(file)


# What commands print


def sample(page: str, section: str) -> str:
    """The block of output below a heading."""
    text = text_of(ROOT / "docs" / page).partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    (block,) = [body for _, language, body in FENCE.findall(text) if language == "text"]
    return str(block)


def test_the_doctor_s_sample_says_what_it_says_of_such_a_machine() -> None:
    golden = text_of(ROOT / "tests" / "golden" / "doctor" / "rtx4090-fresh.txt")
    lines = [
        line
        for line in sample("troubleshooting.md", "dsk doctor").splitlines()
        if line.startswith(("[!]", "     "))
    ]
    assert len(lines) > 4
    assert [line for line in lines if line not in golden] == []


def test_the_explanation_s_sample_is_what_is_printed() -> None:
    expected = sample("troubleshooting.md", "dsk explain")
    (seen,) = re.findall(r"line 1: (.*)", expected)
    printed = CliRunner().invoke(cli, ["explain", "-"], input=f"{seen}\n")
    assert printed.stdout.strip() == expected.strip()


# Settings


def test_every_variable_of_ours_is_described() -> None:
    described = text_of(ROOT / "docs" / "environment.md")
    sources = [*ROOT.glob("toolkit/**/*.py"), *ROOT.glob("templates/*")]
    names = {
        name
        for file in sources
        for name in re.findall(r"\bDSK_[A-Z]+(?:_[A-Z]+)*\b(?!_)", text_of(file))
    }
    assert {name for name in names if f"`{name}`" not in described} == set()


# Paperwork


def test_a_bug_report_asks_for_what_doctor_and_explain_print() -> None:
    form = yaml.safe_load(text_of(ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml"))
    fields = {field["attributes"]["label"]: field for field in form["body"] if "id" in field}
    for asked in ("dsk doctor --json", "dsk explain"):
        assert fields[asked]["validations"]["required"]


@pytest.mark.parametrize("file", sorted(ROOT.glob(".github/ISSUE_TEMPLATE/*.yml")), ids=name_of)
def test_a_form_has_what_github_wants_of_it(file: Path) -> None:
    form = yaml.safe_load(text_of(file))
    if file.stem == "config":
        return
    assert {"name", "description", "body"} <= form.keys()
    for field in form["body"]:
        assert field["type"] in ("markdown", "textarea", "input", "dropdown", "checkboxes")
        assert ("id" in field) == (field["type"] != "markdown")


def test_pre_commit_runs_what_check_runs() -> None:
    config = yaml.safe_load(text_of(ROOT / ".pre-commit-config.yaml"))
    check = text_of(ROOT / "justfile").partition("\ncheck: setup docs\n")[2].partition("\n\n")[0]
    for hook in (hook for repo in config["repos"] for hook in repo["hooks"]):
        assert hook["entry"].replace(" --fix", "") in check


def test_the_changelog_has_a_section_for_what_is_not_released() -> None:
    headings = re.findall(r"^## (.*)$", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", one) for one in headings[1:])


def test_the_readme_fits_on_a_few_screens() -> None:
    assert len(re.findall(r"\w+(?:[-'.]\w+)*", prose(ROOT / "README.md"))) < 1000
