"""Cases of small changes: of one record, of many threads, of one record among many."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from statestore import Store
from statestore.managers import Session, SessionManager
from tests.bench.case import OURS, Case
from tests.bench.counting import Counted
from tests.bench.data import plain_converter
from tests.bench.limits import WriteAndSync
from tests.bench.measuring import Contestant, Target, timed
from tests.bench.peers import (
    FILE,
    LMDB,
    NO_LMDB,
    SQLITE,
    FilePeer,
    LmdbPeer,
    Peer,
    SqlitePeer,
    lmdb,
)

THREADS = 8


class ChangedValue(Contestant):
    """A peer that is given the whole record, as JSON of a plain dict, at each change."""

    def __init__(self, name: str, peer: Peer, document: dict[str, Any], burst: int) -> None:
        self.name, self._peer, self._document, self._burst = name, peer, document, burst
        self._number = 0

    def turn(self, round: int) -> Mapping[str, Sequence[float]]:
        def change(number: int) -> None:
            self._number += 1
            self._document["name"] = f"change {self._number}"
            self._peer.put(self._document["id"], orjson.dumps(self._document))

        return {self.name: timed(change, self._burst)}

    def close(self) -> None:
        self._peer.close()


class ChangedRecord(Contestant):
    """The library, with a store that makes each change durable at once."""

    def __init__(self, name: str, folder: str, record: Session, burst: int) -> None:
        self.name, self._burst = name, burst
        self._store = Store(folder, autosave="on-change")
        self._sessions = self._store.register(SessionManager())
        self._id = self._sessions.add(record).id
        self._number = 0

    def turn(self, round: int) -> Mapping[str, Sequence[float]]:
        def change(number: int) -> None:
            self._number += 1
            self._sessions.update(self._id, name=f"change {self._number}")

        return {self.name: timed(change, self._burst)}

    def settle(self) -> None:
        self._store.flush()

    def close(self) -> None:
        self._store.close()


class ChangeOfOne(Case):
    """A change of one record, durable when the call returns."""

    name = "change"
    title = 'a session of 1 KB is changed, autosave="on-change"'
    targets = (
        Target(OURS, "limit", 1.4),
        Target(OURS, SQLITE, 1.0),
        Target(OURS, LMDB, 1.0),
        Target(OURS, FILE, 0.5),
    )

    def contestants(self) -> Sequence[Contestant]:
        session, burst = self.data.session(0), self.scale.burst
        document = plain_converter().unstructure(session)
        whole = orjson.dumps(document)
        peers: list[tuple[str, Callable[[str], Peer]]] = [(SQLITE, SqlitePeer), (FILE, FilePeer)]
        if lmdb is None:
            self.notes.append(NO_LMDB)
        else:
            peers.append((LMDB, LmdbPeer))
        return [
            WriteAndSync(self.place.new("limit"), lambda number: whole, burst),
            ChangedRecord(OURS, self.place.new(OURS), session, burst),
            *(
                ChangedValue(name, make(self.place.new(name)), dict(document), burst)
                for name, make in peers
            ),
        ]


class Threaded(Contestant):
    """Threads that change each its own record; the time is that of all by the number of changes."""

    def __init__(self, name: str, changes: Sequence[Callable[[int], object]], burst: int) -> None:
        self.name, self._changes, self._burst = name, changes, burst

    def turn(self, round: int) -> Mapping[str, Sequence[float]]:
        barrier = threading.Barrier(len(self._changes) + 1)
        failures: list[Exception] = []

        def work(change: Callable[[int], object]) -> None:
            barrier.wait()
            try:
                for number in range(self._burst):
                    change(number)
            except Exception as error:  # noqa: BLE001 # raised again in the main thread
                failures.append(error)

        threads = [threading.Thread(target=work, args=(one,)) for one in self._changes]
        for thread in threads:
            thread.start()
        barrier.wait()
        start = time.perf_counter()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - start
        if failures:
            raise failures[0]
        return {self.name: [seconds / (len(threads) * self._burst)]}


class ThreadedStore(Threaded):
    """The library, one store for all threads."""

    def __init__(self, folder: str, records: Sequence[Session], burst: int) -> None:
        self._store = Store(folder, autosave="on-change")
        sessions = self._store.register(SessionManager())
        ids = [sessions.add(record).id for record in records]
        super().__init__(OURS, [_updating(sessions, id) for id in ids], burst)
        self._counted = Counted()
        self._made = 0

    def turn(self, round: int) -> Mapping[str, Sequence[float]]:
        with self._counted.watching():
            measured = super().turn(round)
        self._made += len(self._changes) * self._burst
        return measured

    def settle(self) -> None:
        self._store.flush()

    def metrics(self) -> Mapping[str, float]:
        data, whole = self._counted.syncs("fdatasync"), self._counted.syncs("fsync")
        return {
            "changes per sync": self._made / max(1, data or whole),
            "fdatasync calls per change": data / self._made,
            "fsync calls per change": whole / self._made,
        }

    def close(self) -> None:
        self._store.close()


def _updating(sessions: SessionManager, id: str) -> Callable[[int], object]:
    numbers = iter(range(1 << 60))
    return lambda _: sessions.update(id, name=f"change {next(numbers)}")


class ThreadedPeers(Threaded):
    """A peer, an opening of its own for each thread where it wants that."""

    def __init__(
        self, name: str, peers: Sequence[Peer], documents: Sequence[dict[str, Any]], burst: int
    ) -> None:
        pairs = zip(peers, documents, strict=True)
        super().__init__(name, [_putting(*pair) for pair in pairs], burst)
        self._peers = peers

    def close(self) -> None:
        for peer in self._peers:
            peer.close()


def _putting(peer: Peer, document: dict[str, Any]) -> Callable[[int], object]:
    numbers = iter(range(1 << 60))

    def put(_: int) -> None:
        document["name"] = f"change {next(numbers)}"
        peer.put(document["id"], orjson.dumps(document))

    return put


class ChangesByThreads(Case):
    """Changes by many threads at once, each durable when its call returns."""

    name = "threads"
    title = f"{THREADS} threads change each its own session; the time is per change"
    targets = (
        Target(OURS, "changes per sync", 4.0, at_least=True),
        Target(OURS, SQLITE, 0.4),
    )

    def contestants(self) -> Sequence[Contestant]:
        records = [self.data.session(number) for number in range(THREADS)]
        converter, burst = plain_converter(), self.scale.burst
        sqlite, files = self.place.new(SQLITE), self.place.new(FILE)

        def documents() -> list[dict[str, Any]]:
            return [converter.unstructure(record) for record in records]

        return [
            ThreadedStore(self.place.new(OURS), records, burst),
            ThreadedPeers(SQLITE, [SqlitePeer(sqlite) for _ in records], documents(), burst),
            ThreadedPeers(FILE, [FilePeer(files) for _ in records], documents(), burst),
        ]


class OneDirty(Contestant):
    """The library, saving a store of many records of which one was changed."""

    def __init__(self, name: str, folder: str, records: Sequence[Session], burst: int) -> None:
        self.name, self._burst = name, burst
        self._store = Store(folder)
        self._sessions = self._store.register(SessionManager())
        for record in records:
            self._sessions.add(record)
        self._store.save_all()
        self._store.flush()
        self._ids = self._sessions.ids()
        self._number = 0

    def turn(self, round: int) -> Mapping[str, Sequence[float]]:
        def change(number: int) -> None:
            self._number += 1
            id = self._ids[self._number * 7919 % len(self._ids)]
            self._sessions.update(id, name=f"change {self._number}")
            self._store.save_all()

        return {self.name: timed(change, self._burst)}

    def settle(self) -> None:
        self._store.flush()

    def close(self) -> None:
        self._store.close()


class SaveOfOneDirty(Case):
    """A save of a large store in which one record was changed."""

    name = "one-dirty"
    targets = (Target(OURS, "one durable change", 1.2),)

    title = "a session is changed and save_all() called, all other records are clean"

    def contestants(self) -> Sequence[Contestant]:
        burst, single = self.scale.burst, self.data.session(0)
        whole = orjson.dumps(plain_converter().unstructure(single))
        records = [self.data.session(n) for n in range(self.scale.count(10_000))]
        self.notes.append(f"{len(records):,} records in all")
        return [
            WriteAndSync(self.place.new("limit"), lambda number: whole, burst),
            ChangedRecord("one durable change", self.place.new("single"), single, burst),
            OneDirty(OURS, self.place.new(OURS), records, burst),
        ]
