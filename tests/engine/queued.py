"""A driver in memory that queues commits, as one that syncs them together does; and a storm."""

import queue
import threading

import attrs

from statestore.drivers.memory import MemoryDriver
from statestore.errors import StateStoreError

LIMIT_S = 60  # only against a hang


class QueueingDriver(MemoryDriver):
    """Commits on a thread of its own, in batches, when its gate is open.

    `batches` are the numbers of commits made together. `answers` are errors for the next commits
    that change something, None for one that is made. `interrupt` raises KeyboardInterrupt in the
    next submit, "before" or "after" it is queued.
    """

    traits = attrs.evolve(MemoryDriver.traits, queues=True)

    def __init__(self):
        super().__init__()
        self.batches = []
        self.answers = []
        self.interrupt = None
        self.gate = threading.Event()
        self.gate.set()
        # No Semaphore: an interruption can leave its inner lock behind.
        self._queued = queue.SimpleQueue()
        self._queue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def submit(self, changes, expect, settle):
        self._want_open()
        if self.interrupt == "before":
            self.interrupt = None
            raise KeyboardInterrupt
        self._queue.put((changes, expect, settle))
        if self.interrupt == "after":
            self.interrupt = None
            raise KeyboardInterrupt
        self._queued.put(None)

    def wait_queued(self, count=1):
        for _ in range(count):
            self._queued.get(timeout=LIMIT_S)

    def forget_queued(self):
        while not self._queued.empty():
            self._queued.get()

    def close(self):
        super().close()
        self._queue.put(None)

    def _work(self):
        job = self._queue.get()
        while job is not None:
            self.gate.wait(LIMIT_S)
            batch = [job]
            while not self._queue.empty():
                batch.append(self._queue.get())
            job = None if batch[-1] is None else self._work_batch(batch)

    def _work_batch(self, batch):
        results = []
        for changes, expect, settle in batch:
            answer = self.answers.pop(0) if changes and self.answers else None
            if answer is None:
                try:
                    answer = self.commit(changes, expect)
                except StateStoreError as error:
                    answer = error
            results.append((settle, answer))
        self.batches.append(sum(bool(changes) for changes, _, _ in batch))
        for settle, answer in results:
            settle(answer)
        return self._queue.get()
