"""Cases of several processes that change records in one place at once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence

from tests.bench.case import OURS, Case
from tests.bench.measuring import Contestant, Target
from tests.bench.peers import LMDB, NO_LMDB, SQLITE, lmdb
from tests.bench.slow_disk import ADDED_MS, NO_COMPILER, slower_disk
from tests.bench.working import Worker

PROCESSES = 4


class ChangingProcesses(Contestant):
    """Processes that change each its own session; the time is that of all by all changes."""

    def __init__(
        self, name: str, folder: str, burst: int, environment: Mapping[str, str] | None
    ) -> None:
        """Begin the processes, one after the other, all with the same folder."""
        self.name, self._burst = name, burst
        self._workers: list[Worker] = []
        self._made = self._syncs = 0
        try:
            for number in range(PROCESSES):
                self._workers.append(Worker(name, folder, number, environment))
        except BaseException:
            self.close()
            raise

    def turn(self, round: int) -> Mapping[str, Sequence[float]]:
        start = time.perf_counter()
        answers = self._all(f"change {self._burst} round {round}")
        seconds = time.perf_counter() - start
        made = len(answers) * self._burst
        self._made += made
        self._syncs += sum(answer["syncs"] for answer in answers)
        return {self.name: [seconds / made]}

    def settle(self) -> None:
        self._all("settle")

    def metrics(self) -> Mapping[str, float]:
        # What the others sync by they do not call through Python.
        return {"changes per sync": self._made / self._syncs} if self._syncs else {}

    def _all(self, order: str) -> Sequence[Mapping[str, float]]:
        for worker in self._workers:
            worker.tell(order)
        return [worker.answer() for worker in self._workers]

    def close(self) -> None:
        for worker in self._workers:
            worker.close()


class ChangesByProcesses(Case):
    """Changes by several processes at once, each durable when its call returns."""

    name = "processes"
    title = f"{PROCESSES} processes change each its own session; the time is per change"
    targets = (Target(OURS, SQLITE, 1 / 1.3), Target(OURS, LMDB, 1 / 1.3))

    def contestants(self) -> Sequence[Contestant]:
        return self._beside(4 * self.scale.burst, None)

    def _beside(self, burst: int, environment: Mapping[str, str] | None) -> Sequence[Contestant]:
        names = [OURS, SQLITE, LMDB]
        if lmdb is None:
            names.remove(LMDB)
            self.notes.append(NO_LMDB)
        with contextlib.ExitStack() as stack:
            made = []
            for name in names:
                one = ChangingProcesses(name, self.place.new(name), burst, environment)
                stack.callback(one.close)
                made.append(one)
            stack.pop_all()
        return made


class ChangesOnSlowDisk(ChangesByProcesses):
    """The same on a disk that takes its time to sync."""

    name = f"processes-{ADDED_MS}ms"
    title = f"the same as processes, with {ADDED_MS} ms added to every sync"

    def contestants(self) -> Sequence[Contestant]:
        environment = slower_disk(self.place.new("slower"))
        if environment is None:
            self.notes.append(NO_COMPILER)
            return []
        return self._beside(self.scale.burst, environment)
