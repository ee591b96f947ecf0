"""Commands about backups: create, list, verify, restore."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from statestore.cli import output
from statestore.cli.finishing import tell_report
from statestore.cli.options import StoreGroup, pass_settings
from statestore.cli.problems import NotConfirmed
from statestore.cli.settings import Settings
from statestore.cli.values import report_value
from statestore.models.times import format_time

if TYPE_CHECKING:
    from statestore.services.backup import BackupInfo


@click.group(cls=StoreGroup, subcommand_metavar="COMMAND …")
def backup() -> None:
    """Copy the store, prove a copy good, and bring it back."""


@backup.command()
@click.argument("path", required=False, type=click.Path())
@click.option(
    "--name",
    metavar="TEMPLATE",
    help="Name it so in the store's folder of backups; the time in UTC is filled in as by date(1): "
    "daily-%Y-%m-%d.",
)
@pass_settings
def create(settings: Settings, path: str | None, name: str | None) -> None:
    """Copy all records into the new folder PATH.

    By default it is named after the time, in the store's folder of backups. It is there only when
    it is complete.
    """
    if path == "":
        raise click.BadParameter("the path of the backup is empty", param_hint="PATH")
    if path is not None and name is not None:
        raise click.UsageError("give PATH or --name, not both")
    with settings.open_to_write() as store, output.working("backing up"):
        report = store.backup(path) if name is None else store.backup(name=name)
    if settings.json:
        output.write_json(report_value(report))
    else:
        output.line(
            f"backed up {output.counted(report.items, 'record')} "
            f"({output.size(report.size_bytes)}) to {report.path}"
        )
    tell_report(report)


@backup.command("list")
@pass_settings
def list_(settings: Settings) -> None:
    """List the backups in the store's folder of them."""
    from statestore.services.backup import list_backups

    with settings.open_to_read() as store:
        folder = store.backups_path
    infos = list_backups(folder)
    if settings.json:
        output.write_json({"path": folder, "backups": [_info_value(one) for one in infos]})
    elif infos:
        rows = [
            (
                one.name,
                output.moment(one.manifest.created_at if one.manifest else None),
                len(one.manifest.files) if one.manifest else "-",
                output.size(_size(one)) if one.manifest else "-",
                one.problem,
            )
            for one in infos
        ]
        columns = ("name", "made-at", "records", "size", "problem")
        output.table(columns, rows, right="records size")
    else:
        output.note(f"no backups in {folder}; make one with: statestore backup create")


@backup.command("verify")
@click.argument("path", metavar="PATH|NAME", type=click.Path())
@pass_settings
def verify_(settings: Settings, path: str) -> None:
    """Read a whole backup and hold it against its manifest."""
    from statestore.services.restore import verify_backup

    with output.working("verifying"):
        report = verify_backup(_place_of(settings, path))
    if settings.json:
        output.write_json(report_value(report))
    else:
        output.line(
            f"{report.path} is intact: {output.counted(report.items, 'record')} "
            f"({output.size(report.size_bytes)}) of {output.moment(report.timestamp)}"
        )
    tell_report(report)


@backup.command()
@click.argument("path", metavar="PATH|NAME", type=click.Path())
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_settings
def restore(settings: Settings, path: str, yes: bool) -> None:
    """Make the store hold exactly what a backup holds.

    The whole backup is proved good before anything changes. Records that it lacks are deleted; what
    cannot be read moves to quarantine. A store that is missing is made. At a terminal it asks
    before it replaces records.
    """
    with settings.open_to_fill(when=os.path.isdir(path)) as store:
        source = _place_of(settings, path)
        holds_records = any(True for kind in store.kinds() for _ in store.scan(kind))
        if holds_records and not yes and is_attended():
            _confirm(source, store.path)
        with output.working("restoring"):
            report = store.restore(source)
    if settings.json:
        output.write_json(report_value(report))
    else:
        output.line(
            f"restored {output.counted(report.items, 'record')} from {report.source}; "
            f"{report.unchanged} were so already, {report.deleted} were deleted"
        )
    tell_report(report)


def _place_of(settings: Settings, name: str) -> str:
    """Return the folder that a backup's path or name means.

    A name without a separator is looked for in the store's folder of backups first.
    """
    if os.path.basename(name) == name and name not in (".", ".."):
        if os.path.isdir(name) and not os.path.isdir(settings.store):
            return name
        with settings.open_to_read() as store:
            inside = os.path.join(store.backups_path, name)
        if os.path.isdir(inside) or not os.path.isdir(name):
            return inside
    return name


def is_attended() -> bool:
    """Say whether somebody is there to be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def _confirm(source: str, store: str) -> None:
    from statestore.services.backup import read_manifest

    manifest = read_manifest(source)
    holds = output.counted(len(manifest.files), "record")
    question = (
        f"Replace all records of {store} by the {holds} of {output.moment(manifest.created_at)}?"
    )
    if not click.confirm(output.printable(question), err=True):
        raise NotConfirmed("the restore")


def _size(info: BackupInfo) -> int:
    return sum(entry.size_bytes for entry in info.manifest.files.values()) if info.manifest else 0


def _info_value(info: BackupInfo) -> dict[str, Any]:
    manifest = info.manifest
    return {
        "name": info.name,
        "path": info.path,
        "created_at": format_time(manifest.created_at) if manifest else None,
        "format": manifest.format if manifest else None,
        "records": len(manifest.files) if manifest else None,
        "counts": dict(manifest.counts) if manifest else None,
        "size_bytes": _size(info) if manifest else None,
        "problem": info.problem or None,
    }
