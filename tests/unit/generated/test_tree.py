"""Dockerfiles and documentation: rendered from the matrix, committed, byte for byte."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from cyclonedx.spdx import is_expression

from dsk import paths
from dsk.cli import cli
from dsk.errors import MatrixInvalid
from dsk.generated import tree
from dsk.images import dockerfile
from dsk.images.dockerfile import quoted
from dsk.images.parts import parts_of
from dsk.matrix import Stack, evidence, load_matrix

MATRIX = load_matrix()
GENERATED = tree.everything(MATRIX, cli)
DOCKERFILES = [file for file in GENERATED if file.name == "Dockerfile"]
KNOWN = evidence.load(MATRIX)


def rendered(stack: Stack) -> str:
    return dockerfile.dockerfile(stack, KNOWN)


@pytest.fixture
def v0() -> Stack:
    return MATRIX.stack("v0")


@pytest.mark.parametrize("file", GENERATED, ids=lambda file: str(file.relative_to(paths.CHECKOUT)))
def test_a_committed_file_is_what_the_matrix_renders_to(file: Path, update_golden: bool) -> None:
    if update_golden:
        tree.write({file: GENERATED[file]})
    assert file.read_bytes() == GENERATED[file].encode()


def test_nothing_lies_among_the_dockerfiles_that_nothing_renders_to() -> None:
    assert tree.strays(GENERATED) == []


def test_the_same_input_gives_the_same_bytes(v0: Stack) -> None:
    assert rendered(v0) == rendered(v0)


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.parent.name)
def test_no_frontend_is_pulled_to_read_a_dockerfile(file: Path) -> None:
    # BuildKit reads a syntax directive in the first line, and would ask a registry for it.
    assert not file.read_text("utf-8").startswith("# syntax=")


def test_every_stack_has_one_dockerfile_an_architecture_for_all_its_cards() -> None:
    stacks = [there for stack in MATRIX.stacks.values() for there in stack.on_each]
    assert {file.parent.name for file in DOCKERFILES} == {
        stack.full_name.replace("@", "-") for stack in stacks
    }
    arm = rendered(next(stack for stack in stacks if stack.full_name == "v1.aarch64"))
    assert "source=compat/locks/v1.aarch64.txt," in arm
    assert 'DSK_STACK="v1"' in arm


def test_wheels_come_from_the_lock_by_hash(v0: Stack) -> None:
    installs = re.findall(r"^.*pip install.*$", rendered(v0), re.MULTILINE)
    hashed = [line for line in installs if "--require-hashes --no-deps" in line]
    assert len(hashed) == 4  # uv, the lock, flash-attn compiled, flash-attn as a wheel
    assert [line.strip() for line in installs if line not in hashed] == [
        "uv pip install --no-cache --no-index --no-deps /run/wheel/*.whl \\"
    ]


def test_remote_code_is_patched_in_every_process(v0: Stack) -> None:
    last = rendered(v0).partition("# ---- the image ----")[2]
    assert last.index("uv pip install --no-cache") < last.index("&& dsk patch enable")


def test_a_compiler_for_cuda_is_needed_by_the_part_that_is_compiled_alone(v0: Stack) -> None:
    text = rendered(v0)
    stages = bases(text)
    assert [name for name, base in stages.items() if base == "${DEVEL}"] == ["compiled-flash-attn"]
    assert re.search(r"^ARG DEVEL=\S+-devel-", text, re.MULTILINE)
    assert re.search(r"^ARG ENVIRONMENT=environment$", text, re.MULTILINE)
    assert (stages["image"], stages["environment"]) == ("${ENVIRONMENT}", "system")
    for part in ("flash-attn", "flash-attn-wheel"):
        assert stages[f"with-{part}"] == "environment"
    assert "-devel-" not in re.findall(r"^ARG BASE=(.*)", text, re.MULTILINE)[0]


def test_a_stack_without_parts_has_one_environment() -> None:
    stages = bases(rendered(MATRIX.stack("v1")))
    assert (stages["image"], stages["toolkit"]) == ("environment", "environment")
    assert "DEVEL" not in rendered(MATRIX.stack("v1"))


def bases(text: str) -> dict[str, str]:
    """What each stage stands on."""
    found = re.findall(r"^FROM (\S+) AS (\S+)", text, re.MULTILINE)
    return {name: base for base, name in found}


SHIPPED = [
    (stack.id, environment)
    for stack in MATRIX.stacks.values()
    for environment in ("environment", *(part.stage for part in parts_of(stack).values()))
]


@pytest.mark.parametrize(("stack", "environment"), SHIPPED)
def test_every_layer_that_is_shipped_bears_the_epoch(stack: str, environment: str) -> None:
    text = rendered(MATRIX.stack(stack)).replace("${ENVIRONMENT}", environment)
    stage, shipped = "image", []
    while stage in bases(text):
        (said,) = re.findall(
            rf"^FROM \S+ AS {stage}\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL
        )
        shipped += re.split(r"^(?=[A-Z]+ )", said, flags=re.MULTILINE)
        stage = bases(text)[stage]
    assert not [one for one in shipped if one.startswith(("COPY", "ADD"))]
    steps = [one for one in shipped if one.startswith("RUN")]
    # The system, the environment, dsk, and the part if there is one.
    assert len(steps) == 3 + (environment != "environment")
    clamp = '-exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +'
    assert all(re.sub(r"\n#.*", "", one).rstrip().endswith(clamp) for one in steps)


def test_nothing_is_compiled_where_every_package_has_a_wheel() -> None:
    text = rendered(MATRIX.stack("cpu"))
    assert "\nFROM system AS environment\n" in text
    assert "MAX_JOBS" not in text


def test_the_self_test_is_a_stage_above_the_image_without_a_network(v0: Stack) -> None:
    _, _, test = rendered(MATRIX.stack("cpu")).partition("FROM image AS selftest\n")
    assert "--network=none" in test
    assert test.rstrip().endswith("dsk verify")
    assert "selftest" not in rendered(v0)


def test_the_index_and_its_certificate_are_secrets_of_every_step_that_asks_it(v0: Stack) -> None:
    text = rendered(v0)
    steps = re.split(r"^RUN ", text, flags=re.MULTILINE)
    asking = [step for step in steps if "--require-hashes" in step]
    assert len(asking) == 4
    assert all("type=secret,id=index" in step and "type=secret,id=ca" in step for step in asking)


def test_whoever_builds_may_say_what_is_compiled_and_by_how_many_compilers(v0: Stack) -> None:
    arguments, _, step = rendered(v0).partition("# Compiled against the torch of the lock.")
    assert arguments.endswith('\nARG FLASH_ATTN_CUDA_ARCHS="80;90"\nARG MAX_JOBS="4"\n')
    compiling = step.partition("\nFROM ")[0]
    assert "MAX_JOBS" not in compiling
    assert 'FLASH_ATTENTION_FORCE_BUILD="TRUE"' in compiling


def test_the_ready_wheel_is_of_a_known_hash(v0: Stack) -> None:
    (source,) = v0.sources
    assert source.wheel
    line = f"flash-attn @ {source.wheel.url} --hash=sha256:{source.wheel.sha256}"
    assert line in rendered(v0)


def test_a_wheel_compiled_for_one_card_is_not_kept_for_another(v0: Stack) -> None:
    steps = re.split(r"^RUN ", rendered(v0), flags=re.MULTILINE)
    (compiling,) = [step for step in steps if "--no-build-isolation" in step]
    assert "--no-cache" in compiling
    assert "type=cache" not in compiling


def test_what_compiles_finds_git_and_the_headers_of_python(v0: Stack) -> None:
    def stage(text: str, name: str) -> str:
        return text.partition(f" AS {name}\n")[2].partition("\nFROM ")[0]

    assert "ca-certificates git python3-dev" in stage(rendered(v0), "compiled-flash-attn")
    assert " git " not in stage(rendered(v0), "tools")


def test_the_image_runs_as_nobody_special_with_the_recipe_s_flags(v0: Stack) -> None:
    last_stage = rendered(v0).partition("# ---- the image ----")[2]
    assert "\nUSER 1000:1000\n" in last_stage
    assert '\nENTRYPOINT ["dsk"]\n' in last_stage
    assert 'VLLM_USE_V1="0"' in last_stage
    assert "HF_HUB_OFFLINE=1" in last_stage
    assert "\nHEALTHCHECK " in last_stage


def test_a_driver_that_the_stack_runs_on_is_not_refused_for_the_base_s_sake(v0: Stack) -> None:
    last_stage = rendered(v0).partition("# ---- the image ----")[2]
    assert "floor is the stack's, driver 525.60.13," in last_stage
    assert "\nENV NVIDIA_DISABLE_REQUIRE=1\n" in last_stage
    assert "NVIDIA_DISABLE_REQUIRE" not in rendered(MATRIX.stack("cpu"))


def test_the_image_names_the_lock_it_was_made_from(v0: Stack) -> None:
    assert f'dsk.lock.sha256="{v0.lock_sha256()}"' in rendered(v0)


def test_the_image_names_the_licences_that_bind_whoever_passes_it_on() -> None:
    for file in DOCKERFILES:
        (label,) = re.findall(r'image.licenses="(.*)"', GENERATED[file])
        # The library knows no LicenseRef, which SPDX has for licences that are not on its list.
        assert is_expression(re.sub(r" AND LicenseRef-[\w.-]+", "", label))
        assert {"AGPL-3.0-only", "Apache-2.0", "LGPL-3.0-only", "MPL-2.0"} <= set(
            label.split(" AND ")
        )
    assert "GPL-3.0-only AND" in rendered(MATRIX.stack("cpu-v0")).replace("LGPL", "")


def test_the_image_names_its_base_by_digest(v0: Stack) -> None:
    text = rendered(v0)
    (base,) = re.findall(r"^ARG BASE=(.*)", text, re.MULTILINE)
    tag, _, digest = base.partition("@")
    assert re.fullmatch("sha256:[0-9a-f]{64}", digest)
    assert f'image.base.name="{tag}"' in text
    assert f'image.base.digest="{digest}"' in text


def test_an_image_without_a_recorded_digest_claims_none(v0: Stack) -> None:
    assert v0.image
    bare = v0.image.model_copy(update={"runtime": "base:1"})
    text = rendered(v0.model_copy(update={"image": bare}))
    assert 'image.base.name="base:1"' in text
    assert "image.base.digest" not in text


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.parent.name)
def test_every_step_that_installs_system_packages_can_take_them_as_of_a_day(file: Path) -> None:
    steps = re.split(r"^(?=RUN )", file.read_text("utf-8"), flags=re.MULTILINE)
    installing = [step for step in steps if "apt-get install" in step]
    assert len(installing) == (3 if "compiled-" in file.read_text("utf-8") else 2)
    assert all('if [ -n "$APT_SNAPSHOT" ]' in step for step in installing)


# apt's two kinds of lists, as Debian's and Ubuntu's images and NVIDIA's have them.
SOURCES = {
    "sources.list": "deb http://archive.example/ubuntu/ jammy main\n"
    "deb http://security.example/ubuntu/ jammy-security main\n",
    "sources.list.d/debian.sources": "URIs: http://deb.example/debian\n"
    "URIs: http://deb.example/debian-security\n",
    "sources.list.d/cuda-ubuntu.list": "deb https://elsewhere.example/cuda /\n",
}


@pytest.mark.parametrize("known", [True, False])
def test_apt_asks_the_archive_of_earlier_states_or_the_step_fails(
    tmp_path: Path, known: bool
) -> None:
    text = rendered(MATRIX.stack("cpu"))
    step = text[text.index("RUN if") + 4 : text.index("    && DEBIAN_FRONTEND")]
    etc, copy, conf = (tmp_path / name for name in ("etc", "copy", "apt.conf"))
    for name, lines in SOURCES.items():
        (etc / name).parent.mkdir(parents=True, exist_ok=True)
        (etc / name).write_text(lines if known else "deb file:/mnt x main\n")
    for path, stand_in in (("/etc/apt", etc), ("/tmp/apt.conf", conf), ("/tmp/apt", copy)):
        step = re.sub(rf"{path}(?=[/ \n\";\\]|$)", str(stand_in), step)
    step = step.replace("apt-get update \\", "echo updating from $APT_CONFIG")
    ran = subprocess.run(
        ["sh", "-c", step],
        env={
            "PATH": os.environ["PATH"],
            "APT_SNAPSHOT": "https://old.example/{archive}/20261121T000000Z",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode == 0, ran.stdout) == (known, f"updating from {conf}\n" * known)
    if known:
        assert (copy / "sources.list").read_text() == (
            "deb https://old.example/ubuntu/20261121T000000Z jammy main\n"
            "deb https://old.example/ubuntu/20261121T000000Z jammy-security main\n"
        )
        assert (copy / "sources.list.d" / "debian.sources").read_text() == (
            "URIs: https://old.example/debian/20261121T000000Z\n"
            "URIs: https://old.example/debian-security/20261121T000000Z\n"
        )
        assert not (copy / "sources.list.d" / "cuda-ubuntu.list").exists()
        assert str(copy) in conf.read_text()
        assert (etc / "sources.list").read_text() == SOURCES["sources.list"]


def test_the_image_says_where_its_stack_was_seen_to_run(v0: Stack) -> None:
    assert 'dsk.evidence="run on AMD EPYC' in rendered(MATRIX.stack("cpu"))
    never = dockerfile.dockerfile(v0, [])
    assert 'dsk.evidence="never run"' in never


def test_a_stack_without_a_base_image_cannot_be_rendered(v0: Stack) -> None:
    bare = v0.model_copy(update={"image": None})
    with pytest.raises(MatrixInvalid, match="stack 'v0' names no base image"):
        rendered(bare)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", '"plain"'),
        ("two words", '"two words"'),
        ('say "hi"', r'"say \"hi\""'),
        ("$HOME`id`", r'"\$HOME\`id\`"'),
        ("back\\slash", r'"back\\slash"'),
        ("", '""'),
    ],
)
def test_a_value_is_quoted_so_that_nothing_expands(value: str, written: str) -> None:
    assert quoted(value) == written


def test_a_line_break_in_a_value_is_refused() -> None:
    with pytest.raises(MatrixInvalid, match="line break"):
        quoted("one\nRUN evil")
