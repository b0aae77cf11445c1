"""The chain of the doctor's checks, put together from the modules of `dsk.doctor.checks`."""

from dsk.doctor.chain import chain
from dsk.host.facts import Facts


def test_a_check_comes_after_those_it_depends_on() -> None:
    seen: set[str] = set()
    for check in chain():
        assert set(check.after) <= seen
        assert check.id not in seen
        seen.add(check.id)


def test_a_check_needs_only_what_a_probe_gathers() -> None:
    assert {name for check in chain() for name in check.needs} <= set(Facts.model_fields)


def test_the_chain_leads_from_the_system_to_the_pages_that_fit() -> None:
    titles = [check.title for check in chain()]
    assert (titles[0], titles[-1]) == ("Operating system", "Plan")
