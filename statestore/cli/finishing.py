"""How a command that has a report ends: failures told, and the exit code that they call for."""

from __future__ import annotations

from collections.abc import Iterable

import click

from statestore.cli import output
from statestore.models.reports import Failure, Report

DONE_IN_PART = 7


def tell_failures(failures: Iterable[Failure], *, exit_code: int = DONE_IN_PART) -> None:
    """Tell each failure on a line of stderr; end with `exit_code` if there is any."""
    listed = list(failures)
    for one in listed:
        output.failure(one)
    if listed:
        raise click.exceptions.Exit(exit_code)


def tell_report(report: Report) -> None:
    """Tell the notes and failures of a report; end with the code for them if it has failures."""
    for text in report.notes:
        output.note(f"note: {output.printable(text)}")
    tell_failures(report.failures)
