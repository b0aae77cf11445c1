"""Digests of base images: one line a tag, back to the very bytes; references taken apart."""

from __future__ import annotations

import pytest

from dsk import paths
from dsk.errors import MatrixInvalid
from dsk.images.pinning import tags
from dsk.images.registry import ImageReference, parse
from dsk.matrix import load_matrix
from dsk.matrix.digests import FILE, RecordedDigest, dump, pinned, tag_of, with_digests

MATRIX = load_matrix()
SOME = "sha256:" + "a" * 64


def recorded(tag: str) -> RecordedDigest:
    return RecordedDigest(id=tag, digest=SOME, source="a test")


def test_the_file_is_what_its_digests_dump_to() -> None:
    file = paths.data() / "compat" / FILE
    assert file.read_text("utf-8") == dump(MATRIX.digests.values())


def test_tags_are_written_in_order_whatever_order_they_came_in() -> None:
    first, second = recorded("a:1"), recorded("b:1")
    assert dump([second, first]) == dump([first, second])


def test_a_reference_keeps_its_tag_before_its_digest() -> None:
    assert pinned("base:1", {"base:1": recorded("base:1")}) == f"base:1@{SOME}"
    assert pinned("base:2", {"base:1": recorded("base:1")}) == "base:2"


def test_a_stacks_images_are_pinned_and_still_known_by_their_tags() -> None:
    v0 = load_matrix().stack("v0")
    assert v0.image
    v0 = v0.model_copy(
        update={"image": v0.image.model_copy(update={"runtime": tag_of(v0.image.runtime)})}
    )
    assert v0.image
    runtime = v0.image.runtime
    found = with_digests(v0, {runtime: recorded(runtime)})
    assert found.image
    assert found.image.runtime == f"{runtime}@{SOME}"
    assert tags([found])[0] == runtime


def test_every_base_image_of_the_matrix_is_pinned_to_a_digest() -> None:
    for stack in MATRIX.stacks.values():
        assert stack.image
        for reference in (stack.image.runtime, stack.image.devel):
            assert reference is None or "@sha256:" in reference, reference


def test_no_digest_is_recorded_of_an_image_that_nothing_is_built_on() -> None:
    assert set(MATRIX.digests) == set(tags(MATRIX.stacks.values()))


@pytest.mark.parametrize(
    ("text", "host", "name", "tag"),
    [
        ("debian:12", "", "library/debian", "12"),
        ("docker.io/nvidia/cuda:13.0.1-base", "", "nvidia/cuda", "13.0.1-base"),
        ("127.0.0.1:5000/base:1", "127.0.0.1:5000", "base", "1"),
        ("registry.example.com/a/b/c:v1.2_3", "registry.example.com", "a/b/c", "v1.2_3"),
        ("localhost/base:1", "localhost", "base", "1"),
    ],
)
def test_a_reference_is_registry_repository_and_tag(
    text: str, host: str, name: str, tag: str
) -> None:
    assert parse(text) == ImageReference(host=host, name=name, tag=tag)


@pytest.mark.parametrize("text", ["debian", "Debian:12", "a b:1", f"debian@{SOME}", ""])
def test_what_is_no_reference_with_a_tag_is_refused(text: str) -> None:
    with pytest.raises(MatrixInvalid, match="not an image reference with a tag"):
        parse(text)
