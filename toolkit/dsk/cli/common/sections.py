"""Options under headings: a command with many options lists them in sections of its help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Heading of options without a section, such as `--help`.
_OTHER: Final = "Other"


class SectionOption(click.Option):
    """An option with a heading.

    Args:
        section: the heading; none in a command without headings.
        facts: returns values for the placeholders of the help and of the default that it shows.
            It is called when help is printed, so that it may load the matrix.
    """

    def __init__(
        self,
        *names: Any,
        section: str = "",
        facts: Callable[[], Mapping[str, object]] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(*names, **settings)
        self.section = section
        self._facts = facts

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the names and the help of the option, with its placeholders filled in."""
        record = super().get_help_record(ctx)
        if record is None or self._facts is None:
            return record
        return record[0], record[1].format(**self._facts())


def option(section: str, *names: str, **settings: Any) -> Callable[[Any], Any]:
    """Decorate a command with an option under a heading, as `click.option` does."""
    return click.option(*names, cls=SectionOption, section=section, **settings)


class SectionedCommand(click.Command):
    """A command whose help lists its options under headings, in the order of their first ones."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections."""
        sections: dict[str, list[tuple[str, str]]] = {}
        other: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None or isinstance(parameter, click.Argument):
                continue
            if isinstance(parameter, SectionOption) and parameter.section:
                sections.setdefault(parameter.section, []).append(record)
            else:
                other.append(record)
        for title, records in [*sections.items(), (_OTHER, other)]:
            with formatter.section(title):
                formatter.write_dl(records)
