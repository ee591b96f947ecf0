"""Cases of whole stores: everything is saved for the first time, everything is loaded."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import cattrs
import orjson

from statestore import Store
from statestore.managers import (
    Conversation,
    ConversationManager,
    FocusManager,
    SessionManager,
)
from tests.bench.case import OURS, Case, Place
from tests.bench.data import encode_all, plain_converter
from tests.bench.limits import sync_file_system, sync_folder, write_file
from tests.bench.measuring import Contestant, Target
from tests.bench.peers import SQLITE, SqlitePeer

READABLE = "statestore, readable"
EACH_SYNCED, ONE_SYNC = "a file each, fsync each", "a file each, one syncfs"
MESSAGES = 100

Records = Mapping[str, Sequence[Any]]


class SavedCold(Contestant):
    """The library: a new store saves all records, then waits until every file is readable."""

    def __init__(self, place: Place, records: Records) -> None:
        self.name, self._place, self._records = OURS, place, records
        self._store: Store | None = None

    def prepare(self, round: int) -> None:
        self._store = store = Store(self._place.new(OURS))
        for manager in (SessionManager(), ConversationManager(), FocusManager()):
            store.register(manager)
            for record in self._records[manager.kind]:
                manager.add(record)

    def turn(self, round: int) -> Mapping[str, Sequence[float]]:
        assert self._store is not None
        start = time.perf_counter()
        report = self._store.save_all()
        saved = time.perf_counter()
        self._store.flush()
        readable = time.perf_counter()
        assert report.items == sum(map(len, self._records.values()))
        return {OURS: [saved - start], READABLE: [readable - start]}

    def settle(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def close(self) -> None:
        self.settle()


class EncodedCold(Contestant):
    """A peer that encodes the same records and stores what that gives in a new place."""

    def __init__(
        self,
        name: str,
        place: Place,
        records: Records,
        store: Callable[[str, Records, cattrs.Converter], None],
        max_rounds: int | None = None,
    ) -> None:
        self.name, self._place, self._records, self._write = name, place, records, store
        self.max_rounds = max_rounds
        self._converter = plain_converter()
        self._folder = ""

    def prepare(self, round: int) -> None:
        self._folder = self._place.new(self.name)

    def turn(self, round: int) -> Mapping[str, Sequence[float]]:
        start = time.perf_counter()
        self._write(self._folder, self._records, self._converter)
        return {self.name: [time.perf_counter() - start]}


def _to_sqlite(folder: str, records: Records, converter: cattrs.Converter) -> None:
    peer = SqlitePeer(folder)
    peer.put_all(pair for kind in records for pair in encode_all(records[kind], converter))
    peer.close()


def _to_files(
    folder: str, records: Records, converter: cattrs.Converter, *, sync: bool = False
) -> None:
    for kind, some in records.items():
        path = os.path.join(folder, kind)
        os.mkdir(path, 0o700)
        for record in some:
            # As the store writes it: an envelope, one field per line.
            document = {"kind": kind, "schema": 1, "data": converter.unstructure(record)}
            data = orjson.dumps(document, option=orjson.OPT_INDENT_2)
            write_file(os.path.join(path, record.id + ".json"), data, sync=sync)
        if sync:
            sync_folder(path)
    if sync:
        sync_folder(folder)
    else:
        sync_file_system(folder)


class ColdSave(Case):
    """Everything is saved for the first time."""

    name = "cold-save"
    title = "save_all() of a new store of sessions, conversations and focus chains, a third each"
    usual_rounds = 5
    targets = (
        Target(OURS, SQLITE, 0.9),
        Target(OURS, EACH_SYNCED, 0.25),
        Target(READABLE, ONE_SYNC, 1.3),
    )

    def contestants(self) -> Sequence[Contestant]:
        numbers = range(self.scale.count(1000))
        records = {
            "sessions": [self.data.session(n) for n in numbers],
            "conversations": [self.data.conversation(n, MESSAGES) for n in numbers],
            "focus": [self.data.chain(n) for n in numbers],
        }
        self.notes.append(
            f"{3 * len(numbers):,} records in all; conversations have {MESSAGES} messages"
        )

        synced = partial(_to_files, sync=True)
        return [
            EncodedCold(SQLITE, self.place, records, _to_sqlite),
            SavedCold(self.place, records),
            EncodedCold(ONE_SYNC, self.place, records, _to_files),
            EncodedCold(EACH_SYNCED, self.place, records, synced, max_rounds=2),
        ]


class Loaded(Contestant):
    """Something that reads everything and keeps what it gives until the turn is over."""

    def __init__(self, name: str, load: Callable[[], Sequence[object]], count: int) -> None:
        self.name, self._load, self._count = name, load, count

    def turn(self, round: int) -> Mapping[str, Sequence[float]]:
        start = time.perf_counter()
        kept = self._load()
        seconds = time.perf_counter() - start
        assert len(kept) == self._count
        return {self.name: [seconds]}


class LoadedStore(Contestant):
    """The library: a store that was just opened loads everything into records."""

    def __init__(self, folder: str, count: int) -> None:
        self.name, self._folder, self._count = OURS, folder, count

    def turn(self, round: int) -> Mapping[str, Sequence[float]]:
        with Store(self._folder) as store:
            talks = store.register(ConversationManager())
            start = time.perf_counter()
            store.load_all(strict=True)
            seconds = time.perf_counter() - start
            assert len(talks) == self._count
        return {self.name: [seconds]}


class LoadAll(Case):
    """Everything is loaded; the files are in the memory of the system already."""

    name = "load"
    title = f"load_all() of conversations of {MESSAGES} messages into records"
    usual_rounds = 7
    targets = (Target(OURS, "orjson.loads", 1.6), Target(OURS, SQLITE, 1.0))

    def contestants(self) -> Sequence[Contestant]:
        count = self.scale.count(1000)
        records = [self.data.conversation(n, MESSAGES) for n in range(count)]
        self.notes.append(f"{count:,} conversations")
        folder = self.place.new(OURS)
        with Store(folder) as store:
            talks = store.register(ConversationManager())
            for record in records:
                talks.add(record)
        contents = []
        with os.scandir(os.path.join(folder, talks.kind)) as entries:
            for entry in entries:
                with open(entry.path, "rb") as file:
                    contents.append(file.read())
        converter = plain_converter()
        self._peer = peer = SqlitePeer(self.place.new(SQLITE))
        peer.put_all(encode_all(records, converter))
        structure = converter.get_structure_hook(Conversation)
        return [
            Loaded("orjson.loads", lambda: [orjson.loads(one) for one in contents], count),
            LoadedStore(folder, count),
            Loaded(
                SQLITE,
                lambda: [structure(orjson.loads(one), Conversation) for one in peer.values()],
                count,
            ),
        ]
