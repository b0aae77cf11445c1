"""`dsk matrix`, `dsk render` and `dsk build` as a user types them: output and exit codes."""

import json
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsk import paths
from dsk.cli import main
from dsk.images import dockerfile
from dsk.matrix import load_matrix
from dsk.matrix.load import _load
from dsk.ocr.schema.plan_format import plan_format


def dsk(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the command line in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["dsk", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code if isinstance(left.value.code, int) else 0


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of what is rendered and what it is rendered from."""
    root = tmp_path / "checkout"
    for folder in ("compat", "templates", "dockerfiles", "deploy", "docs", "schemas"):
        shutil.copytree(paths.CHECKOUT / folder, root / folder)
    for file in ("README.md", "pyproject.toml", "docker-bake.hcl", "docker-compose.yml"):
        shutil.copy(paths.CHECKOUT / file, root / file)
    monkeypatch.setattr(paths, "CHECKOUT", root)
    monkeypatch.delenv("DSK_COMPAT", raising=False)
    dockerfile.templates.cache_clear()
    yield root
    dockerfile.templates.cache_clear()


@pytest.fixture
def no_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of one empty folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def fake_docker(folder: Path, script: str) -> None:
    docker = folder / "docker"
    docker.write_text(f"#!/bin/sh\n{script}\n")
    docker.chmod(docker.stat().st_mode | stat.S_IXUSR)


def test_list_names_every_stack(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dsk("matrix", "list", monkeypatch=monkeypatch) == 0
    current, title, earlier = capfd.readouterr().out.partition("Earlier versions, used only")
    rows = [
        [line.split()[0] for line in table.splitlines()[1:] if line.strip() and line[1:2] != " "]
        for table in (current, earlier)
    ]
    assert title
    assert rows == [
        ["v0", "v1", "v1-cu12", "cpu", "cpu-v0"],
        ["stack", *(stack.id for stack in load_matrix().earlier)],
    ]


def test_show_tells_floors_overrides_and_lock(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dsk("matrix", "show", "v0", monkeypatch=monkeypatch) == 0
    said = capfd.readouterr().out
    assert "525.60.13; knows CUDA 12.4 itself from 550.54.14 on" in said
    assert "vllm asks transformers>=4.51.1" in said
    assert load_matrix().stack("v0").lock_sha256() in said


def test_the_stack_of_a_card_comes_with_its_reasons(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dsk("matrix", "select", "--gpu", "4090", monkeypatch=monkeypatch) == 0
    said = capfd.readouterr().out.splitlines()
    assert said[0].startswith("v0 for NVIDIA GeForce RTX 4090: ")
    assert "sm_80 or later needed; its sm_89 kernels run (compiled for sm_70 to sm_90)" in said[1]
    assert said[2] == "  VRAM       24 GiB, 10 needed"
    assert "525.60.13 or later needed; CUDA 12.4 is its own from 550.54.14 on" in said[3]
    assert said[4].startswith("  evidence   ")
    assert "not v1: it fits too, the matrix ranks it later" in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--gpu", "t4"), 4, "no stack fits NVIDIA T4; the nearest is v0: it needs sm_80"),
        ((), 2, "neither --gpu nor --host is given: give --gpu ID or --host"),
        (("--gpu", "t4", "--host"), 2, "--gpu and --host exclude each other"),
    ],
)
def test_no_stack_is_said_in_one_line(
    arguments: tuple[str, ...],
    code: int,
    said: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert dsk("matrix", "select", *arguments, monkeypatch=monkeypatch) == code
    assert capfd.readouterr().err.startswith(f"error: {said}")


@pytest.mark.parametrize("command", ["show", "lock", "verify", "check"])
def test_an_unknown_stack_is_a_usage_problem(
    command: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dsk("matrix", command, "v9", monkeypatch=monkeypatch) == 2
    assert capfd.readouterr().err == (
        "error: no such stack 'v9': known are cpu-v0, cpu, v0, v1-cu12, v1, v1@0.24.0\n"
    )


def test_a_matrix_that_does_not_hold_is_exit_code_3(
    checkout: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "compat/gpus.toml").write_text("[rtx4090]\n")
    assert dsk("matrix", "list", monkeypatch=monkeypatch) == 3
    assert "gpus.toml, key 'rtx4090.name': found nothing" in capfd.readouterr().err


def test_check_is_content_with_what_is_committed(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dsk("render", "--all", "--check", monkeypatch=monkeypatch) == 0
    assert "generated files are up to date" in capfd.readouterr().out


def test_check_names_what_drifted_and_render_mends_it(
    checkout: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edited, missing = (checkout / f"dockerfiles/{stack}/Dockerfile" for stack in ("v0", "v1"))
    edited.write_text(edited.read_text() + "RUN edited by hand\n")
    missing.unlink()
    stray = checkout / "dockerfiles/voodoo2/Dockerfile"
    stray.parent.mkdir()
    stray.write_text("FROM scratch\n")

    assert dsk("render", "--all", "--check", monkeypatch=monkeypatch) == 9
    said = capfd.readouterr().err
    assert said == (
        "error: out of date: dockerfiles/v0/Dockerfile, dockerfiles/v1/Dockerfile,"
        " dockerfiles/voodoo2/Dockerfile: dsk render --all\n"
    )

    assert dsk("render", "--all", monkeypatch=monkeypatch) == 0
    assert not stray.exists()
    assert dsk("render", "--all", "--check", monkeypatch=monkeypatch) == 0


def test_a_changed_stack_is_drift(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = checkout / "compat/stacks/v0.toml"
    file.write_text(file.read_text().replace('VLLM_USE_V1 = "0"', 'VLLM_USE_V1 = "1"'))
    _load.cache_clear()
    assert dsk("render", "--gpu", "rtx4090", "--check", monkeypatch=monkeypatch) == 9


def test_a_gpu_renders_the_file_of_its_stack_or_of_the_one_that_is_named(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = checkout / "dockerfiles/v1/Dockerfile"
    file.write_text("")
    assert dsk("render", "--gpu", "l4", "--check", monkeypatch=monkeypatch) == 0
    assert dsk("render", "--gpu", "l4", "--stack", "v1", "--check", monkeypatch=monkeypatch) == 9
    assert dsk("render", "--stack", "v1", monkeypatch=monkeypatch) == 0
    assert "from stack v1" in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("render", "--gpu", "rtx409"), 2, "no such GPU 'rtx409': did you mean rtx4090?"),
        (("render", "--gpu", "l4", "--all"), 2, "--gpu and --all exclude each other"),
        (("build", "--stack", "v1", "--with", "flash-attn"), 2, "stack 'v1' has no part"),
        (
            ("build", "--stack", "v0", "--with", "apex"),
            2,
            "stack 'v0' has no part 'apex': give one of flash-attn, flash-attn-wheel",
        ),
        (
            ("build", "--stack", "v0", "--push"),
            2,
            "--push is given, and the name dsk:v0 has no registry: add --tag REGISTRY/NAME:TAG",
        ),
        (("build", "--stack", "v0", "--push", "--tag", "me/dsk:1"), 2, "--push is given, and the"),
        (
            ("build", "--stack", "v0", "--platform", "linux/arm64"),
            4,
            "stack 'v0' is locked for x86_64, not for aarch64",
        ),
        (("build",), 2, "neither --gpu nor --stack is given"),
        (
            ("build", "--stack", "cpu", "--push", "--verify-reproducible"),
            2,
            "--verify-reproducible and --push exclude each other",
        ),
        (("render", "--gpu", "t4"), 4, "no stack fits NVIDIA T4; the nearest is v0"),
        (("render", "--gpu", "l4", "--stack", "cpu"), 4, "stack 'cpu' does not fit NVIDIA L4"),
        (("build", "--gpu", "v100"), 4, "no stack fits NVIDIA V100"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    arguments: tuple[str, ...],
    code: int,
    said: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert dsk(*arguments, monkeypatch=monkeypatch) == code
    error = capfd.readouterr().err
    assert error.startswith(f"error: {said}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "url", ["2026-11-21", "http://h/", "http://h/{archive}/$(id)", "http://h/#{archive}"]
)
def test_a_snapshot_is_an_address_that_no_shell_reads_otherwise(
    url: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dsk("build", "--stack", "cpu", "--snapshot", url, monkeypatch=monkeypatch) == 2
    assert "give an http address with {archive} in it" in capfd.readouterr().err


def test_a_dry_run_prints_the_command_and_needs_no_docker(
    no_docker: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dsk("build", "--gpu", "RTX 4090", "--dry-run", monkeypatch=monkeypatch) == 0
    said = capfd.readouterr()
    where, command = said.out.splitlines()
    dockerfile = paths.CHECKOUT / "dockerfiles/v0/Dockerfile"
    assert where == f"Dockerfile: {dockerfile}"
    assert command == (
        "docker buildx build --progress=plain --target=image --shm-size=1g "
        f"--build-arg=SOURCE_DATE_EPOCH=1795219200 --label=dsk.plan={plan_format()} "
        "--load --tag=dsk:v0 "
        f"--file={dockerfile} {paths.CHECKOUT}"
    )
    assert "UNPROVED: stack v0" in said.err
    assert "a known vulnerability can be reached: vllm 0.8.5: CVE-2026-9540" in said.err


def test_a_stack_of_gpus_is_built_without_naming_a_card(
    no_docker: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dsk("build", "--stack", "v0", "--dry-run", "--json", monkeypatch=monkeypatch) == 0
    by_stack = json.loads(capfd.readouterr().out)
    assert dsk("build", "--gpu", "rtx4090", "--dry-run", "--json", monkeypatch=monkeypatch) == 0
    assert json.loads(capfd.readouterr().out) == by_stack
    assert by_stack["tag"] == "dsk:v0"


@pytest.mark.parametrize(("card", "kernel"), [("rtx4090", "80"), ("h100", "90")])
def test_a_part_is_compiled_for_the_card_that_is_named(
    card: str,
    kernel: str,
    no_docker: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wish = ("--with", "flash-attn", "--dry-run", "--json")
    assert dsk("build", "--gpu", card, *wish, monkeypatch=monkeypatch) == 0
    answer = json.loads(capfd.readouterr().out)
    (command,) = answer["commands"]
    assert answer["tag"] == "dsk:v0-flash-attn"
    assert {
        "--build-arg=ENVIRONMENT=with-flash-attn",
        f"--build-arg=FLASH_ATTN_CUDA_ARCHS={kernel}",
        "--label=dsk.with=flash-attn",
    } < {*command}
    (licences,) = [one for one in command if one.startswith("--label=org.opencontainers.image.lic")]
    assert "BSD-3-Clause" in licences


def test_a_ready_part_is_not_compiled(
    no_docker: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = ("--with", "flash-attn-wheel", "--dry-run", "--json")
    assert dsk("build", "--gpu", "rtx4090", *wish, monkeypatch=monkeypatch) == 0
    (command,) = json.loads(capfd.readouterr().out)["commands"]
    assert "--build-arg=ENVIRONMENT=with-flash-attn-wheel" in command
    assert not [one for one in command if "CUDA_ARCHS" in one]


def test_what_compiles_may_come_from_elsewhere_and_with_fewer_compilers(
    no_docker: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = ("--devel-image", "mine/cuda:12.4-devel", "--max-jobs", "2", "--dry-run", "--json")
    build = ("build", "--gpu", "rtx4090")
    assert dsk(*build, "--with", "flash-attn", *wish, monkeypatch=monkeypatch) == 0
    (command,) = json.loads(capfd.readouterr().out)["commands"]
    assert {"--build-arg=DEVEL=mine/cuda:12.4-devel", "--build-arg=MAX_JOBS=2"} < {*command}
    for flag in (wish[:2], wish[2:4]):
        for part in ((), ("--with", "flash-attn-wheel")):
            assert dsk(*build, *part, *flag, monkeypatch=monkeypatch) == 2
            assert f"{flag[0]} is given, and nothing is compiled" in capfd.readouterr().err


CONTAINERD = """case "$*" in
"buildx version") echo github.com/docker/buildx 0.13.1 ;;
"buildx inspect") echo "Driver:        docker" ;;
info*) echo '{"ServerVersion": "26.1.5", "DriverStatus": [["driver-type", "io.containerd"]]}' ;;
esac"""


def test_a_dry_run_prints_what_the_engine_that_is_here_would_be_asked(
    no_docker: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = ("build", "--gpu", "rtx4090", "--dry-run")
    fake_docker(no_docker, CONTAINERD.replace("io.containerd", "io.containerd.snapshotter.v1"))
    assert dsk(*wish, monkeypatch=monkeypatch) == 0
    assert "unpack=true" in capfd.readouterr().out
    assert dsk(*wish, "--reproducible", monkeypatch=monkeypatch) == 0
    _, built, loaded = capfd.readouterr().out.splitlines()
    assert "rewrite-timestamp=true" in built
    assert loaded == "docker load --input=FILE"


def test_a_reproducible_build_that_the_engine_cannot_do_is_refused_before_it_begins(
    no_docker: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_docker(no_docker, CONTAINERD)
    wish = ("build", "--gpu", "rtx4090", "--reproducible")
    assert dsk(*wish, monkeypatch=monkeypatch) == 7
    assert "cannot rewrite timestamps" in capfd.readouterr().err


def test_a_stack_of_the_cpu_is_tested_before_its_image_is_made(
    no_docker: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = ("--base-image", "mine:1", "--network", "host", "--dry-run", "--json")
    assert dsk("build", "--stack", "cpu", *wish, monkeypatch=monkeypatch) == 0
    test, image = json.loads(capfd.readouterr().out)["commands"]
    assert ("--target=selftest" in test, "--target=image" in image) == (True, True)
    assert all({"--build-arg=BASE=mine:1", "--network=host"} <= {*one} for one in (test, image))


def test_two_builds_are_compared_without_cache_and_without_a_clock(
    no_docker: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = ("--verify-reproducible", "--dry-run", "--json")
    assert dsk("build", "--stack", "cpu", *wish, monkeypatch=monkeypatch) == 0
    first, second = json.loads(capfd.readouterr().out)["commands"]
    assert first == second
    assert {"--no-cache", "--provenance=false", "--target=image"} < {*first}
    assert any(one.startswith("--build-arg=SOURCE_DATE_EPOCH=") for one in first)


def test_a_build_from_a_dockerfile_that_drifted_is_refused(
    checkout: Path, no_docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "dockerfiles/v0/Dockerfile").write_text("FROM scratch\n")
    assert dsk("build", "--gpu", "rtx4090", monkeypatch=monkeypatch) == 9


def test_a_build_without_docker_says_so(
    no_docker: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dsk("build", "--gpu", "rtx4090", monkeypatch=monkeypatch) == 7
    assert "there is no program 'docker' on this machine" in capfd.readouterr().err


def test_a_build_without_buildx_says_so(
    no_docker: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_docker(no_docker, "exit 1")
    assert dsk("build", "--gpu", "rtx4090", monkeypatch=monkeypatch) == 7
    assert "this docker has no buildx" in capfd.readouterr().err


BUILDX = """\
[ "$2" = version ] && { echo "github.com/docker/buildx 0.13.1"; exit 0; }
[ "$1" = info ] && { echo '{"ServerVersion": "26.1.5", "DockerRootDir": ""}'; exit 0; }
[ "$1" = image ] && exit 1
"""


def test_a_build_that_fails_keeps_its_log_and_is_explained(
    no_docker: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    fake_docker(no_docker, BUILDX + 'echo "no space left on device"; exit 3')
    assert dsk("build", "--gpu", "rtx4090", monkeypatch=monkeypatch) == 8
    said = capfd.readouterr().err
    log, _, explained = said.partition("1. ")
    assert "no space left on device\n" in log
    assert "Rule:   disk-full (" in explained
    assert "docker buildx build ended with 3" in explained
    (kept,) = (tmp_path / "cache/builds").glob("v0-*.log")
    assert kept.read_text() == "no space left on device\n"


def test_a_build_hands_docker_what_it_was_told_and_says_what_came_of_it(
    no_docker: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    given = tmp_path / "given"
    listed = '{"distribution": "debian-12", "python": "3.11.2", "system": [], "wheels": []}'
    script = (
        f'echo "$@" >> {given}\n'
        f"echo '#4 [system 1/2] FROM base:1@sha256:{'a' * 64}'\n"
        'for one; do case "$one" in *type=local,dest=*) '
        f"echo '{listed}' > \"${{one#*dest=}}/inventory.json\";; esac; done"
    )
    fake_docker(no_docker, BUILDX + script)
    wish = ("--gpu", "h100", "--tag", "mine:1", "--sbom", str(tmp_path / "bill.json"))
    assert dsk("build", *wish, monkeypatch=monkeypatch) == 0
    assert "--secret=id=index,src=" in given.read_text()
    assert "--load --tag=mine:1" in given.read_text()
    assert capfd.readouterr().out == "mine:1: built\n"
    bill = json.loads((tmp_path / "bill.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert {"name": "python", "version": "3.11.2"}.items() <= {
        key: value
        for part in bill["components"]
        if part["name"] == "python"
        for key, value in part.items()
        if key in {"name", "version"}
    }.items()


def test_a_build_names_the_digests_that_it_started_from(
    no_docker: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    base = f"docker.io/library/mine:1@sha256:{'a' * 64}"
    fake_docker(no_docker, BUILDX + f"echo '#4 [system 1/2] FROM {base}'")
    wish = ("--gpu", "h100", "--base-image", "mine:1", "--json")
    assert dsk("build", *wish, monkeypatch=monkeypatch) == 0
    told = capfd.readouterr()
    assert json.loads(told.out)["bases"] == [base]
    assert "warning: mine:1 is a tag without a digest" in told.err
    assert dsk("build", "--gpu", "h100", "--dry-run", monkeypatch=monkeypatch) == 0
    assert "without a digest" not in capfd.readouterr().err


def test_two_builds_that_differ_are_exit_code_10_with_both_digests(
    no_docker: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    script = BUILDX + (
        'for one; do case "$one" in --metadata-file=*) file="${one#*=}";; esac; done\n'
        'digest="${file##*/}"; echo "{\\"containerimage.digest\\": \\"$digest\\"}" > "$file"'
    )
    fake_docker(no_docker, script)
    wish = ("--stack", "cpu", "--verify-reproducible")
    assert dsk("build", *wish, monkeypatch=monkeypatch) == 10
    assert "two builds of the same sources differ: 1.json and 2.json" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("engine", "buildx", "said"),
    [
        ("20.10.7", "0.13.1", "Docker Engine 20.10.7 is too old: install 23.0 or later"),
        ("26.1.5", "0.9.1", "docker-buildx 0.9.1 is too old: install 0.10 or later"),
    ],
)
def test_an_engine_that_is_too_old_is_said_before_anything_is_built(
    engine: str,
    buildx: str,
    said: str,
    no_docker: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = BUILDX.replace("26.1.5", engine).replace("0.13.1", buildx)
    fake_docker(no_docker, script)
    assert dsk("build", "--stack", "cpu", monkeypatch=monkeypatch) == 7
    assert said in capfd.readouterr().err


def test_the_image_that_verify_is_shown_in_bears_the_name_that_build_gives(
    no_docker: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = ("build", "--gpu", "rtx4090", "--dry-run", "--json")
    assert dsk(*wish, monkeypatch=monkeypatch) == 0
    tag = json.loads(capfd.readouterr().out)["tag"]
    assert dsk("verify", "--help", monkeypatch=monkeypatch) == 0
    assert f"--gpus all {tag} verify" in capfd.readouterr().out
