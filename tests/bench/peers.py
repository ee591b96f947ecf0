"""Other ways to keep a record durably: SQLite, LMDB, a file of its own."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from typing import Protocol

from tests.bench.limits import sync_folder, write_file

try:
    import lmdb
except ModuleNotFoundError:
    lmdb = None

SQLITE, LMDB, FILE = "sqlite3 FULL", "lmdb", "file+fsync+rename"
NO_LMDB = "lmdb is not installed; its dependency group is: bench"


class Peer(Protocol):
    """Keeps values by their keys, each durable when `put` returns."""

    def put(self, key: str, value: bytes) -> None: ...

    def close(self) -> None: ...


def connect(folder: str) -> sqlite3.Connection:
    """Open a database whose commits are durable, with a table of records and one of messages."""
    connection = sqlite3.connect(
        os.path.join(folder, "records.sqlite"),
        isolation_level=None,  # a statement is a transaction unless BEGIN says otherwise
        timeout=60,
        check_same_thread=False,  # one thread uses it at a time
    )
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS records (id TEXT PRIMARY KEY, data BLOB)")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS messages "
        "(record TEXT, number INTEGER, data BLOB, PRIMARY KEY (record, number))"
    )
    return connection


class SqlitePeer:
    """A row for each record."""

    def __init__(self, folder: str) -> None:
        self._connection = connect(folder)

    def put(self, key: str, value: bytes) -> None:
        self._connection.execute("INSERT OR REPLACE INTO records VALUES (?, ?)", (key, value))

    def put_all(self, pairs: Iterable[tuple[str, bytes]]) -> None:
        """Store many records in one transaction."""
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT OR REPLACE INTO records VALUES (?, ?)", pairs)
        self._connection.execute("COMMIT")

    def values(self) -> list[bytes]:
        """Return all records."""
        rows = self._connection.execute("SELECT data FROM records ORDER BY id")
        return [data for (data,) in rows]

    def add(self, key: str, number: int, value: bytes) -> None:
        """Store a message as a row of its own."""
        row = (key, number, value)
        self._connection.execute("INSERT INTO messages VALUES (?, ?, ?)", row)

    def add_all(self, key: str, values: Iterable[bytes]) -> None:
        """Store messages, each as a row, in one transaction."""
        rows = [(key, number, value) for number, value in enumerate(values)]
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO messages VALUES (?, ?, ?)", rows)
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


class LmdbPeer:
    """A value for each record; a commit syncs."""

    def __init__(self, folder: str) -> None:
        self._environment = lmdb.open(folder, map_size=1 << 30, sync=True, metasync=True)

    def put(self, key: str, value: bytes) -> None:
        with self._environment.begin(write=True) as transaction:
            transaction.put(key.encode(), value)

    def close(self) -> None:
        self._environment.close()


class FilePeer:
    """A file for each record, replaced whole: the careful way by hand."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def put(self, key: str, value: bytes) -> None:
        path = os.path.join(self._folder, key + ".json")
        write_file(path + ".new", value, sync=True)
        os.rename(path + ".new", path)
        sync_folder(self._folder)

    def close(self) -> None: ...
