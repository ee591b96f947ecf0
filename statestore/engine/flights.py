"""Flights: commits on their way to the store, and the books that are kept when they land."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final, TypeAlias

from statestore.engine.queueing import Result, Submit
from statestore.errors import CommitRefused, PartialCommit, StateStoreError
from statestore.models.changes import Change, Commit
from statestore.models.keys import Key, Revision
from statestore.models.managed import Pending
from statestore.models.reports import Failure

Done: TypeAlias = Sequence[tuple[Pending, Revision]]

LOST: Final = StateStoreError("the commit was never made: who asked for it was interrupted")
"""The result of a flight that never left."""


class Flight:
    """Changes on their way to the store.

    `keys` are the records that it concerns, `pending` the changes of them. `result` is there when
    somebody who waits for it goes on.
    """

    __slots__ = (
        "flights",
        "is_chased",
        "is_offered",
        "is_sent",
        "keys",
        "latch",
        "pending",
        "result",
    )

    def __init__(
        self, flights: Flights, keys: Collection[Key] = (), pending: Mapping[Key, Pending] = {}
    ) -> None:
        """Carry changes. Nobody knows of it yet."""
        self.keys, self.pending = keys, pending
        self.result: Result | None = None
        self.is_offered = self.is_sent = self.is_chased = False
        self.flights = flights
        # A plain lock, released when it has landed: between taking and leaving it by `with` no
        # signal is handled, while the inner lock of an Event could be left behind.
        self.latch = threading.Lock()
        self.latch.acquire()

    def wait(self) -> None:
        """Return when it has landed or is known to be lost. Call it without a manager's lock."""
        if not self.is_sent and self.result is None:
            self.flights.recover(self)
        with self.latch:
            pass

    def done(self, result: Result) -> Done:
        """Return the changes that a result says are made, with their revisions."""
        commit, failed = commit_of(result), frozenset[Key | None]()
        if commit is None:
            return ()
        if isinstance(result, PartialCommit):
            failed = frozenset(failure.key for failure in failures_of(result))
        revisions = commit.revisions
        return [
            (one, revisions.get(key, one.expected))
            for key, one in self.pending.items()
            if key not in failed
        ]

    def has_made(self, key: Key) -> bool:
        """Say whether it made its change of a record. It has landed."""
        if isinstance(self.result, PartialCommit):
            return all(failure.key != key for failure in failures_of(self.result))
        return isinstance(self.result, Commit)

    def book(self, result: Result, saved: Callable[[Pending, Revision], None]) -> None:
        """Note what a result means for the records. It must be quick."""
        for one, revision in self.done(result):
            saved(one, revision)


class Flights:
    """All commits on their way, and which records they concern.

    Plans are made by whoever has the turn. So a flight that was not sent, found by the holder of
    the turn, belongs to somebody who was interrupted. Landing needs no turn: it happens on a thread
    of the driver, whether or not anybody still waits.
    """

    def __init__(
        self,
        submit: Submit,
        turn: AbstractContextManager[Any],
        saved: Callable[[Pending, Revision], None],
    ) -> None:
        """Begin with none. `saved` is called for each change that was made."""
        self._submit = submit
        self._turn = turn
        self._saved = saved
        self._books = threading.RLock()  # the handler of a signal may come back to it
        self._carriers: dict[str, dict[str, Flight]] = {}
        self._unsettled: dict[Flight, None] = {}

    def carried(self, kind: str) -> Mapping[str, Flight]:
        """Return which flights concern which ids of a kind. The turn is held."""
        if not self._carriers.get(kind):
            return {}
        for flight in list(self._unsettled):
            if not flight.is_sent:
                self.recover(flight)
        with self._books:
            return dict(self._carriers[kind])

    def start(self, pending: Mapping[Key, Pending]) -> Flight:
        """Send changes of managers on their way. The turn is held."""
        flight = Flight(self, pending, pending)
        self.announce(flight)
        expect = {key: one.expected for key, one in pending.items()}
        self.send(flight, [one.change for one in pending.values()], expect)
        return flight

    def announce(self, flight: Flight) -> None:
        """Note which records a flight concerns, before it is sent. The turn is held."""
        with self._books:
            self._unsettled[flight] = None
            for key in flight.keys:
                self._carriers.setdefault(key.kind, {})[key.id] = flight

    def send(
        self, flight: Flight, changes: Sequence[Change], expect: Mapping[Key, Revision]
    ) -> None:
        """Give the changes of a flight to the driver. The turn is held."""
        flight.is_offered = True
        try:
            self._submit(changes, expect, partial(self._land, flight))
        except StateStoreError as error:
            self._land(flight, error)
        flight.is_sent = True

    def cancel(self, flight: Flight) -> None:
        """Take back a flight that was announced and not sent. The turn is held."""
        self._land(flight, LOST)

    def run(self, changes: Sequence[Change], expect: Mapping[Key, Revision]) -> Commit:
        """Commit changes that no manager asks for, and return when they are durable.

        Raises:
            CommitRefused, PartialCommit, StateStoreError: as the driver says.
        """
        with self._turn:
            flight = Flight(self)
            self.announce(flight)
            self.send(flight, changes, expect)
        flight.wait()
        if isinstance(flight.result, Commit):
            return flight.result
        raise flight.result or LOST

    def wait_for_all(self) -> None:
        """Return when no commit is on its way. With the turn held none sets out meanwhile."""
        for flight in list(self._unsettled):
            flight.wait()

    def recover(self, flight: Flight) -> None:
        """Find out what becomes of a flight that was not sent: its owner was interrupted."""
        with self._turn:
            if flight.is_sent or flight.result is not None or flight.is_chased:
                return
            if not flight.is_offered:
                self._land(flight, LOST)
                return
            # Did the driver get it? Commits are made in their order: if it has not landed before
            # this empty one does, it never left.
            try:
                self._submit((), {}, lambda _: self._land(flight, LOST))
            except StateStoreError:
                self._land(flight, LOST)
            flight.is_chased = True

    def leave_to_parent(self, error: StateStoreError) -> None:
        """Let nobody wait, in a forked child: what is on its way is the parent's."""
        for flight in list(self._unsettled):
            if flight.result is None:  # a signal's handler may have forked while it was waited for
                flight.result = error
                flight.latch.release()

    def _land(self, flight: Flight, result: Result) -> None:
        if result is LOST and flight.result is not None:
            return
        try:
            flight.book(result, self._saved)
        except Exception as error:  # noqa: BLE001 # who waits has to be woken, and is told
            result = error
        with self._books:
            for key in flight.keys:
                carriers = self._carriers.get(key.kind, {})
                if carriers.get(key.id) is flight:
                    del carriers[key.id]
            self._unsettled.pop(flight, None)
            if flight.result is None:
                # In a row: no signal comes between them.
                flight.result = result
                flight.latch.release()


def commit_of(result: Result | None) -> Commit | None:
    """Return the commit that a flight came to, at least in part."""
    if isinstance(result, PartialCommit):
        result = result.commit
    return result if isinstance(result, Commit) else None


def failures_of(error: CommitRefused | PartialCommit) -> list[Failure]:
    """Return for which keys a driver refused, and why."""
    return [failure for failure in error.failures if isinstance(failure, Failure)]
