"""Backup: a copy of a store's records as a directory, with a manifest that proves it whole."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
import orjson

from statestore.drivers.driver import RecordFile
from statestore.drivers.layout import MANIFEST_FILE
from statestore.drivers.names import file_stem
from statestore.engine.engine import Engine
from statestore.errors import (
    BackupExists,
    BackupNotFound,
    ConfigurationError,
    DecodeError,
    InvalidBackup,
    StateStoreError,
    UnsafeFile,
)
from statestore.files.folders import Folder, open_folder
from statestore.models.changes import Stored
from statestore.models.envelopes import Envelope
from statestore.models.reports import BackupReport, Failure
from statestore.models.times import format_time, parse_time, time_ns
from statestore.serializers import get
from statestore.serializers.serializer import Serializer
from statestore.services.building import PARTIAL_PREFIX, built_at, is_within, wanted_folder

MANIFEST_VERSION = 1
_MANIFEST_LIMIT_BYTES = 1 << 30


@attrs.frozen
class FileEntry:
    """What a manifest says of one file."""

    size_bytes: int
    sha256: str


@attrs.frozen
class Manifest:
    """What a backup says of itself. `files` maps paths relative to the backup to their digests."""

    store_id: str
    created_at: datetime
    sequence: int
    format: str
    counts: Mapping[str, int]
    files: Mapping[str, FileEntry]

    def to_bytes(self) -> bytes:
        """Return the content of `manifest.json`."""
        fields = {
            "statestore_backup": MANIFEST_VERSION,
            "store_id": self.store_id,
            "created_at": format_time(self.created_at),
            "sequence": self.sequence,
            "format": self.format,
            "counts": dict(self.counts),
            "files": {path: attrs.asdict(entry) for path, entry in self.files.items()},
        }
        fields["sha256"] = _own_digest(fields)
        return orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Return the manifest that some bytes hold.

        Raises:
            ValueError: they hold none that this version knows.
        """
        try:
            fields: dict[str, Any] = orjson.loads(data)
            _want_known(fields["statestore_backup"])
            _want_whole(fields)
            return cls(
                store_id=str(fields["store_id"]),
                created_at=parse_time(fields["created_at"]),
                sequence=int(fields["sequence"]),
                format=str(fields["format"]),
                counts={str(kind): int(count) for kind, count in fields["counts"].items()},
                files={
                    str(path): FileEntry(int(entry["size_bytes"]), str(entry["sha256"]))
                    for path, entry in fields["files"].items()
                },
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"it is no manifest of a backup ({error})") from error


@attrs.frozen
class BackupInfo:
    """A backup in a folder of backups; `problem` says why it is none that can be used."""

    name: str
    path: str
    manifest: Manifest | None
    problem: str = ""


DEFAULT_NAME = "%Y-%m-%dT%H-%M-%S.%fZ"
"""What names a backup that is given no path: a template for the time, in UTC."""


def backup(
    engine: Engine, path: str | None, *, backups: str, name: str = DEFAULT_NAME
) -> BackupReport:
    """Copy every record of the store into a new folder, all as one commit has left them.

    What others commit meanwhile is not in it: a transaction is in it wholly or not at all.
    The copy is built beside `path`, synced and then renamed, so what has that name is complete.
    What cannot be read is not copied; it is in the report's failures.

    Args:
        path: the new folder; by default `name` in `backups`.
        backups: the folder of backups.
        name: the template for a name there, with the codes of `strftime`: "daily-%Y-%m-%d".
    Raises:
        BackupExists: something is at `path`.
        ConfigurationError: `path` is within the store's records, or `name` makes no file name.
        StorageError: the system refused; nothing is left at `path`.
    """
    engine.want_no_transaction("back up")
    with engine.turn():
        engine.wait_for_commits()
        started, now = time.monotonic(), engine.clock()
        target = os.path.realpath(path or os.path.join(backups, _named(name, now)))
        _want_outside(engine, target, backups)
        if os.path.lexists(target) or (path and os.path.islink(path)):
            raise BackupExists(path or target)
        with built_at(target) as root:
            manifest, failures = _copy(engine, root, now)
        report = BackupReport(
            path=target,
            format=manifest.format,
            items=len(manifest.files),
            size_bytes=sum(entry.size_bytes for entry in manifest.files.values()),
            timestamp=now,
            duration_s=time.monotonic() - started,
            failures=tuple(failures),
            counts=manifest.counts,
        )
    engine.finish(report, None, StateStoreError, strict=False)
    return report


def list_backups(backups: str) -> Sequence[BackupInfo]:
    """Return the backups in a folder, oldest first; those that cannot be used come last."""
    folder = open_folder(backups)
    if folder is None:
        return ()
    infos = []
    with folder:
        for name in folder.names():
            path = folder.place(name)
            try:
                infos.append(BackupInfo(name, path, read_manifest(path)))
            except BackupNotFound:
                continue
            except StateStoreError as error:
                infos.append(BackupInfo(name, path, None, str(error)))
    last = datetime.max.replace(tzinfo=UTC)
    return sorted(infos, key=lambda one: one.manifest.created_at if one.manifest else last)


