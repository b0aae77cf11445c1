"""What is saved or printed of a host does not tell whose it is."""

import getpass
import platform

import pytest

from dsk.host.anonymous import cleaned
from dsk.host.facts import Card, Docker, Facts, Holder, Nvidia, System


@pytest.fixture
def jane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "jane")
    monkeypatch.setattr(platform, "node", lambda: "reactor7.example.org")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("no such file: /home/jane/.cache/dsk", "no such file: HOME"),
        ("refused for jane on reactor7", "refused for NAME on NAME"),
        ("tcp://build.example.org:2376 is silent", "URL is silent"),
        ("GPU-1b2c3d4e-aaaa-bbbb-cccc-0123456789ab is lost", "UUID is lost"),
        ("device 02:42:ac:11:00:02", "device MAC"),
        ("dial 10.1.2.3:443", "dial ADDRESS:443"),
        ("token hf_abcdefghijklmnop", "token KEY"),
        ("Serial Number: 1320121008443", "SERIAL"),
        ("mail jane.doe@example.org", "mail MAIL"),
        ("driver 560.35.03, janes", "driver 560.35.03, janes"),
    ],
)
def test_names_addresses_and_numbers_are_replaced(said: str, told: str, jane: None) -> None:
    facts = Facts(docker=Docker(client=True, problem=said), failures={"disk": said})
    found = cleaned(facts)
    assert found.docker
    assert (found.docker.problem, found.failures) == (told, {"disk": told})


def test_what_is_judged_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of a cloud machine is called ubuntu, as the distribution is."""
    monkeypatch.setattr(getpass, "getuser", lambda: "ubuntu")
    system = System(
        kind="Linux",
        machine="x86_64",
        distribution="ubuntu",
        codename="noble",
        name="Ubuntu 24.04.1 LTS",
        root=False,
    )
    held = Holder(pid=7, program="python3", memory=1)
    card = Card(
        name="NVIDIA L4",
        compute_capability=(8, 9),
        memory_total=2,
        memory_free=1,
        holders=(held,),
    )
    facts = Facts(system=system, nvidia=Nvidia(cards=(card,), driver=(560, 35, 3)))
    assert cleaned(facts) == facts
