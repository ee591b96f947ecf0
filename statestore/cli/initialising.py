"""Making a store for the first time, with the files beside its records that people edit."""

from __future__ import annotations

import os

import attrs

from statestore.cli.problems import FormatSettled
from statestore.cli.settings import BUILT_IN_KINDS, Settings
from statestore.errors import NotSupported, StoreNotFound
from statestore.models.keys import RESERVED_KINDS

_OWN_NAMES = {*BUILT_IN_KINDS, *RESERVED_KINDS, "statestore.toml", "manifest.json"}
_GITIGNORE = ".statestore/\nbackups/\nquarantine/\n"

_HEAD = """\
# Settings of this store. What the program says when it opens the store overrules them.
#
# autosave           "manual": changes are durable after save_all(); "on-change": after each
#                    operation; a number of seconds: saved in the background, so long after the
#                    last time
# backups            the folder for backups, relative to this one
# group_access       true opens the files and folders to their group
# materialize        when record files follow a save, which is durable either way: "background",
#                    within a second; "now", before it returns
# on_conflict        what a save does with a record that others have changed, too: "error" leaves
#                    it unsaved, "mine" takes the own change, "theirs" theirs, "merge" both
# history_days       for so many days what was changed is kept: see statestore history
# history_megabytes  and at most so much of it
# lock_timeout_s     for so many seconds one waits for another process

"""


@attrs.frozen
class Made:
    """What was made. `others` names things in the folder that are no part of a store, a few."""

    path: str
    format: str
    made: tuple[str, ...]
    others: tuple[str, ...] = ()


def initialise(settings: Settings, format: str | None) -> Made:
    """Make the store and what of its files is missing.

    Raises:
        FormatSettled: it exists, and has another format than `format`.
        NotSupported: the store is one without files.
    """
    from statestore.drivers.layout import CONFIGURATION_FILE, META_FILE, OWN_FOLDER
    from statestore.engine.opening import folder_of
    from statestore.files.folders import open_folder
    from statestore.serializers import get

    place = folder_of(settings.store)
    if place is None:
        raise NotSupported(settings.store.partition(":")[0], "init")
    if format is not None:
        get(format)  # a wrong name is refused before a folder is made
    is_new = not os.path.lexists(os.path.join(place, OWN_FOLDER, META_FILE))
    others = _others(place) if is_new else ()
    with settings.open_or_make() as store:
        path = store.path
        if format is not None and is_new:
            store.set_serializer(format, remember=True)
        if format is not None and format != store.format:
            raise FormatSettled(settings.store, store.format, format)
        made = [path] if is_new else []
        folder = open_folder(path)
        if folder is None:
            raise StoreNotFound(path)
        with folder:
            files = ((CONFIGURATION_FILE, _configuration()), (".gitignore", _GITIGNORE))
            for name, content in files:
                if not os.path.lexists(folder.place(name)):
                    folder.replace(name, content.encode())
                    made.append(folder.place(name))
            folder.sync()
        return Made(path, store.format, tuple(made), others)


def _configuration() -> str:
    import tomli_w

    from statestore.models.configuration import Configuration

    return _HEAD + tomli_w.dumps(attrs.asdict(Configuration()))


def _others(path: str) -> tuple[str, ...]:
    """Return a few names of what lies there and is no part of a store."""
    if not os.path.isdir(path):
        return ()
    names = sorted(os.listdir(path))
    found = [name for name in names if not name.startswith(".") and name not in _OWN_NAMES]
    return tuple(found[:3])
