"""Commands about records: ls, show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import click

from statestore.cli import output
from statestore.cli.completion import complete_key, complete_kind
from statestore.cli.fields import (
    MISSING,
    Condition,
    columns_of,
    field_of,
    shown_of,
    sort_key,
    title_of,
)
from statestore.cli.finishing import tell_failures
from statestore.cli.options import StoreCommand, pass_settings
from statestore.cli.problems import BadKey, KindNotFound
from statestore.cli.settings import BUILT_IN_KINDS, Settings
from statestore.cli.values import failure_value, stored_value
from statestore.errors import CorruptRecord, RecordNotFound
from statestore.models.changes import Stored
from statestore.models.keys import check_kind
from statestore.models.reports import Failure
from statestore.models.times import format_time

if TYPE_CHECKING:
    from statestore.store import Store

_COLUMNS = ("id", "revision", "saved-at", "format", "size")
_RIGHT = ("revision", "size", "priority", "messages", "focuses", "entries")

_Row: TypeAlias = tuple[Any, Stored, dict[str, Any]]
"""What a record is ordered by, the record without most of it, and what is shown beside that."""


def _condition(text: str) -> Condition:
    field, sign, value = text.partition("=")
    if not sign or not field:
        raise click.BadParameter(f"{text!r} is not of the form FIELD=VALUE")
    return Condition(field, value)


@attrs.define
class _Listing:
    """What a listing has found. `seen` are the fields asked for that some record has."""

    rows: list[_Row] = attrs.field(factory=list)
    failures: list[Failure] = attrs.field(factory=list)
    seen: set[str] = attrs.field(factory=set)
    read: int = 0


@click.command("ls", cls=StoreCommand)
@click.argument("kind", required=False, shell_complete=complete_kind)
@click.option(
    "--where",
    metavar="FIELD=VALUE",
    multiple=True,
    type=_condition,
    help="Only records whose field is this; may be given again, then all must hold.",
)
@click.option(
    "--sort", metavar="FIELD", help="Order by this field; -FIELD for the other way round."
)
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most so many records.")
@pass_settings
def list_records(
    settings: Settings,
    kind: str | None,
    where: tuple[Condition, ...],
    sort: str | None,
    limit: int | None,
) -> None:
    """List the records of KIND; without it, the kinds.

    FIELD is the name of a field, or a path such as metadata.imported.type. VALUE is compared as
    text, and as JSON where it is some; a list matches where an item of it does. A record that lacks
    the field never matches, and comes last in an order.
    """
    if kind is None:
        if where or sort or limit:
            raise click.UsageError("--where, --sort and --limit need a KIND")
        _list_kinds(settings)
        return
    with settings.open_to_read() as store:
        _want_kind(store, kind)
        found = _collect(store, kind, where, sort, limit)
    if settings.json:
        output.write_json(
            {
                "kind": kind,
                "records": [_row_value(stored, shown) for _, stored, shown in found.rows],
                "failures": [failure_value(one) for one in found.failures],
            }
        )
    else:
        rows = [
            (
                stored.key.id,
                stored.revision,
                output.moment(stored.saved_at),
                stored.format or "-",
                stored.size_bytes,
                *("-" if value is None else value for value in shown.values()),
                title_of(stored),
            )
            for _, stored, shown in found.rows
        ]
        if rows:
            columns = (*_COLUMNS, *columns_of(kind), "title")
            output.table(columns, rows, right=" ".join(_RIGHT))
        else:
            matches = where and found.read
            output.note(f"no record of {kind} matches" if matches else f"no records of {kind}")
    asked = [one.field for one in where] + ([sort.removeprefix("-")] if sort else [])
    for field in dict.fromkeys(asked):
        if found.read and field not in found.seen:
            output.note(f"note: no record of {kind} has the field {output.printable(field)!r}")
    tell_failures(found.failures)


@click.command(cls=StoreCommand)
@click.argument("key", metavar="KIND/ID", shell_complete=complete_key)
@click.option("--raw", is_flag=True, help="Write the bytes of its file, exactly as they are.")
@pass_settings
def show(settings: Settings, key: str, raw: bool) -> None:
    """Show a record as JSON.

    What surrounds it (revision, time, file) goes to stderr, so that stdout is the document alone.
    With --raw also a file is shown that cannot be read as a record.
    """
    if "/" not in key or key.startswith("/") or key.endswith("/"):
        kind = key.strip("/").partition("/")[0]
        raise BadKey(key, f"; see the ids with: statestore ls {kind}" if kind else "")
    if raw and settings.json:
        raise click.UsageError("--raw writes a file's bytes, which --json cannot hold; choose one")
    with settings.open_to_read() as store:
        if raw:
            output.write(_file_bytes(store, key))
            return
        try:
            stored = store.stored(key)
        except RecordNotFound as error:
            _want_kind(store, error.kind)
            raise
    if settings.json:
        output.write_json(stored_value(stored))
    else:
        place = f" · {stored.format} · {stored.path}" if stored.path else ""
        output.note(
            f"{output.printable(str(stored.key))} · revision {stored.revision} · saved "
            f"{format_time(stored.saved_at)} · schema {stored.schema}{output.printable(place)}"
        )
        output.write_document(stored.document)
    for text in stored.notes:
        output.note(f"note: {output.printable(text)}")


def _list_kinds(settings: Settings) -> None:
    with settings.open_to_read() as store:
        stats = store.stats()
    unreadable = sum(kind.unreadable for kind in stats.kinds.values())
    if settings.json:
        kinds = [
            {
                "kind": name,
                "records": kind.records,
                "unreadable": kind.unreadable,
                "size_bytes": kind.size_bytes,
            }
            for name, kind in stats.kinds.items()
        ]
        output.write_json({"path": stats.path, "kinds": kinds})
    elif stats.kinds:
        rows = [
            (name, kind.records, output.size(kind.size_bytes)) for name, kind in stats.kinds.items()
        ]
        output.table(("kind", "records", "size"), rows, right="records size")
    else:
        output.note("the store holds nothing yet")
    if unreadable:
        output.note("some files cannot be read; see which with: statestore verify")


def _want_kind(store: Store, kind: str) -> None:
    """Refuse a kind that the store does not hold; the built-in ones may still be empty."""
    check_kind(kind)
    known = store.kinds()
    if kind not in known and kind not in BUILT_IN_KINDS:
        raise KindNotFound(kind, known)


def _collect(
    store: Store,
    kind: str,
    where: tuple[Condition, ...],
    sort: str | None,
    limit: int | None,
) -> _Listing:
    found = _Listing()
    rows = _rows(store, kind, where, sort.removeprefix("-") if sort else None, found)
    if sort is None:
        for row in rows:
            found.rows.append(row)
            if len(found.rows) == limit:
                break
        return found
    present: list[_Row] = []
    missing: list[_Row] = []
    for row in rows:
        (missing if row[0] is MISSING else present).append(row)
    present.sort(key=lambda row: sort_key(row[0]), reverse=sort.startswith("-"))
    found.rows = (present + missing)[:limit]
    return found


def _rows(
    store: Store, kind: str, where: tuple[Condition, ...], sort: str | None, found: _Listing
) -> Iterator[_Row]:
    asked = [one.field for one in where] + ([sort] if sort else [])
    for one in store.scan(kind):
        if isinstance(one, Failure):
            found.failures.append(one)
            continue
        found.read += 1
        found.seen.update(field for field in asked if field_of(one, field) is not MISSING)
        if all(condition.holds(one) for condition in where):
            yield (field_of(one, sort) if sort else None), _light(one), shown_of(one)


def _light(stored: Stored) -> Stored:
    """Return a record without what the listing does not show: a large store must fit."""
    kept = {name: stored.document[name] for name in ("title", "name") if name in stored.document}
    return attrs.evolve(stored, document=kept)


def _row_value(stored: Stored, shown: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": stored.key.id,
        "revision": stored.revision,
        "saved_at": format_time(stored.saved_at),
        "format": stored.format,
        "size_bytes": stored.size_bytes,
        "title": title_of(stored),
        **shown,
    }


def _file_bytes(store: Store, key: str) -> bytes:
    from statestore.files.folders import open_folder
    from statestore.models.documents import MAX_SIZE_BYTES

    kind, _, id = key.partition("/")
    try:
        path = store.stored(key).path
    except CorruptRecord as error:
        path = error.path
    root = open_folder(store.path)
    folder = root.child(kind) if root else None
    if root is None or folder is None:
        raise RecordNotFound(kind, id)
    with root, folder:
        content = folder.read(path.partition("/")[2], MAX_SIZE_BYTES)
    if content is None:
        raise RecordNotFound(kind, id)
    return content.data
