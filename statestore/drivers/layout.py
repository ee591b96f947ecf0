"""The root of a directory store: opening it, and what it says of itself."""

from __future__ import annotations

import os
import secrets
from datetime import datetime

import attrs
import orjson

from statestore.drivers.driver import Clock
from statestore.drivers.file_systems import want_local
from statestore.errors import (
    CorruptStore,
    DecodeError,
    NewerLayout,
    StateStoreError,
    StorageError,
    StoreNotFound,
    UnsafeStore,
)
from statestore.files.calls import Files
from statestore.files.folders import Folder, Modes, open_folder
from statestore.models.times import format_time, parse_time
from statestore.serializers import get

LAYOUT = 1
"""The version of the layout on disk that this code writes."""

DEFAULT_FORMAT = "json"
"""What a new store remembers, until it is converted to another."""

OWN_FOLDER = ".statestore"
META_FILE = "meta.json"
MATERIALISE_FILE = "materialise"
TURNSTILE_FILE = "turnstile"
QUARANTINE = "quarantine"
CONFIGURATION_FILE = "statestore.toml"
MANIFEST_FILE = "manifest.json"

_META_LIMIT_BYTES = 1 << 20


@attrs.frozen
class Meta:
    """What a store says of itself, in `.statestore/meta.json`."""

    layout: int
    store_id: str
    format: str
    created_at: datetime

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        fields = {
            "layout": self.layout,
            "store_id": self.store_id,
            "format": self.format,
            "created_at": format_time(self.created_at),
        }
        return orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def from_bytes(cls, data: bytes, path: str) -> Meta:
        """Return what the content of the file says.

        Raises:
            NewerLayout: it is of a layout that this version does not know.
            CorruptStore: it says nothing that can be trusted.
        """
        try:
            fields = orjson.loads(data)
            if type(fields["layout"]) is int and fields["layout"] > LAYOUT:
                raise NewerLayout(path, fields["layout"], LAYOUT)
            meta = cls(
                fields["layout"],
                fields["store_id"],
                fields["format"],
                parse_time(fields["created_at"]),
            )
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptStore(path, "it is not what a store writes of itself") from error
        if type(meta.layout) is not int or not isinstance(meta.store_id, str):
            raise CorruptStore(path, "it is not what a store writes of itself")
        if not isinstance(meta.format, str):
            raise CorruptStore(path, "the format in it is no name")
        return meta


def open_root(
    path: str, *, read_only: bool, allow_unsafe: bool, files: Files, modes: Modes
) -> Folder:
    """Return the open root of the store at `path`; make it, unless `read_only`.

    Raises:
        StoreNotFound: there is nothing to read at `path`.
        UnsafeStore: somebody else could change what is in it.
        UnsafeFilesystem: processes of other machines could.
        StorageError, UnsafeFile: the system refused, or it is no folder.
    """
    root = open_folder(path, files=files, modes=modes)
    if root is None and not read_only:
        if not allow_unsafe:
            _want_local_around(path, files, modes)
        root = open_folder(path, create=True, files=files, modes=modes)
    if root is None:
        raise StoreNotFound(path)
    try:
        if not allow_unsafe:
            _check_safe(root, modes)
            if not read_only:
                want_local(root)
        if not read_only:
            # Whoever made the folder may have died before it was synced into the one around it.
            _sync_around(root, files, modes)
            root.sync()
    except StateStoreError:
        root.close()
        raise
    return root


def open_own(root: Folder, *, read_only: bool, allow_unsafe: bool, modes: Modes) -> Folder | None:
    """Return the folder `.statestore` of a store; None if it has none and may not be written."""
    own = root.child(OWN_FOLDER, create=not read_only)
    if own is None:
        return None
    try:
        if not allow_unsafe:
            _check_safe(own, modes)
            if not read_only and own.status().st_dev != root.status().st_dev:
                want_local(own)  # something else is mounted there
        if not read_only:
            own.sync()
    except StateStoreError:
        own.close()
        raise
    return own


def read_meta(own: Folder) -> Meta | None:
    """Return what the store says of itself; None if it says nothing yet."""
    path = own.place(META_FILE)
    try:
        content = own.read(META_FILE, _META_LIMIT_BYTES)
    except DecodeError as error:
        raise CorruptStore(path, error.reason) from error
    return None if content is None else Meta.from_bytes(content.data, path)


def write_meta(own: Folder, meta: Meta) -> None:
    """Make `meta` what the store says of itself, for good."""
    own.replace(META_FILE, meta.to_bytes())
    own.sync()


def new_meta(format: str, clock: Clock, store_id: str | None = None) -> Meta:
    """Return what a new store says of itself; `store_id` is the one that it has had, if any."""
    return Meta(LAYOUT, store_id or secrets.token_hex(16), get(format).name, clock())


def looks_like_store(root: Folder) -> bool:
    """Say whether a folder is a store, a backup of one, or one whose own folder was not copied."""
    names = set(root.names())
    if names & {OWN_FOLDER, CONFIGURATION_FILE, MANIFEST_FILE}:
        return True
    for name in names & {"sessions", "conversations", "focus", "tasks"}:
        try:
            child = root.child(name)
        except StateStoreError:
            continue
        if child is not None:
            child.close()
            return True
    return False


def _check_safe(folder: Folder, modes: Modes) -> None:
    status = folder.status()
    open_to_others = status.st_mode & 0o022 & ~modes.folder
    if open_to_others:
        raise UnsafeStore(folder.path, "other users may write to it")
    user = os.geteuid()
    if user != 0 and status.st_uid not in (0, user):
        raise UnsafeStore(folder.path, "it belongs to another user")


def _want_local_around(path: str, files: Files, modes: Modes) -> None:
    """Check the folder in which that of a store would be made, or the parents of it."""
    path = os.path.realpath(path)
    folder = None
    while folder is None:
        path = os.path.dirname(path)
        folder = open_folder(path, files=files, modes=modes)
    with folder:
        want_local(folder)


def _sync_around(root: Folder, files: Files, modes: Modes) -> None:
    try:
        around = open_folder(os.path.dirname(root.path), files=files, modes=modes)
    except StorageError:
        return  # a parent that may not be read was not made by us either
    if around is not None:
        with around:
            around.sync()
