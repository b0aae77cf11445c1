"""The loader: every fault is told by file, key, what was found and what is allowed."""

from pathlib import Path

import pytest

from dsk.errors import MatrixInvalid
from dsk.matrix import load_matrix
from dsk.matrix.load import load_models

V0, V1, CPU = "stacks/v0.toml", "stacks/v1.toml", "stacks/cpu.toml"
SPOILED = {
    "a GPU without its VRAM": (
        "gpus.toml", 'compute_capability = "8.9"\nvram_gib = 12', 'compute_capability = "8.9"',
        "rtx4070.vram_gib", "nothing", "the nominal VRAM in GiB, a whole number above 0",
    ),
    "VRAM in words": (
        "gpus.toml", "vram_gib = 141", 'vram_gib = "lots"',
        "h200.vram_gib", "'lots'", "the nominal VRAM in GiB, a whole number above 0",
    ),
    "no VRAM at all": (
        "gpus.toml", "vram_gib = 141", "vram_gib = 0",
        "h200.vram_gib", "0", "the nominal VRAM in GiB, a whole number above 0",
    ),
    "a compute capability as a number": (
        "gpus.toml", 'compute_capability = "10.0"', "compute_capability = 10.0",
        "b200.compute_capability", "10.0", 'a compute capability such as "8.9", in quotes',
    ),
    "an alias that two cards share": (
        "gpus.toml", 'aliases = ["4080"]', 'aliases = ["40-70"]',
        "rtx4080.aliases", "'4070'", "a spelling of its own; rtx4070 has it already",
    ),
    "an unknown key": (
        "gpus.toml", "vram_gib = 141", "vram_gib = 141\nwatts = 700",
        "h200.watts", "an unknown key", "one of id, name, aliases, compute_capability",
    ),
    "a value where a card should be": (
        "gpus.toml", "[rtx5050]", "version = 3\n[rtx5050]", "version", "3", "a table",
    ),
    "text that is not TOML": (
        "gpus.toml", "[rtx2080ti]", "[rtx2080ti", "the whole file", "Expected", "TOML in UTF-8",
    ),
    "a model without a pinned revision": (
        "models.toml", "9f30c71f441d010e5429c532364a86705536c53a", "main",
        "deepseek-ocr.revision", "'main'", "a commit, 40 hex digits",
    ),
    "a model with no layers": (
        "models.toml", "layers = 12", "layers = 0",
        "deepseek-ocr.language.layers", "0", "a whole number above 0",
    ),
    "a resolution without its view": (
        "models.toml", "large = { view = 1280, ", "large = { ",
        "deepseek-ocr.resolutions.large.view", "nothing", "the side of the whole page's picture",
    ),
    "a retry in the same resolution": (
        "models.toml", 'retry_as = "base"', 'retry_as = "gundam"',
        "deepseek-ocr.resolutions.gundam.retry_as", "'gundam'", "one of tiny, small, base, large",
    ),
    "a retry step that does not exist": (
        "models.toml", '"ungrounded", "halves"]', '"ungrounded", "thirds"]',
        "deepseek-ocr.retry_steps.4", "'thirds'", "a list of asked, guard, resolution",
    ),
    "a default resolution that does not exist": (
        "models.toml", 'default_resolution = "gundam"', 'default_resolution = "huge"',
        "deepseek-ocr.default_resolution", "'huge'", "one of tiny, small, base, large, gundam",
    ),
    "a resolution of several images that does not exist": (
        "models.toml", 'several_images = "base"', 'several_images = "none"',
        "unlimited-ocr.several_images", "'none'", "one of tiny, small, base, large, gundam",
    ),
    "a prompt without its image": (
        "models.toml", '"<image>\\nFree OCR."', '"Free OCR."',
        "deepseek-ocr.prompts.free", "'Free OCR.'", "a prompt with <image> once",
    ),
    "a model without the default prompt": (
        "models.toml", "markdown = ", "text = ",
        "deepseek-ocr.prompts", "'markdown'", "one of text, ocr, free, figure, describe",
    ),
    "a kept token of another vocabulary": (
        "models.toml", '"</td>"]', '"</th>"]',
        "deepseek-ocr.kept_tokens", "'</th>'", "one of ",
    ),
    "a guard of no size": (
        "models.toml", "{ size = 30, window = 90 }", "{ size = 0, window = 90 }",
        "deepseek-ocr.guards.official.image.size", "0", "a whole number above 0",
    ),
    "an engine that does not exist": (
        V0, 'engine = "V0"', 'engine = "V2"', "engine", "'V2'", '"V0" or "V1"',
    ),
    "a pin that is a range": (
        V0, 'torch = "2.6.0"', 'torch = ">=2.6"',
        "pins.torch", "'>=2.6'", "a table of normalised package names and exact versions",
    ),
    "a pin whose name is not normalised": (
        V0, 'flash-attn = "2.7.3"', 'flash_attn = "2.7.3"',
        "pins.flash_attn", "'flash_attn'", "a table of normalised package names",
    ),
    "a driver in words": (
        V0, 'driver = "525.60.13"', 'driver = "R525"',
        "gpu.driver", "'R525'", 'the oldest driver that runs, such as "525.60.13", in quotes',
    ),
    "a floor that is misspelt": (
        V0, "vram_gib = 10", "vram_gb = 10", "gpu.vram_gib", "nothing", "the least VRAM in GiB",
    ),
    "a GPU stack without floors for the GPU": (
        CPU, 'device = "cpu"', 'device = "cuda"',
        "gpu", "no table", 'a table for device "cuda" and none for "cpu"',
    ),
    "an override without its evidence": (
        CPU, "evidence = ", "note = ", "overrides.0.evidence", "nothing", "what was run and seen",
    ),
    "an override that contradicts nothing": (
        CPU, 'asks = "==2.13.0+cpu"', 'asks = ">=2.13"',
        "overrides.0.asks", ">=2.13", "a demand that the pin 2.13.0 does not meet",
    ),
    "an override of something unpinned": (
        CPU, 'package = "torch"', 'package = "numpy"',
        "overrides.0.package", "numpy", "a package that pins names",
    ),
    "a source archive without a whole hash": (
        V0, "9078cf92355c4e3f", "9078", "sources.0.sha256", "'9078", "64 hex digits",
    ),
    "a source archive of something unpinned": (
        V0, 'package = "flash-attn"', 'package = "apex"',
        "sources.0.package", "apex", "a package that pins names",
    ),
    "two stacks of one rank": (
        V1, "rank = 2", "rank = 1", "rank", "1", "a rank of its own; v0 has it already",
    ),
    "a lower-case environment variable": (
        V0, "VLLM_USE_V1 = ", "vllm_use_v1 = ",
        "environment.vllm_use_v1", "'vllm_use_v1'", "a table of environment variables",
    ),
    "a lock that may hold anything": (
        V0, "resolve_before = 2025-12-08", "resolve_before = 'now'",
        "resolve_before", "'now'", "a date",
    ),
    "a package's own date that is no later than all packages'": (
        V0, "urllib3 = 2026-11-21", "urllib3 = 2025-12-08",
        "resolve_package_before.urllib3", "2025-12-08", "a date after resolve_before, 2025-12-08",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", SPOILED)
def test_a_fault_is_told_by_file_key_found_and_allowed(fault: str, matrix_folder: Path) -> None:
    file, good, bad, key, found, allowed = SPOILED[fault]
    path = matrix_folder / file
    text = path.read_text("utf-8")
    assert good in text, "the test no longer knows the file"
    path.write_text(text.replace(good, bad, 1), "utf-8")

    with pytest.raises(MatrixInvalid) as caught:
        load_matrix(matrix_folder)

    assert str(caught.value).startswith(f"{path}, key '{key}': found {found}")
    assert f"expected {allowed}" in caught.value.args[0]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("v1@0.25.0", "v1@0.24.0: an earlier version is named after the vLLM it pins"),
        ("v9@0.24.0", "a current version beside it, v9.toml"),
        ("v1.0", "a name such as v1, or v1@0.24.0 for an earlier version of v1"),
    ],
)
def test_the_name_of_an_earlier_version_says_whose_and_which(
    name: str, allowed: str, matrix_folder: Path
) -> None:
    stacks = matrix_folder / "stacks"
    (stacks / "v1@0.24.0.toml").rename(stacks / f"{name}.toml")
    with pytest.raises(MatrixInvalid) as caught:
        load_matrix(matrix_folder)
    assert f"{name}.toml, key 'id': found" in str(caught.value)
    assert caught.value.args[0].endswith(f"expected {allowed}")


