"""Workers in processes and threads of their own: each task is done once, by who has it last."""

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import attrs
import pytest

import statestore
from statestore import LeaseLost, Store
from statestore.managers import TaskManager
from statestore.models.changes import Put, apply_patch

WORKER = Path(__file__).with_name("queue_worker.py")
SESSION = "queue"


@attrs.define
class Worker:
    name: str
    process: subprocess.Popen

    def begin(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self, timeout_s=60):
        self.process.communicate(timeout=timeout_s)
        return self.process.returncode


@pytest.fixture
def start(tmp_path):
    workers = []

    def started(name, *more, script=str(WORKER)):
        root = os.path.dirname(os.path.dirname(statestore.__file__))
        process = subprocess.Popen(
            [sys.executable, *([script] if script == str(WORKER) else ["-c", script])]
            + [str(tmp_path / "state"), name, *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": root},
            text=True,
        )
        workers.append(Worker(name, process))
        return workers[-1]

    yield started
    for worker in workers:
        worker.process.kill()
        worker.process.communicate()


def opened(tmp_path):
    store = Store(tmp_path / "state")
    tasks = store.register(TaskManager())
    store.load_all()
    return store, tasks


def fill(tmp_path, count):
    store, tasks = opened(tmp_path)
    with store:
        tasks.add_tasks(SESSION, [f"task {number}" for number in range(count)])
        store.save_all()


def states(store):
    """Return all that each task has been, as its commits tell."""
    found = {}
    for commit in store._engine.driver.changes(0):
        for change in commit.changes:
            known = found.setdefault(change.key.id, [])
            before = known[-1] if known else None
            known.append(
                change.document if isinstance(change, Put) else apply_patch(before, change)
            )
    return found


def check(tmp_path, count, dead):
    """Make sure that each task was done once, by the last who had it; return the takeovers."""
    store, tasks = opened(tmp_path)
    with store:
        history = states(store)
        assert len(tasks) == len(history) == count
        taken_over = []
        for task in tasks:
            leases = [one["lease"] for one in history[task.id] if one["lease"] is not None]
            tokens = list(dict.fromkeys(lease["token"] for lease in leases))
            statuses = [one["status"] for one in history[task.id]]
            names = {lease["token"]: lease["worker"] for lease in leases}
            assert task.status == "succeeded"
            assert statuses.count("succeeded") == 1
            assert task.result == {"token": tokens[-1], "worker": names[tokens[-1]]}
            assert task.attempts == len(tokens)
            assert task.lease is None
            assert len(task.logs) == len(tokens) - 1
            taken_over += [names[token] for token in tokens[:-1]]
        assert set(taken_over) <= dead
        return taken_over


def test_what_a_killed_process_has_claimed_goes_to_exactly_one_other(start, tmp_path):
    fill(tmp_path, 40)
    deaths = {"a": "claims:1", "b": "claims:4", "c": "s:0.15"}
    workers = [start(name, deaths.get(name, "")) for name in "abcdef"]
    for worker in workers:
        assert worker.process.stdout.readline() == "ready\n"

    for worker in workers:
        worker.begin()
    ends = {worker.name: worker.end() for worker in workers}

    assert [ends[name] for name in "def"] == [0, 0, 0]
    assert ends["a"] == -signal.SIGKILL
    taken_over = check(tmp_path, 40, {name for name, end in ends.items() if end})
    assert "a" in taken_over
