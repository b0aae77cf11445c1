"""tests/unit mirrors toolkit/dsk: x/test_y.py tests x/y.py, and x/test_x.py the package x."""

from __future__ import annotations

from pathlib import Path

UNIT = Path(__file__).parent
PACKAGE = UNIT.parents[1] / "toolkit" / "dsk"
SUBJECTS = {
    "cli/test_help.py": "what `--help` prints, of every command",
    "explain/test_advice.py": "the fixes of all rules, against the command line",
    "explain/test_cases.py": "recorded failures, through the whole package",
    "explain/test_fuzz.py": "logs cut, mixed and prefixed at random, through the whole package",
    "images/test_workflow.py": "the workflow in .github that builds the images",
    "models/test_fourth_model.py": "a model that is made up: one table, one folder",
    "models/test_literals.py": "a model's numbers and names outside its profile",
    "ocr/outputs/test_fuzz.py": "answers at random, through every output",
    "vllm_plugin/gate/test_known_vulnerabilities.py": "published vulnerabilities, at the gate",
    "test_docs.py": "the pages in docs and what they link to",
    "test_house.py": "the shape of the whole package",
    "test_requirements.py": "the lock of what development installs",
    "test_mirror.py": "tests/unit itself",
}
"""Files that test no one module: what each is about."""


def mirrors_a_module(test: Path) -> bool:
    """Return True if a file of tests is named after a module, a package or the package it is in."""
    module = PACKAGE / test.relative_to(UNIT).with_name(test.name.removeprefix("test_"))
    package = module.with_suffix("")
    return module.is_file() or package.is_dir() or package.name == package.parent.name


def test_each_file_of_tests_is_named_after_what_it_tests() -> None:
    strays = {
        str(test.relative_to(UNIT))
        for test in UNIT.rglob("test_*.py")
        if not mirrors_a_module(test)
    }
    assert strays == set(SUBJECTS)
