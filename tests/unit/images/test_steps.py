"""What buildx prints, as steps."""

from dsk.images.steps import Steps, base_image


def shown(*lines: str) -> list[str]:
    steps = Steps()
    return [told for line in lines if (told := steps.on_line(line))]


def test_a_step_is_told_once_it_ends_with_the_time_it_took() -> None:
    assert shown("#5 [system 2/2] RUN  apt-get update", "#5 0.3 Get:1", "#5 DONE 12.34s") == [
        "   12.3 s  [system 2/2] RUN apt-get update"
    ]


def test_a_step_that_needed_no_doing_says_so() -> None:
    assert shown("#5 [image 1/4] COPY a b", "#5 CACHED") == ["   cached  [image 1/4] COPY a b"]


def test_a_step_that_fails_is_told() -> None:
    assert shown("#5 [image 1/4] RUN x", '#5 ERROR: process "x" did not complete') == [
        "    error  [image 1/4] RUN x"
    ]


def test_a_step_is_told_once_and_buildx_s_own_never() -> None:
    assert shown("#1 [internal] load build definition", "#1 DONE 0.1s") == []
    lines = ("#2 exporting to image", "#2 DONE 1.0s", "#2 DONE 1.0s")
    assert shown(*lines) == ["    1.0 s  exporting to image"]


def test_a_long_step_is_cut() -> None:
    (told,) = shown("#5 [image 1/4] RUN " + "x" * 200, "#5 DONE 1.0s")
    assert told.endswith("...")
    assert len(told) < 100


def test_the_image_that_a_stage_starts_from_is_named_with_its_digest() -> None:
    base = f"docker.io/library/debian:12@sha256:{'a' * 64}"
    assert base_image(f"#4 [system 1/2] FROM {base}") == base
    assert base_image("#4 [system 1/2] FROM docker.io/library/debian:12") is None
    assert base_image(f"#4 [image 2/2] RUN echo FROM {base}") is None


def test_a_compilation_is_told_file_by_file() -> None:
    steps = Steps()
    lines = [
        "#15 [compiled-flash-attn 3/3] RUN uv pip install flash-attn",
        "#15 95.21 DEBUG       [1/73] c++ -MMD -MF /tmp/build/flash_api.o.d",
        "#15 95.30 DEBUG       [1/73] a warning that repeats the count",
        "#15 210.4       [2/73] /usr/local/cuda/bin/nvcc --generate-dependencies",
        "#15 DONE 3000.1s",
    ]
    shown = [line.strip() for text in lines if (line := steps.on_line(text))]
    assert shown[:2] == ["compiled 1 of 73 files", "compiled 2 of 73 files"]
    assert shown[2].startswith("3000.1 s")
    assert len(shown) == 3
