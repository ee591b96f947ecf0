"""Commands about what was: recover, history."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from statestore.cli import output
from statestore.cli.completion import complete_key
from statestore.cli.finishing import DONE_IN_PART, tell_failures
from statestore.cli.options import StoreCommand, pass_settings
from statestore.cli.problems import BadKey
from statestore.cli.settings import Settings, register_built_in
from statestore.cli.values import report_value
from statestore.errors import (
    CorruptRecord,
    FilesBehind,
    NotSupported,
    QuarantinedRecord,
    UndecodableRecord,
)
from statestore.models.changes import Commit
from statestore.models.keys import SETTINGS_NAME, Key, settings_key
from statestore.models.reports import Failure, RecoverReport, SalvageReport
from statestore.models.times import format_time

if TYPE_CHECKING:
    from statestore.services.history import Gap

_MOST_KEYS = 4


@click.command(cls=StoreCommand)
@click.argument("key", metavar="[KIND/ID]", required=False, shell_complete=complete_key)
@click.option(
    "--salvage",
    metavar="NEW-FOLDER",
    type=click.Path(),
    help="Save all that can be read of a damaged store as a new one; the damaged one is only read.",
)
@pass_settings
def recover(settings: Settings, key: str | None, salvage: str | None) -> None:
    """Take up what was cut off, and say what is lost or unreadable; bring a record back.

    Opening a store recovers it. With KIND/ID the last version that the history holds of a record
    becomes its content again: one whose file is missing or cannot be read, or that was deleted.
    Ends with 4 if something is missing or cannot be read.
    """
    if salvage is not None:
        if key is not None:
            raise click.UsageError("give KIND/ID or --salvage, not both")
        _salvage(settings, salvage)
    elif key is not None:
        _bring_back(settings, key)
    else:
        _recover(settings)


def _recover(settings: Settings) -> None:
    with settings.open_to_write() as store:
        register_built_in(store)
        is_behind = False
        try:
            store.flush()
        except FilesBehind:
            is_behind = True  # the report says which; closing the store raises it again
        with output.working("looking"):
            report = store.recover()
    if settings.json:
        output.write_json(report_value(report))
    else:
        _tell(report, is_behind=is_behind)
    if report.failures or report.absent:
        raise click.exceptions.Exit(4)


def _tell(report: RecoverReport, *, is_behind: bool) -> None:
    if report.commits:
        output.line(
            f"taken up from the journal: {output.counted(report.commits, 'commit')}; "
            f"{'not all' if is_behind else 'all'} files are up to date now"
        )
    just_moved = {getattr(failure.error, "place", None) for failure in report.failures}
    for one in report.quarantined:
        if one.path in just_moved:
            continue  # it is told below
        why = f": {one.why}" if one.why else ""
        when = f", since {output.moment(one.moved_at)}" if one.moved_at else ""
        output.line(output.printable(f"in quarantine{when}: {one.path}{why}"))
    for absent in report.absent:
        name = absent.key.shown
        if absent.kept:
            what = f"bring revision {absent.kept} back with: statestore recover {quote(name)}"
        else:
            what = "the history holds no whole version of it; look for it in a backup"
        output.line(f"missing: {name}, revision {absent.revision}; {what}")
    for failure in report.failures:
        output.line(output.printable(f"unreadable: {_what(failure)}"))
    for text in report.notes:
        output.note(f"note: {output.printable(text)}")
    output.line(
        f"{output.counted(report.items, 'sound record')}, {len(report.absent)} missing, "
        f"{len(report.failures)} unreadable, {len(report.quarantined)} in quarantine"
    )


def _what(failure: Failure) -> str:
    """Return what is wrong with a file, and what to type: this is the command that texts name."""
    error = failure.error
    if isinstance(error, QuarantinedRecord):
        return f"{error.path}: {error.reason}; moved to {error.place}"
    if isinstance(error, UndecodableRecord) and failure.key is not None:
        name = quote(failure.key.shown)
        return (
            f"{error.path}: {error.reason}; mend it by hand, or let the last version that the "
            f"history holds take its place with: statestore recover {name}"
        )
    if isinstance(error, CorruptRecord):
        return f"{error.path}: {error.reason}; it is left in place: mend it by hand"
    return str(failure)


def _bring_back(settings: Settings, key: str) -> None:
    wanted = _wanted_key(key)
    with settings.open_to_write() as store:
        report = store.bring_back(key)
    if settings.json:
        output.write_json(report_value(report))
        return
    output.line(
        f"brought {wanted.shown} back as it was at revision {report.copied}; "
        f"it has revision {report.revision} now"
    )
    for text in report.notes:
        output.note(f"note: {output.printable(text)}")


def _salvage(settings: Settings, target: str) -> None:
    from statestore.engine.opening import folder_of
    from statestore.services.recovery import salvage

    if not target:
        raise click.BadParameter("the path of the new store is empty", param_hint="--salvage")
    place = folder_of(settings.store)
    if place is None:
        raise NotSupported(settings.store.partition(":")[0], "salvage")
    with output.working("salvaging"):
        report = salvage(place, target)
    if settings.json:
        output.write_json(report_value(report))
    else:
        _tell_salvage(report)
    tell_failures(report.failures)
    if report.lost:
        raise click.exceptions.Exit(DONE_IN_PART)


def _tell_salvage(report: SalvageReport) -> None:
    for text in report.notes:
        output.note(f"note: {output.printable(text)}")
    for path in report.quarantined:
        output.note(f"note: could not be used, copied to {output.printable(path)}")
    for first, last in report.lost:
        which = f"commit {first}" if first == last else f"commits {first} to {last}"
        output.note(f"lost: nothing was found of {which}")
    output.line(
        f"saved {output.counted(report.items, 'record')} ({output.size(report.size_bytes)}) "
        f"to {report.path}; {report.from_journal} of them from the journal, which has "
        f"{output.counted(report.commits, 'whole commit')}"
    )
    output.note(
        f"the store at {report.source} is as it was; look at the new one with: "
        f"statestore --store {quote(report.path)} verify"
    )


@click.command("history", cls=StoreCommand)
@click.argument("key", metavar="[KIND/ID]", required=False, shell_complete=complete_key)
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Only the last N commits.")
@pass_settings
def history_(settings: Settings, key: str | None, limit: int | None) -> None:
    """List the commits that the store still knows, oldest first: when, by whom, what.

    With KIND/ID only those that changed this record. Each record stands with the revision that the
    commit gave it.
    """
    from statestore.services.history import Gap

    wanted = None if key is None else _wanted_key(key)
    found: deque[Commit] = deque(maxlen=limit)
    gaps: list[Gap] = []
    with settings.open_to_read() as store, output.working("reading"):
        for one in store.history():
            if isinstance(one, Gap):
                gaps.append(one)
            elif wanted is None or any(key in one.revisions for key in _named(wanted)):
                found.append(one)
    if settings.json:
        output.write_json(
            {
                "key": None if wanted is None else str(wanted),
                "pruned": [[gap.first, gap.last] for gap in gaps],
                "commits": [_commit_value(one) for one in found],
            }
        )
        return
    for gap in gaps:
        output.note(f"note: {_gap_text(gap)}")
    if found:
        columns = ("sequence", "time", "source", "records")
        rows = [
            (one.sequence, output.moment(one.committed_at), one.source, _keys(one, wanted))
            for one in found
        ]
        output.table(columns, rows, right="sequence")
    else:
        output.note("no commits are kept" + (f" of {wanted.shown}" if wanted else ""))


def _gap_text(gap: Gap) -> str:
    if gap.first == 1:
        return (
            f"the history begins with commit {gap.last + 1}; older ones are not kept "
            "(settings history_days and history_megabytes)"
        )
    return f"commits {gap.first} to {gap.last} are not kept"


def _keys(commit: Commit, wanted: Key | None) -> str:
    keys = list(commit.revisions)
    if wanted is not None:
        keys = [key for key in _named(wanted) if key in commit.revisions]
    told = [f"{key.shown}@{commit.revisions[key]}" for key in keys[:_MOST_KEYS]]
    more = len(keys) - _MOST_KEYS
    return " ".join(told) + (f" and {more} more" if more > 0 else "")


def _commit_value(commit: Commit) -> dict[str, Any]:
    return {
        "sequence": commit.sequence,
        "committed_at": format_time(commit.committed_at),
        "source": commit.source,
        "run": commit.run,
        "size_bytes": commit.size_bytes,
        "revisions": {str(key): revision for key, revision in commit.revisions.items()},
    }


def _named(wanted: Key) -> Sequence[Key]:
    """Return what a key may name: `@manager` also what a manager remembers beside its records."""
    return (wanted, settings_key(wanted.kind)) if wanted.id == SETTINGS_NAME else (wanted,)


def _wanted_key(word: str) -> Key:
    """Return the key that a word of the form KIND/ID names."""
    kind, slash, id = word.partition("/")
    if not kind or not slash or not id:
        raise BadKey(word, f"; see the ids with: statestore ls {kind}" if kind else "")
    return Key(kind, id)
