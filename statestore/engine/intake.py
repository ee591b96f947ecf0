"""Intake: what is stored becomes the live records of managers, whole or by what is new."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from statestore.drivers.driver import Clock, Driver
from statestore.engine.collecting import collector_paused
from statestore.engine.flights import Flights
from statestore.engine.loading import Read, read
from statestore.engine.refreshing import News, Refresher
from statestore.engine.settling import Settler
from statestore.errors import Conflict, HistoryPruned, RecordNotFound
from statestore.models.keys import Key, Revision
from statestore.models.managed import Loaded, RecordManager
from statestore.models.reports import Failure, LoadReport


class Intake:
    """Reads what is stored for managers. Any thread may use it; its calls take turns."""

    def __init__(
        self,
        driver: Driver,
        managers: Mapping[str, RecordManager],
        flights: Flights,
        turn: AbstractContextManager[Any],
        refresher: Refresher,
        settler: Settler,
        *,
        clock: Clock,
        format: Callable[[], str],
    ) -> None:
        """Read from `driver` while `turn` is held. `format` is what reports name."""
        self._driver, self._managers, self._flights = driver, managers, flights
        self._turn, self._refresher, self._settler = turn, refresher, settler
        self._clock, self._format = clock, format

    def knows(self, kind: str) -> bool:
        """Say whether a kind was ever loaded."""
        return self._refresher.is_known(kind)

    def load(self, kinds: Sequence[str], *, discard: bool) -> LoadReport:
        """Read kinds whole, as one commit has left them; what cannot be read is in the report.

        Args:
            discard: drop unsaved changes; without it they stay and are in `report.kept`.
        """
        with self._turn:
            started = time.monotonic()
            failures: list[Failure] = []
            notes: list[str] = []
            self._flights.wait_for_all()
            try:
                before = self._refresher.look()
            except HistoryPruned:
                before = self._driver.catch_up()
            chosen = [self._managers[kind] for kind in kinds]
            with collector_paused(all_stay=True):
                found = read(self._driver, chosen, failures, notes)
            kept = [key for one in found for key in one.adopt(discard=discard)]
            kinds_read = [one.manager.kind for one in found]
            self._refresher.loaded(kinds_read, before, _overtaken(found, kept), failures)
            try:
                # What was committed while one was reading, or a transaction could be half here.
                news = self._refresher.bring_in(kinds)
            except HistoryPruned:  # the next refresh reads all again
                news = News()
            told = {failure.key for failure in failures}
            failures += [failure for failure in news.failures if failure.key not in told]
            return LoadReport(
                path=self._driver.path,
                format=self._format(),
                items=sum(one.items for one in found),
                size_bytes=sum(one.size_bytes for one in found),
                timestamp=self._clock(),
                duration_s=time.monotonic() - started,
                failures=tuple(failures),
                notes=tuple(notes),
                kept=tuple(dict.fromkeys((*kept, *news.kept))),
            )

    def refresh(self, kinds: Sequence[str] | None = None) -> LoadReport | None:
        """Read what others have committed since the last look, and kinds that were never loaded.

        Args:
            kinds: those of some managers; by default of all.
        Returns:
            None where there was nothing.
        """
        if self._refresher.is_current(self._driver.catch_up()):
            return None
        with self._turn:
            started = time.monotonic()
            wanted = list(self._managers) if kinds is None else kinds
            known = [kind for kind in wanted if self._refresher.is_known(kind)]
            fresh = [kind for kind in wanted if kind not in known]
            try:
                news = self._refresher.bring_in(known) if known else News()
            except HistoryPruned:
                fresh, news = list(wanted), News()
            loaded = self.load(fresh, discard=False) if fresh else None
            deleted = sum(1 for one in news.changes if one.after is None)
            kept = (*(loaded.kept if loaded else ()), *news.kept)
            return LoadReport(
                path=self._driver.path,
                format=self._format(),
                items=len(news.changes) - deleted + news.items + (loaded.items if loaded else 0),
                size_bytes=loaded.size_bytes if loaded else 0,
                timestamp=self._clock(),
                duration_s=time.monotonic() - started,
                failures=(*(loaded.failures if loaded else ()), *news.failures),
                notes=loaded.notes if loaded else (),
                kept=tuple(dict.fromkeys(kept)),
                deleted=deleted,
                changes=tuple(news.changes),
            )

    def renew(self, key: Key, policy: str) -> None:
        """Let the manager of a record know its newest state.

        Args:
            policy: what is done where there is an unsaved change of it, too. See `Settler`.
        Raises:
            Conflict: that change contradicts what is stored.
            StateStoreError: the record cannot be read.
        """
        is_current = self._refresher.is_current(self._driver.catch_up())
        if (is_current and not self._refresher.is_unread(key)) or self._is_renewed(key):
            return
        known, found = self._managers[key.kind].known(key.id), self._found(key)
        if found == known:
            return  # it was kept as it is unsaved, and nobody has changed it
        conflict = Conflict(key.kind, key.id, known, found)
        unsettled: list[Failure] = []
        if self._settler.settle(Failure(key, "save", conflict), policy, unsettled) is None:
            raise unsettled[0].error

    def newest(self, key: Key) -> Loaded | None:
        """Return a record as it is stored now; None if there is none. See `Owner.newest`."""
        with self._turn:
            return self._refresher.newest(key)

    def _is_renewed(self, key: Key) -> bool:
        while True:
            with self._turn:
                flight = self._flights.carried(key.kind).get(key.id)
                if flight is None:
                    try:
                        return self._refresher.renew(key)
                    except HistoryPruned:
                        return key not in self.load([key.kind], discard=False).kept
            flight.wait()  # what another thread makes of it is the newest, or in conflict

    def _found(self, key: Key) -> int:
        try:
            return self._driver.read(key).revision
        except RecordNotFound:
            return 0


def _overtaken(found: Iterable[Read], kept: Iterable[Key]) -> dict[Key, Revision]:
    """Return which records that were kept are stored otherwise by now, and at which revision."""
    read = {one.manager.kind: one for one in found}
    overtaken: dict[Key, Revision] = {}
    for key in kept:
        one = read[key.kind]
        known, stored = one.manager.known(key.id), one.loaded.get(key.id)
        if key.id not in one.unread and known != (0 if stored is None else stored.revision):
            overtaken[key] = known + 1 if stored is None else stored.revision
    return overtaken
