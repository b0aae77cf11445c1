"""`dsk explain` as a person and as a program meets it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dsk.cli.explain import command
from dsk.errors import InputUnreadable, UsageProblem

LOG = (
    "#9 1.2 vllm starting\n"
    "ImportError: cannot import name 'LlamaFlashAttention2' from 'transformers.models.llama'\n"
    "`torch_dtype` is deprecated! Use `dtype` instead!\n"
)


def run(*arguments: str, stdin: str = "") -> str:
    result = CliRunner().invoke(command, arguments, input=stdin, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_text_tells_cause_evidence_fix_and_source_in_100_columns(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text(LOG + "x" * 500 + " CUDA out of memory. " + "y" * 500)
    text = run(str(log))
    assert "line 2: ImportError: cannot import name 'LlamaFlashAttention2'" in text
    assert "pip install 'transformers==4.46.3'" in text
    assert "Source: https://github.com/deepseek-ai/DeepSeek-OCR/issues/7" in text
    assert "Harmless:" in text
    assert max(map(len, text.splitlines())) <= 100


def test_json_holds_the_causes_in_order_and_the_harmless_lines() -> None:
    found = json.loads(run("-", "--json", stdin=LOG))
    assert list(found) == ["causes", "harmless"]
    cause = found["causes"][0]
    assert list(cause) == ["rule", "category", "likely", "cause", "fix", "evidence", "source"]
    assert cause["likely"] is False
    assert cause["category"] == "transformers-version"
    assert cause["evidence"][0]["line"] == 2
    assert found["harmless"][0]["evidence"][0]["line"] == 3


def test_nothing_known_says_so_and_what_to_collect() -> None:
    text = run("-", stdin="hello\nFrobError: bent\n")
    assert "No known failure is in this log (2 lines read)" in text
    assert "line 2: FrobError: bent" in text
    assert "dsk doctor --json" in text


def test_an_empty_log_is_said_to_be_empty() -> None:
    assert "empty" in run("-")


def test_the_environment_may_name_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSK_STACK", "v0")
    assert "Stack v0 pins transformers==4.46.3" in " ".join(run("-", stdin=LOG).split())


def test_an_unknown_stack_is_refused() -> None:
    with pytest.raises(UsageProblem, match="v9"):
        run("-", "--stack", "v9", stdin=LOG)


def test_an_input_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.log"):
        with pytest.raises(InputUnreadable, match="cannot be read"):
            run(str(path))
