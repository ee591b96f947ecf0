"""Cases of a process that follows what others change."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence

from statestore import Store
from statestore.managers import SessionManager
from tests.bench.case import OURS, Case
from tests.bench.measuring import Contestant, Target, timed
from tests.bench.working import Worker

READ_ONLY = f"{OURS}, read_only"
BY_REFRESH, BY_WATCH = f"{OURS}, refresh() in a loop", f"{OURS}, watch()"
RECORDS = 100
WATCH_S = 0.05
_LOOK_S = 0.0001
_LONGEST_S = 30.0


class _Following(Contestant):
    """A store that is open here, of which another process has one session."""

    def __init__(
        self, name: str, folder: str, records: Sequence[object], burst: int, *, read_only: bool
    ) -> None:
        self.name, self._burst = name, burst
        with Store(folder) as store:
            sessions = store.register(SessionManager())
            for record in records:
                sessions.add(record)
        self._worker = Worker(OURS, folder, len(records))
        self._store = Store(folder, read_only=read_only)
        self._sessions = self._store.register(SessionManager())
        self._store.load_all(strict=True)

    def settle(self) -> None:
        self._worker.tell("settle")
        self._worker.answer()

    def close(self) -> None:
        self._store.close()
        self._worker.close()


class Refreshed(_Following):
    """Refreshes that find nothing new."""

    def turn(self, round: int) -> Mapping[str, Sequence[float]]:
        self._worker.tell(f"change 1 round {round}")
        self._worker.answer()
        self.settle()
        self._store.refresh()
        return {self.name: timed(lambda _: self._store.refresh(), self._burst)}


class RefreshOfNothing(Case):
    """A refresh where no process has changed anything since the last one."""

    name = "refresh"
    title = "refresh() finds nothing new, another process has the store open"
    targets = (Target(OURS, None, 20e-6), Target(READ_ONLY, None, 20e-6))

    def contestants(self) -> Sequence[Contestant]:
        records = [self.data.session(number) for number in range(self.scale.count(RECORDS))]
        burst = 4 * self.scale.burst
        return [
            Refreshed(name, self.place.new(OURS), records, burst, read_only=name == READ_ONLY)
            for name in (OURS, READ_ONLY)
        ]


class Seen(_Following):
    """Times from the end of another process's change until it is seen here."""

    def __init__(
        self, name: str, folder: str, records: Sequence[object], burst: int, *, watch: bool
    ) -> None:
        super().__init__(name, folder, records, burst, read_only=False)
        self._store.refresh()
        self._handle = self._store.watch(WATCH_S) if watch else None
        self._random = random.Random(1)

    def turn(self, round: int) -> Mapping[str, Sequence[float]]:
        look: Callable[[], object] = self._store.refresh
        if self._handle is not None:
            look = _a_little_later
        return {self.name: [self._seen(f"{round}.{n}", look) for n in range(self._burst)]}

    def _seen(self, name: str, look: Callable[[], object]) -> float:
        """Return the seconds that it took; none where it was seen before its call had returned."""
        # At any time between two looks of watch(), not always just after one.
        time.sleep(self._random.uniform(0.0, WATCH_S))
        until = time.monotonic() + _LONGEST_S
        self._worker.tell(f"change 1 {name}")
        while self._sessions[self._worker.id].name != f"{name}.0":
            look()
            if time.monotonic() > until:
                raise RuntimeError(f"a change was not seen within {_LONGEST_S:g} s")
        seen = time.monotonic()
        return max(seen - self._worker.answer()["at"], 0.0)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        super().close()


def _a_little_later() -> None:
    time.sleep(_LOOK_S)


class SeenElsewhere(Case):
    """How soon the durable change of a process is seen by another one."""

    name = "seen"
    title = "from the end of another process's durable change until this one sees it"
    targets = ()

    def contestants(self) -> Sequence[Contestant]:
        records = [self.data.session(number) for number in range(self.scale.count(RECORDS))]
        burst = self.scale.burst
        return [
            Seen(name, self.place.new(OURS), records, burst, watch=name == BY_WATCH)
            for name in (BY_REFRESH, BY_WATCH)
        ]