def read_manifest(path: str) -> Manifest:
    """Return the manifest of the backup at `path`.

    Raises:
        BackupNotFound: there is no folder, or no manifest in it.
        InvalidBackup: its manifest cannot be read.
    """
    if not os.path.isdir(path) or os.path.basename(os.path.realpath(path)).startswith(
        PARTIAL_PREFIX
    ):
        raise BackupNotFound(path)
    with wanted_folder(open_folder(path), path) as folder:
        try:
            content = folder.read(MANIFEST_FILE, _MANIFEST_LIMIT_BYTES)
            if content is None:
                raise BackupNotFound(path)
            return Manifest.from_bytes(content.data)
        except (ValueError, DecodeError) as error:
            raise InvalidBackup(path, [f"{MANIFEST_FILE}: {error}"]) from error


def _copy(engine: Engine, root: Folder, now: datetime) -> tuple[Manifest, list[Failure]]:
    files = engine.driver.record_files
    if files is None:
        return _copy_as_of(engine.driver.sequence, engine, root, now)
    with files.held_still() as sequence:
        return _copy_as_of(sequence, engine, root, now)


def _copy_as_of(
    sequence: int, engine: Engine, root: Folder, now: datetime
) -> tuple[Manifest, list[Failure]]:
    driver = engine.driver
    failures: list[Failure] = []
    counts: dict[str, int] = {}
    files: dict[str, FileEntry] = {}
    for kind in sorted({*driver.kinds(), *engine.managers}):
        with wanted_folder(root.child(kind, create=True), kind) as folder:
            for one in _record_files(engine, kind):
                if isinstance(one, Failure):
                    failures.append(attrs.evolve(one, operation="backup"))
                    continue
                name, data, mtime_ns = one
                folder.replace(name, data, mtime_ns=mtime_ns)
                counts[kind] = counts.get(kind, 0) + 1
                digest = hashlib.sha256(data).hexdigest()
                files[f"{kind}/{name}"] = FileEntry(len(data), digest)
            folder.sync()
        if kind not in counts:
            root.drop_child(kind)
    format = engine.format if driver.record_files else "json"
    manifest = Manifest(driver.store_id, now, sequence, format, counts, files)
    root.replace(MANIFEST_FILE, manifest.to_bytes())
    root.sync()
    return manifest, failures


def _record_files(engine: Engine, kind: str) -> Iterator[tuple[str, bytes, int] | Failure]:
    """Yield name, bytes and mtime of each record: as it is on disk, or as it would be."""
    files = engine.driver.record_files
    if files is not None:
        try:
            for entry in files.entries(kind):
                yield (
                    (entry.name, entry.data, entry.mark.mtime_ns)
                    if isinstance(entry, RecordFile)
                    else entry
                )
        except UnsafeFile as error:  # the folder itself is a link, say
            yield Failure(None, "backup", error)
        return
    serializer = get("json")
    for stored in engine.driver.scan(kind):
        yield _as_file(stored, serializer) if isinstance(stored, Stored) else stored


def _as_file(stored: Stored, serializer: Serializer) -> tuple[str, bytes, int]:
    envelope = Envelope(
        stored.key.kind,
        stored.schema,
        stored.revision,
        stored.saved_at,
        stored.document,
        stored.extra,
    )
    name = file_stem(stored.key.id) + serializer.extension
    return name, serializer.dumps(envelope.to_document()), time_ns(stored.saved_at)


def _named(template: str, now: datetime) -> str:
    name = now.astimezone(UTC).strftime(template)
    if not name or name.startswith(".") or os.sep in name or "\0" in name:
        raise ConfigurationError(template, "it makes no plain name of a folder; try daily-%Y-%m-%d")
    return name


def _want_outside(engine: Engine, target: str, backups: str) -> None:
    files = engine.driver.record_files
    if files is None:
        return
    store, allowed = os.path.realpath(files.path), os.path.realpath(backups)
    if target == store or (is_within(target, store) and not is_within(target, allowed)):
        raise ConfigurationError(
            target, f"a backup cannot be inside of the store; put it elsewhere, or below {allowed}"
        )


def _own_digest(fields: Mapping[str, Any]) -> str:
    """Return what tells a manifest from one that was changed, however its text is laid out."""
    return hashlib.sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _want_known(version: object) -> None:
    if type(version) is not int or version != MANIFEST_VERSION:
        raise ValueError("its version is not known here; restore it with a newer statestore")


def _want_whole(fields: dict[str, Any]) -> None:
    if fields.pop("sha256") != _own_digest(fields):
        raise ValueError("it was changed: its own SHA-256 is another")
