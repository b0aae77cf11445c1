"""Errors: one exit code each, one line each."""

from dsk.errors import KINDS, DskError


def test_every_kind_has_an_exit_code_of_its_own() -> None:
    codes = [kind.exit_code for kind in KINDS]
    assert codes == sorted(set(codes))


def test_a_message_says_what_happened_then_what_to_do() -> None:
    assert str(DskError("no such GPU 'rtx409'", do="did you mean rtx4090?")) == (
        "no such GPU 'rtx409': did you mean rtx4090?"
    )