@pytest.mark.parametrize("file", ["gpus.toml", "models.toml"])
def test_a_missing_file_is_named(file: str, matrix_folder: Path) -> None:
    (matrix_folder / file).unlink()
    with pytest.raises(MatrixInvalid, match=rf"{file}, key 'the whole file': found No such file"):
        load_matrix(matrix_folder)


def test_a_matrix_without_stacks_is_refused(matrix_folder: Path) -> None:
    for file in (matrix_folder / "stacks").glob("*.toml"):
        file.unlink()
    with pytest.raises(MatrixInvalid, match=r"stacks, key '\*\.toml': found no file"):
        load_matrix(matrix_folder)


def test_bytes_that_are_not_text_are_refused(matrix_folder: Path) -> None:
    (matrix_folder / "gpus.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(MatrixInvalid, match="expected TOML in UTF-8"):
        load_matrix(matrix_folder)


def test_a_stack_without_a_lock_says_how_to_make_one(matrix_folder: Path) -> None:
    stack = load_matrix(matrix_folder).stack("cpu")
    stack.lock_file.unlink()
    with pytest.raises(MatrixInvalid, match=r"dsk matrix lock cpu$"):
        stack.lock_sha256()


def test_the_lock_hash_follows_the_lock(matrix_folder: Path) -> None:
    stack = load_matrix(matrix_folder).stack("cpu")
    before = stack.lock_sha256()
    stack.lock_file.write_text(stack.lock_file.read_text("utf-8") + "#\n", "utf-8")
    assert stack.lock_sha256() != before


def test_the_matrix_is_read_once(matrix_folder: Path) -> None:
    assert load_matrix(matrix_folder) is load_matrix(matrix_folder)


def two_models(file: Path, *, alias: str) -> None:
    """Write the first model's table twice, the second time under other names and an alias."""
    text = file.read_text("utf-8")
    start = text.index("[deepseek-ocr]")
    end = text.find("\n\n[", text.index("[deepseek-ocr.tokens]"))
    first = text[start : end if end > 0 else None]
    second = first.replace("[deepseek-ocr", "[second").replace('DeepSeek-OCR"', 'Second-OCR"')
    second = second.replace('name = "Second-OCR"', f'name = "Second-OCR"\naliases = ["{alias}"]')
    file.write_text(f"{first}\n\n{second}\n", "utf-8")


def test_a_model_may_have_aliases_of_its_own(matrix_folder: Path) -> None:
    two_models(matrix_folder / "models.toml", alias="ocr.next")
    assert load_models(matrix_folder)["second"].spellings == {
        "second",
        "secondocr",
        "deepseekai/secondocr",
        "ocr.next",
    }


@pytest.mark.parametrize("alias", ["deepseek_ocr", "DEEPSEEK-ocr", "DeepseekOCR"])
def test_an_alias_that_is_another_models_name_is_refused(alias: str, matrix_folder: Path) -> None:
    file = matrix_folder / "models.toml"
    two_models(file, alias=alias)
    with pytest.raises(MatrixInvalid) as refused:
        load_models(matrix_folder)
    assert str(refused.value).startswith(f"{file}, key 'second.aliases': found 'deepseekocr'")
    assert refused.value.do == "expected a spelling of its own; deepseek-ocr has it already"


@pytest.mark.parametrize("alias", ["a/b", "a@b", "two words", ""])
def test_an_alias_that_no_command_line_takes_is_refused(alias: str, matrix_folder: Path) -> None:
    file = matrix_folder / "models.toml"
    two_models(file, alias=alias)
    with pytest.raises(MatrixInvalid, match=r"key 'second\.aliases\.0': found"):
        load_models(matrix_folder)
