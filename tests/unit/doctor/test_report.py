"""Reports: the next step names the model that was asked about."""

from dsk import models
from dsk.doctor.report import make
from dsk.host.facts import Facts
from dsk.models.reference import option_of


def test_the_next_step_after_a_good_report_is_a_demo_with_the_model() -> None:
    first, second = list(models.profiles().values())[:2]
    steps = [
        make("1", "cpu", "as requested", [], Facts(), model=option_of(model.id)).next
        for model in (first, second)
    ]
    assert steps == ["dsk demo --stack cpu", f"dsk demo --stack cpu --model {second.id}"]
