"""Reading through servers: exactly, by who is free, and with every page accounted for."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from dsk import models
from dsk.errors import EngineMissing, UsageProblem
from dsk.ocr.engines import http, server_state
from dsk.ocr.engines.base import PageRequest
from dsk.ocr.engines.config import server_config
from dsk.ocr.engines.http import HttpEngine
from dsk.ocr.engines.http_client import Endpoint, Served
from dsk.ocr.schema.engine_config import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fake_server import Fake

    from dsk.models.base import ModelProfile
    from dsk.ocr.engines.base import PageAnswer

    Fakes = Callable[..., Fake]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_state, "FIRST_PAUSE", 0.01)
    monkeypatch.delenv("DSK_API_KEY", raising=False)


ASK = PageRequest(prompt="<image>\nFree OCR.", ngram_size=20, ngram_window=50, max_tokens=99)


def engine(
    *fakes: Fake,
    wait_seconds: int = 30,
    read_seconds: float = 60,
    notify: Callable[[str], None] = lambda _: None,
) -> HttpEngine:
    servers = tuple(Server(url=fake.url, model="deepseek-ocr", whitelist=(7, 8)) for fake in fakes)
    config = server_config(servers, models.default(), patch=False, wait_seconds=wait_seconds)
    return HttpEngine(config, read_seconds=read_seconds, notify=notify)


def served(url: str, wished: str | None = None, key: str | None = None) -> Served:
    return Endpoint(url, key).served(wished, models.default())


def png(page: int) -> bytes:
    return as_png(Image.new("RGB", (3, 2), (page, 0, 0)))


def as_png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def ended(reading: HttpEngine) -> Iterator[tuple[int, PageAnswer]]:
    """Each page as it ends, until none is left."""
    try:
        while reading.running:
            yield from reading.step()
    finally:
        reading.close()


def read(reading: HttpEngine, pages: int) -> dict[int, PageAnswer]:
    for page in range(pages):
        reading.add(page, png(page), ASK)
    found = list(ended(reading))
    assert sorted(page for page, _ in found) == list(range(pages))
    return dict(found)


def whole(found: dict[int, PageAnswer]) -> bool:
    return all(answer.text == f"({page}, 0, 0)" for page, answer in found.items())


def test_a_page_arrives_as_it_is_and_its_answer_comes_back(fake: Fakes) -> None:
    server = fake()
    noise = Image.effect_noise((37, 23), 90).convert("RGB")
    reading = engine(server)
    reading.add(8, as_png(noise), ASK)
    ((page, answer),) = ended(reading)
    assert (page, answer.finish_reason, answer.tokens, answer.prompt_tokens) == (
        8,
        "stop",
        5,
        274,
    )
    assert (server.images[0].mode, server.images[0].tobytes()) == ("RGB", noise.tobytes())
    (asked,) = server.asked
    assert asked["messages"][0]["content"][1] == {"type": "text", "text": "<image>\nFree OCR."}
    assert {name: asked[name] for name in asked if name != "messages"} == {
        "model": "deepseek-ocr",
        "temperature": 0,
        "max_tokens": 99,
        "skip_special_tokens": False,
        "vllm_xargs": {"ngram_size": 20, "window_size": 50, "whitelist_token_ids": [7, 8]},
    }


def test_servers_share_the_pages_by_who_is_free(fake: Fakes, monkeypatch: Any) -> None:
    monkeypatch.setattr(http, "IN_FLIGHT", 2)
    quick, slow = fake(), fake(seconds=2)
    assert whole(read(engine(quick, slow), 12))
    assert len(quick.asked) > len(slow.asked) > 0


def test_no_more_pages_are_sent_than_may_be_in_flight(fake: Fakes, monkeypatch: Any) -> None:
    monkeypatch.setattr(http, "IN_FLIGHT", 3)
    server = fake(seconds=0.2)
    reading = engine(server)
    assert reading.capacity == 3
    assert whole(read(reading, 7))
    assert 1 < server.most <= 3


def test_a_page_that_is_dropped_has_no_answer(fake: Fakes) -> None:
    reading = engine(fake(seconds=0.2))
    for page in range(3):
        reading.add(page, png(page), ASK)
    reading.drop(1)
    assert sorted(page for page, _ in ended(reading)) == [0, 2]


def test_a_server_that_dies_is_left_out_and_its_pages_go_to_the_others(fake: Fakes) -> None:
    dying, other = fake(script=["", "", "die"], then="drop", seconds=0.02), fake(seconds=0.02)
    assert whole(read(engine(dying, other), 90))
    assert len(other.asked) > 45


def test_when_no_server_is_left_each_page_ends_with_the_reason(fake: Fakes) -> None:
    server = fake(script=["", "die"], then="drop")
    found = read(engine(server, wait_seconds=1), 60)
    lost = [answer for answer in found.values() if answer.finish_reason == "error"]
    assert len(lost) == 60 - len(server.asked)
    assert all(f"the server {server.url} did not answer" in answer.problem for answer in lost)


def test_a_connection_that_drops_is_not_the_end_of_a_server(fake: Fakes) -> None:
    server = fake(script=["drop", "", "drop"])
    assert whole(read(engine(server), 5))


def test_a_page_that_drops_every_connection_ends_and_the_others_are_read(fake: Fakes) -> None:
    server = fake(script=["drop"] * 3)
    found = read(engine(server), 1)
    assert "did not answer" in found[0].problem
    assert whole(read(engine(server), 2))


@pytest.mark.parametrize("busy", ["503", "429"])
def test_a_busy_server_is_waited_for_longer_each_time(fake: Fakes, busy: str) -> None:
    server = fake(script=[busy] * 5)
    start = time.monotonic()
    assert whole(read(engine(server), 1))
    assert time.monotonic() - start > 0.01 + 0.02 + 0.04 + 0.08 + 0.16


def test_a_busy_server_says_how_long(fake: Fakes) -> None:
    server = fake(script=["503 1"])
    start = time.monotonic()
    assert whole(read(engine(server), 1))
    assert time.monotonic() - start > 1


def test_a_server_that_stays_busy_is_given_up(fake: Fakes) -> None:
    found = read(engine(fake(then="503"), wait_seconds=1), 3)
    assert all("HTTP 503: said 503" in answer.problem for answer in found.values())
    assert {answer.finish_reason for answer in found.values()} == {"error"}


def test_a_page_that_a_server_refuses_ends_with_its_words(fake: Fakes) -> None:
    found = read(engine(fake(script=["400"])), 1)
    assert found[0].problem == "the server answered HTTP 400: said 400"


def test_a_server_error_is_tried_again(fake: Fakes) -> None:
    assert whole(read(engine(fake(script=["500", "502"])), 1))
    found = read(engine(fake(script=["500"] * 3)), 1)
    assert found[0].problem == "the server answered HTTP 500: said 500"


def test_a_server_that_no_longer_has_the_model_is_left_out(fake: Fakes) -> None:
    assert whole(read(engine(fake(then="404"), fake()), 8))


@pytest.mark.parametrize("status", ["429", "502", "503", "504"])
def test_a_gateway_without_its_server_is_waited_for(fake: Fakes, status: str) -> None:
    assert whole(read(engine(fake(script=[status] * 12)), 2))


def test_a_page_whose_time_is_over_ends_before_the_pipeline_gives_the_engine_up(
    fake: Fakes,
) -> None:
    start = time.monotonic()
    found = read(engine(fake(seconds=5), read_seconds=1), 2)
    assert time.monotonic() - start < 4
    assert all("the answer was not complete after" in answer.problem for answer in found.values())


def test_the_settings_for_the_manifest_hold_no_password(fake: Fakes) -> None:
    url = fake().url.replace("//", "//alice:hunter2@")
    server = Server(url=url, model="deepseek-ocr", whitelist=(7, 8))
    config = server_config((server,), models.default(), patch=False, wait_seconds=1)
    made = HttpEngine(config, read_seconds=1, notify=lambda _: None)
    assert "hunter2" not in str(made.settings)
    assert "127.0.0.1" in made.settings["servers"][0]["url"]


def test_the_key_is_sent(fake: Fakes) -> None:
    server = fake(key="s3cret")
    assert served(server.url, None, "s3cret").model == "deepseek-ocr"
    with pytest.raises(UsageProblem, match="refuses the API key, or wants one: give it with"):
        served(server.url)


def test_a_server_says_what_it_serves(fake: Fakes) -> None:
    found = served(fake().url + "/v1/")
    assert (found.model, found.context, found.whitelist) == ("deepseek-ocr", 4096, (7, 8))
    other = served(fake(tokens=None).url, "deepseek-ocr")
    assert other.whitelist == (128821, 128822)


def test_another_model_is_said(fake: Fakes) -> None:
    with pytest.raises(UsageProblem, match="does not serve 'mine' but a, b: name its model"):
        served(fake(models=["a", "b"]).url, "mine")
    with pytest.raises(UsageProblem, match="serves a, b: name one with --model"):
        served(fake(models=["a", "b"]).url)
    with pytest.raises(UsageProblem, match="serves 'llama', which is not DeepSeek-OCR"):
        served(fake(models=["llama"], tokens=[1, 2, 3, 4, 5]).url)


@pytest.mark.parametrize("model", models.profiles().values(), ids=list(models.profiles()))
def test_the_profile_is_that_of_the_model_that_was_loaded(
    model: ModelProfile, fake: Fakes, capfd: pytest.CaptureFixture[str]
) -> None:
    snapshot = f"/cache/models--{model.hub.replace('/', '--')}/snapshots/{'a' * 40}"
    for root in (model.hub, snapshot):
        url = fake(models=["prod"], roots={"prod": root}).url
        for wished in (None, "prod", model.id, model.name, *model.record.aliases):
            found = served(url, wished)
            assert (found.model, found.profile) == ("prod", model)
    # Whatever the server calls it.
    other = fake(models=[models.default().id], roots={models.default().id: model.hub})
    assert served(other.url).profile is model
    assert served(fake(models=[model.id]).url).profile is model
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("model", models.profiles().values(), ids=list(models.profiles()))
def test_a_model_of_an_unknown_name_is_the_one_that_the_user_names(
    model: ModelProfile, fake: Fakes, capfd: pytest.CaptureFixture[str]
) -> None:
    server = fake(models=["prod"], roots={"prod": "/models/fine-tuned"})
    assert (served(server.url, model.id).model, served(server.url, model.id).profile) == (
        "prod",
        model,
    )
    assert capfd.readouterr().err == ""
    assert served(server.url).profile is models.default()
    assert f"nothing is known of 'prod', which {server.url} serves" in capfd.readouterr().err


def test_of_two_models_the_one_that_is_named_is_taken(fake: Fakes) -> None:
    first = models.default()
    server = fake(models=["llama", "ours"], roots={"ours": first.hub})
    assert served(server.url, first.name).model == "ours"
    with pytest.raises(UsageProblem, match="does not serve 'deepseek-ocr' but llama, mistral"):
        served(fake(models=["llama", "mistral"]).url, first.id)


@pytest.mark.parametrize("root", [7, None, "", "x" * 5000, ["deepseek-ocr"]])
def test_what_is_no_path_in_a_server_s_list_is_left_out(fake: Fakes, root: object) -> None:
    server = fake(roots={"deepseek-ocr": root})
    assert served(server.url).profile is models.default()


def test_a_server_that_is_down_is_said(fake: Fakes) -> None:
    server = fake()
    server.die()
    with pytest.raises(EngineMissing, match=r"does not answer .*: start one with dsk serve"):
        served(server.url)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "127.0.0.1:8000",
            "ftp://x",
            "http://",
            "",
            "http://h:99999",
            "http://h:0",
            "http://h\n/",
        ),
        *("http://[::1", "http://h:x", "http://h/?a=b", "http://h/#a"),
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageProblem, match="is not the URL of a server"):
        Endpoint(url, None)
