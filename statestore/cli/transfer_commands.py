"""Commands that bring records in or write them anew: import, convert."""

from __future__ import annotations

import os

import click

from statestore.cli import output
from statestore.cli.completion import complete_format, complete_kind
from statestore.cli.finishing import tell_report
from statestore.cli.options import StoreCommand, pass_settings
from statestore.cli.problems import KindNotFound
from statestore.cli.settings import BUILT_IN_KINDS, Settings, register_built_in
from statestore.cli.values import report_value
from statestore.models.keys import check_kind


@click.command("import", cls=StoreCommand)
@click.argument("sources", metavar="SOURCE…", nargs=-1, required=True, type=click.Path())
@pass_settings
def import_(settings: Settings, sources: tuple[str, ...]) -> None:
    """Take in the transcripts of agents.

    Each becomes a session and a conversation. SOURCE is a file, or a folder of them. Known are SWE-
    agent trajectories (.traj), Claude Code sessions (.jsonl) and chat messages as OpenAI's API
    writes them (.json, .jsonl), told apart by content. What was imported before is not added again.
    A store that is missing is made.
    """
    with settings.open_to_fill(when=any(map(os.path.exists, sources))) as store:
        register_built_in(store)
        with output.working("importing"):
            report = store.import_transcripts(*sources)
    if settings.json:
        output.write_json(report_value(report))
    else:
        output.line(
            f"imported {output.counted(report.conversations, 'conversation')} and "
            f"{output.counted(report.messages, 'message')}; "
            f"{output.counted(report.unchanged, 'transcript')} known already"
        )
    tell_report(report)


@click.command(cls=StoreCommand)
@click.argument("kinds", metavar="[KIND…]", nargs=-1, shell_complete=complete_kind)
@click.option(
    "--to",
    "format",
    metavar="FORMAT",
    required=True,
    shell_complete=complete_format,
    help="json, compact, gzip, yaml, or another that is installed.",
)
@pass_settings
def convert(settings: Settings, kinds: tuple[str, ...], format: str) -> None:
    """Write records in another format; nothing else changes.

    It writes those of each KIND, or all. Converting everything makes it the store's format. Stopped
    half way, the store is mixed and loads whole.
    """
    with settings.open_to_write() as store:
        known = store.kinds()
        for kind in kinds:
            if check_kind(kind) not in (*known, *BUILT_IN_KINDS):
                raise KindNotFound(kind, known)
        with output.working(f"converting to {format}"):
            report = store.convert(format, list(dict.fromkeys(kinds)) or None)
    if settings.json:
        output.write_json(report_value(report))
    else:
        output.line(
            f"converted {output.counted(report.items, 'record')} to {report.format}; "
            f"{report.unchanged} were so already"
        )
    tell_report(report)
