"""Commands about a store as a whole: init, info, verify, stats."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

import attrs
import click

from statestore import __version__
from statestore.cli import output
from statestore.cli.completion import complete_format
from statestore.cli.finishing import tell_failures
from statestore.cli.initialising import Made, initialise
from statestore.cli.options import StoreCommand, pass_settings
from statestore.cli.settings import Settings, register_built_in
from statestore.cli.values import report_value
from statestore.models.times import format_time

if TYPE_CHECKING:
    from statestore.services.statistics import Statistics
    from statestore.store import Store


@click.command(cls=StoreCommand)
@click.argument("path", required=False, type=click.Path())
@click.option(
    "--format",
    metavar="FORMAT",
    shell_complete=complete_format,
    help="The format of its files: json (the default), compact, gzip or yaml.",
)
@pass_settings
def init(settings: Settings, path: str | None, format: str | None) -> None:
    """Make a store, with a file of settings to edit and a .gitignore.

    PATH is where; by default what --store says. What is there already is left as it is: running
    this twice changes nothing.
    """
    if path == "":
        raise click.BadParameter("the path of the store is empty", param_hint="PATH")
    if path is not None:
        settings.store = path
    made = initialise(settings, format)
    if settings.json:
        output.write_json(attrs.asdict(made))
        return
    for one in made.made:
        output.line(f"made {one}")
    if not made.made:
        output.line(f"the store at {made.path} is there already; nothing was changed")
    if made.others:
        names = output.printable(", ".join(made.others))
        output.note(f"note: {made.path} holds other things too ({names}); a store is best alone")
    if made.made:
        output.note(_next_step(made, settings))


def _next_step(made: Made, settings: Settings) -> str:
    from shlex import quote

    option = "" if settings.store == Settings().store else f"--store {quote(settings.store)} "
    return f"the store at {made.path} is ready; look at it with: statestore {option}info"


@click.command(cls=StoreCommand)
@pass_settings
def info(settings: Settings) -> None:
    """Say what a store is: its place, format, contents and settings."""
    with settings.open_to_read() as store:
        value = _info(settings, store)
    if settings.json:
        output.write_json(value)
        return
    kinds = value.pop("kinds")
    configuration = value.pop("configuration")
    versions = value.pop("versions")
    counts = ", ".join(f"{name} {counted['records']}" for name, counted in kinds.items())
    output.pairs(
        [
            ("path", value["path"]),
            ("format", value["format"]),
            ("layout", value["layout"] or "-"),
            ("store id", value["store_id"] or "-"),
            ("made", value["created_at"] or "-"),
            ("commits", value["sequence"]),
            ("history", _range_text(value["history"])),
            ("records", f"{value['records']}" + (f"  ({counts})" if counts else "")),
            ("unreadable", value["unreadable"]),
            ("size", output.size(value["size_bytes"])),
            *((f"setting {name}", _toml(one)) for name, one in configuration.items()),
            ("statestore", versions["statestore"]),
            ("python", versions["python"]),
            *([("libyaml", _yes(versions["libyaml"]))] if settings.verbose else []),
        ]
    )
    if value["unreadable"]:
        output.note("some files cannot be read; see which with: statestore verify")


def _info(settings: Settings, store: Store) -> dict[str, Any]:
    from statestore.drivers.layout import OWN_FOLDER, read_meta
    from statestore.engine.configuration import read_configuration
    from statestore.engine.opening import folder_of
    from statestore.files.folders import open_folder

    meta = None
    place = folder_of(settings.store)
    root = open_folder(place) if place is not None else None
    if root is not None:
        with root:
            own = root.child(OWN_FOLDER)
            if own is not None:
                with own:
                    meta = read_meta(own)
    stats = store.stats()
    return {
        "path": store.path,
        "format": store.format,
        "layout": meta.layout if meta else None,
        "store_id": meta.store_id if meta else None,
        "created_at": format_time(meta.created_at) if meta else None,
        "sequence": store.sequence,
        "history": list(store.history_range or ()) or None,
        "records": stats.records,
        "unreadable": _unreadable(stats),
        "size_bytes": stats.size_bytes,
        "kinds": _kind_values(stats),
        "configuration": attrs.asdict(read_configuration(place, settings.config)),
        "versions": {
            "statestore": __version__,
            "python": platform.python_version(),
            **({"libyaml": _has_libyaml()} if settings.verbose else {}),
        },
    }


def _range_text(kept: list[int] | None) -> str:
    return "nothing is kept" if kept is None else f"commits {kept[0]} to {kept[1]}"


def _has_libyaml() -> bool:
    import yaml

    return bool(yaml.__with_libyaml__)


@click.command(cls=StoreCommand)
@pass_settings
def verify(settings: Settings) -> None:
    """Read every record and name every fault. Changes nothing.

    Ends with 4 if anything cannot be trusted, or a record's file is missing though nobody has
    deleted the record. Noted are files that are no records, what is in quarantine, and what is in
    the journal and not in the files yet.
    """
    with settings.open_to_read() as store:
        register_built_in(store)
        with output.working("verifying"):
            report = store.verify()
    if settings.json:
        output.write_json(report_value(report))
        tell_failures(report.failures, exit_code=4)
        return
    for failure in report.failures:
        output.line(f"failed: {output.printable(str(failure))}")
    for text in report.notes:
        output.line(f"note: {output.printable(text)}")
    output.line(
        f"{output.counted(report.items, 'sound record')}, "
        f"{output.counted(len(report.failures), 'failure')}, "
        f"{output.counted(len(report.notes), 'note')} in {os.path.relpath(report.path)}"
    )
    if report.failures:
        output.note("see what can be done with: statestore recover")
        raise click.exceptions.Exit(4)


@click.command(cls=StoreCommand)
@pass_settings
def stats(settings: Settings) -> None:
    """Count what is stored, per kind and format."""
    with settings.open_to_read() as store, output.working("counting"):
        found = store.stats()
    if settings.json:
        output.write_json(
            {
                "path": found.path,
                "format": found.format,
                "records": found.records,
                "size_bytes": found.size_bytes,
                "unreadable": _unreadable(found),
                "kinds": _kind_values(found),
            }
        )
        return
    rows = [
        (
            name,
            kind.records,
            kind.unreadable,
            output.size(kind.size_bytes),
            output.moment(kind.last_saved_at),
            " ".join(f"{format}:{count}" for format, count in sorted(kind.formats.items())) or "-",
        )
        for name, kind in found.kinds.items()
    ]
    unreadable = _unreadable(found)
    rows.append(("total", found.records, unreadable, output.size(found.size_bytes), "", ""))
    columns = ("kind", "records", "unreadable", "size", "last-saved", "formats")
    output.table(columns, rows, right="records unreadable size")
    if unreadable:
        output.note("some files cannot be read; see which with: statestore verify")


def _kind_values(stats: Statistics) -> dict[str, Any]:
    return {
        name: {
            "records": kind.records,
            "unreadable": kind.unreadable,
            "size_bytes": kind.size_bytes,
            "formats": kind.formats,
            "last_saved_at": format_time(kind.last_saved_at) if kind.last_saved_at else None,
        }
        for name, kind in stats.kinds.items()
    }


def _unreadable(stats: Statistics) -> int:
    return sum(kind.unreadable for kind in stats.kinds.values())


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else f'"{value}"'


def _yes(value: object) -> str:
    return "yes" if value else "no"
