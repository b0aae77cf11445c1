"""The Kubernetes manifests: valid by the published schemas, whole, and with commands that work."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any, Final

import kubernetes_validate
import pytest
import yaml

from dsk.cli import cli
from dsk.errors import KINDS, PagesDegraded
from dsk.images.deployment import kubernetes
from dsk.matrix import load_matrix
from dsk.ocr.schema.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import click

MANIFESTS: Final[dict[str, list[dict[str, Any]]]] = {
    name: list(yaml.safe_load_all(text)) for name, text in kubernetes(load_matrix()).items()
}
OBJECTS: Final = [one for objects in MANIFESTS.values() for one in objects]


def templates() -> Iterator[dict[str, Any]]:
    for one in OBJECTS:
        if "template" in one["spec"]:
            yield one["spec"]["template"]


def containers() -> Iterator[dict[str, Any]]:
    for template in templates():
        spec = template["spec"]
        yield from [*spec.get("initContainers", []), *spec["containers"]]


# The first that has backoffLimitPerIndex on by default, and the newest that the schemas know.
@pytest.mark.parametrize("version", ["1.31.0", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("manifest", OBJECTS, ids=lambda one: one["metadata"]["name"])
def test_each_object_is_valid(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_an_unknown_field_is_found() -> None:
    wrong = MANIFESTS["merge.yaml"][0] | {"specs": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.31.0", strict=True)


def test_every_volume_and_label_that_is_named_exists() -> None:
    labels = [template["metadata"]["labels"] for template in templates()]
    for template in templates():
        spec = template["spec"]
        volumes = {volume["name"] for volume in spec["volumes"]}
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted <= volumes
            # A read-only root: whatever is written to has to be a volume.
            assert {"home", "tmp", "shm"} <= mounted
    for one in OBJECTS:
        spec = one["spec"]
        selector = spec.get("podSelector", spec.get("selector", {}))
        selector = selector.get("matchLabels", selector)
        assert not selector or selector in labels


def test_no_container_has_rights_that_it_does_not_need() -> None:
    for template in templates():
        context = template["spec"]["securityContext"]
        assert context["runAsNonRoot"]
        assert context["runAsUser"] == 1000
        assert template["spec"]["automountServiceAccountToken"] is False
    for container in containers():
        context = container["securityContext"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]


def parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> None:
    with command.make_context(command.name or "dsk", words, parent=parent) as context:
        if hasattr(command, "resolve_command"):
            rest = [*context._protected_args, *context.args]
            _, member, following = command.resolve_command(context, rest)
            assert member is not None
            parse(member, following, context)


def calls(container: dict[str, Any], place: Path, *codes: int) -> tuple[int, list[list[str]]]:
    """Run a container's command with a dsk that notes its arguments and ends with these codes."""
    if "command" not in container:  # the image's entrypoint is dsk
        return 0, [container["args"]]
    program = place / "dsk"
    notes = place / "calls"
    left = " ".join(map(str, codes))
    program.write_text(
        f"#!/bin/bash\nprintf '%s\\0' \"$@\" >> {notes}\nprintf '\\n' >> {notes}\n"
        f'codes=({left})\nexit "${{codes[$(($(wc -l < {notes}) - 1))]}}"\n'
    )
    program.chmod(0o755)
    notes.unlink(missing_ok=True)
    done = subprocess.run(
        [*container["command"], *container["args"]],
        # `sleep` of /bin would wait.
        env={"PATH": f"{place}:/usr/bin:/bin", "JOB_COMPLETION_INDEX": "7"},
        check=False,
    )
    lines = notes.read_text().splitlines()
    return done.returncode, [line.rstrip("\0").split("\0") for line in lines]


def test_every_command_is_one_of_dsk(tmp_path: Path) -> None:
    (tmp_path / "sleep").symlink_to("/bin/true")
    for container in containers():
        _, lines = calls(container, tmp_path, 0)
        assert lines
        for words in lines:
            parse(cli, words)


def test_whatever_needs_the_model_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "sleep").symlink_to("/bin/true")
    waiting = [one for one in containers() if one["name"] == "model"]
    assert len(waiting) == 2
    for container in waiting:
        code, lines = calls(container, tmp_path, 10, 10, 0)
        assert code == 0
        assert len(lines) == 3
    for template in templates():
        spec = template["spec"]
        mounts = [mount["name"] for one in spec["containers"] for mount in one["volumeMounts"]]
        is_fetch = template["metadata"]["labels"]["app.kubernetes.io/component"] == "fetch"
        assert ("initContainers" in spec) == ("model" in mounts and not is_fetch)


def test_a_pod_reads_its_shard_and_only_lasting_failures_end_it_for_good(tmp_path: Path) -> None:
    (job,) = MANIFESTS["read.yaml"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    shards = job["spec"]["completions"]
    code, ((*_, shard),) = calls(container, tmp_path, 0)
    assert code == 0
    assert Shard.parse(shard) == Shard(number=8, count=shards)
    (merge,) = MANIFESTS["merge.yaml"][0]["spec"]["template"]["spec"]["containers"]
    for one in (container, merge):
        assert calls(one, tmp_path, PagesDegraded.exit_code)[0] == 0
        assert calls(one, tmp_path, 7)[0] == 7
    rule = next(one for one in job["spec"]["podFailurePolicy"]["rules"] if "onExitCodes" in one)
    lasting = rule["onExitCodes"]["values"]
    known = {kind.exit_code for kind in KINDS}
    assert set(lasting) < known
    for kind in known - {PagesDegraded.exit_code}:
        assert calls(container, tmp_path, kind)[0] == kind


def test_a_pod_that_is_to_end_tells_dsk_and_waits_for_it(tmp_path: Path) -> None:
    program = tmp_path / "dsk"
    program.write_text(
        "#!/bin/bash\ntrap 'echo told; exit 130' TERM\necho running\n"
        "while true; do sleep 0.05; done\n"
    )
    program.chmod(0o755)
    (container,) = MANIFESTS["read.yaml"][0]["spec"]["template"]["spec"]["containers"]
    with subprocess.Popen(
        [*container["command"], *container["args"]],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "JOB_COMPLETION_INDEX": "0"},
        stdout=subprocess.PIPE,
        text=True,
    ) as pod:
        assert pod.stdout is not None
        assert pod.stdout.readline() == "running\n"
        pod.terminate()
        assert pod.stdout.read() == "told\n"
        assert pod.wait(timeout=30) == 130
