"""Workers in processes and threads of their own: each task is done once, by who has it last."""

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

import statestore
from statestore import Store
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

    def started(name, *more, script=(str(WORKER),)):
        root = os.path.dirname(os.path.dirname(statestore.__file__))
        process = subprocess.Popen(
            [sys.executable, *script, str(tmp_path / "state"), name, *more],
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

    workers[0].begin()
    assert workers[0].end() == -signal.SIGKILL
    for worker in workers[1:]:
        worker.begin()
    ends = {worker.name: worker.end() for worker in workers[1:]}

    assert [ends[name] for name in "def"] == [0, 0, 0]
    ends["a"] = -signal.SIGKILL
    taken_over = check(tmp_path, 40, {name for name, end in ends.items() if end})
    assert "a" in taken_over


SLOW = """
import sys
from statestore import LeaseLost, Store
from statestore.managers import TaskManager

store = Store(sys.argv[1], source=sys.argv[2])
tasks = store.register(TaskManager())
task = tasks.claim("queue", worker=sys.argv[2], lease_s=60)
print(task.id, flush=True)
sys.stdin.readline()
for operation in (tasks.complete, lambda task: tasks.extend(task, 60)):
    try:
        operation(task)
    except LeaseLost as lost:
        print(lost.holder, flush=True)
store.close()
"""


def test_a_stopped_worker_loses_its_task_past_its_time_and_is_told_when_it_goes_on(start, tmp_path):
    fill(tmp_path, 1)
    slow = start("slow", script=("-c", SLOW))
    id = slow.process.stdout.readline().strip()
    os.kill(slow.process.pid, signal.SIGSTOP)
    store = Store(tmp_path / "state")
    tasks = store.register(TaskManager(clock=lambda: datetime.now(UTC) + timedelta(hours=1)))
    with store:
        task = tasks.claim(SESSION, worker="fast")
        assert (task.id, task.attempts) == (id, 2)

        os.kill(slow.process.pid, signal.SIGCONT)
        slow.begin()
        told = [slow.process.stdout.readline() for _ in range(2)]

        assert told == ["fast\n", "fast\n"]
        assert slow.end() == 0
        store.refresh()
        assert tasks[id] == task
        assert tasks.complete(task, "done").status == "succeeded"


def test_a_stopped_worker_without_a_time_keeps_its_task(start, tmp_path):
    fill(tmp_path, 1)
    slow = start("slow", script=("-c", SLOW.replace("s=60", "s=None")))
    id = slow.process.stdout.readline().strip()
    os.kill(slow.process.pid, signal.SIGSTOP)
    store = Store(tmp_path / "state")
    tasks = store.register(TaskManager(clock=lambda: datetime.now(UTC) + timedelta(hours=1)))
    with store:
        assert tasks.claim(SESSION) is None

        os.kill(slow.process.pid, signal.SIGKILL)
        slow.process.wait(60)

        assert tasks.claim(SESSION, worker="fast").id == id


def test_a_session_goes_on_after_its_process_was_killed_between_tasks(start, tmp_path):
    fill(tmp_path, 3)
    worker = start("a", "claims:2")
    assert worker.process.stdout.readline() == "ready\n"
    worker.begin()
    assert worker.end() == -signal.SIGKILL
    store, tasks = opened(tmp_path)
    with store:
        first, second, third = tasks.queue_of(SESSION)
        assert (first.status, second.status, third.status) == ("succeeded", "running", "pending")

        report = tasks.resume_session(SESSION)

        assert [task.id for task in report.resumed] == [second.id]
        done = tasks.run_all(SESSION, lambda task: task.title)
        assert [task.id for task in done.completed] == [second.id, third.id]
        assert tasks[first.id] == first


@pytest.mark.parametrize("place", ["directory", "memory", None])
def test_threads_end_each_task_once(tmp_path, place):
    tasks = TaskManager()
    store = None
    if place is not None:
        store = Store("memory:" if place == "memory" else tmp_path / "state")
        store.register(tasks)
    tasks.add_tasks(SESSION, [str(number) for number in range(60)])
    done, errors, lock, gate = [], [], threading.Lock(), threading.Barrier(6)

    def work(name):
        try:
            gate.wait(30)
            while (task := tasks.claim(SESSION, worker=name)) is not None:
                tasks.complete(task, task.lease.token)
                with lock:
                    done.append((task.id, task.lease.token))
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert errors == []
    assert sorted(done) == sorted((task.id, task.result) for task in tasks)
    assert len(done) == 60
    assert {task.attempts for task in tasks} == {1}
    if store is not None:
        store.close()


FORKED = """
import os
import sys
from statestore import Store
from statestore.managers import TaskManager

store = Store(sys.argv[1])
tasks = store.register(TaskManager())
own = tasks.claim("queue", worker="parent")
child = os.fork()
if child == 0:
    tasks.claim("queue", worker="child")
    os._exit(0 if tasks.claim("queue") is None else 1)
status = os.waitpid(child, 0)[1]
again = tasks.claim("queue", worker="parent")
print(status, again.attempts, again.lease.run == own.lease.run, tasks.complete(own).status)
"""


def test_what_a_forked_child_has_claimed_is_over_with_the_child_alone(start, tmp_path):
    fill(tmp_path, 2)

    told, _ = start("parent", script=("-c", FORKED)).process.communicate(timeout=60)

    assert told == "0 2 True succeeded\n"
