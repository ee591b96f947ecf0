"""Whereabouts: which file holds a record."""

from __future__ import annotations

import os

from statestore.engine.engine import Engine
from statestore.errors import FilesBehind, ReadOnlyStore
from statestore.models.keys import Key
from statestore.models.reports import Failure
from statestore.services.conversion import wanted_files


def path_of(engine: Engine, key: Key) -> str:
    """Return the absolute path of the file of a record. See `Store.path_of`.

    Raises:
        NotSupported: the driver keeps no files.
        RecordNotFound: none is stored.
        FilesBehind: its file is not up to date.
    """
    files = wanted_files(engine, "paths of records")
    try:
        engine.driver.flush()
    except FilesBehind as behind:
        keys = [one.key if isinstance(one, Failure) else None for one in behind.failures]
        if key in keys or None in keys:  # else the files of others are, which does not matter here
            raise
    path = os.path.join(files.path, *engine.driver.read(key).path.split("/"))
    if not os.path.lexists(path):  # it is in the journal alone, and nothing may be written here
        failure = Failure(key, "materialise", ReadOnlyStore(engine.path, "write the files of"))
        raise FilesBehind([failure])
    return path
