"""Several processes on one directory store: nothing acknowledged is lost, nothing is torn."""

import os
import subprocess
import sys
import textwrap
import threading

import pytest

from statestore import Store
from statestore.managers import TaskManager

SCRIPT = """
    import sys
    from statestore import SaveFailed, Store
    from statestore.managers import TaskManager

    path, role, turns = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with Store(path) as store:
        tasks = store.register(TaskManager())
        for turn in range(turns):
            if role == "convert":
                store.convert(("yaml", "json")[turn % 2])
            elif role == "own":
                tasks.create(str(turn), id=f"{sys.argv[4]}-{turn}")
                store.save_all()
            else:  # one record, changed by all
                while True:
                    store.load_all(discard=True)
                    if "shared" in tasks:
                        tasks.update("shared", title=str(int(tasks["shared"].title) + 1))
                    else:
                        tasks.create("1", id="shared")
                    try:
                        store.save_all()
                    except SaveFailed:
                        continue
                    break
"""


@pytest.fixture
def run(tmp_path):
    """Run processes side by side, each with its role, turns and name."""
    script = tmp_path / "work.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def run(*roles):
        processes = [
            subprocess.Popen(
                [sys.executable, str(script), str(tmp_path / "store"), *map(str, role)],
                env=environment,
            )
            for role in roles
        ]
        try:
            assert [process.wait(100) for process in processes] == [0] * len(processes)
        finally:
            for process in processes:
                process.kill()
                process.wait()

    return run


@pytest.fixture
def opened(tmp_path):
    store = Store(tmp_path / "store")
    yield lambda: (store, store.register(TaskManager()), store.load_all())[1:]
    store.close()


def test_saves_of_one_record_by_two_processes_are_all_counted(run, opened):
    run(("add", 40), ("add", 40))

    tasks, report = opened()

    assert report.failures == ()
    assert tasks["shared"].title == "80"
    assert tasks.revision("shared") == 80


def test_conversion_beside_saves_loses_nothing(run, opened):
    run(("own", 60, "a"), ("own", 60, "b"), ("convert", 12))

    tasks, report = opened()

    assert report.failures == ()
    assert sorted(tasks.ids()) == sorted(f"{name}-{turn}" for name in "ab" for turn in range(60))


def test_load_beside_a_conversion_misses_nothing(tmp_path):
    with Store(tmp_path / "store") as writer, Store(tmp_path / "store") as reader:
        tasks = writer.register(TaskManager())
        for number in range(5):
            tasks.create("t", id=str(number))
        writer.save_all()
        done = threading.Event()

        def convert():
            try:
                for turn in range(60):
                    writer.convert(("yaml", "gzip", "json")[turn % 3])
            finally:
                done.set()

        reader.register(TaskManager())
        thread = threading.Thread(target=convert)
        thread.start()
        seen = set()
        while not done.is_set():
            report = reader.load_all()
            seen.add((report.items, report.failures))
        thread.join(60)

        assert seen == {(5, ())}


def test_second_opening_waits_for_the_first_to_write(tmp_path):
    with Store(tmp_path / "store") as one, Store(tmp_path / "store") as other:
        mine, theirs = one.register(TaskManager()), other.register(TaskManager())
        barrier = threading.Barrier(2)

        def work(store, tasks, name):
            barrier.wait(20)
            for number in range(50):
                tasks.create("t", id=f"{name}{number}")
                store.save_all()

        threads = [
            threading.Thread(target=work, args=args)
            for args in ((one, mine, "a"), (other, theirs, "b"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert one.load_all().items == 100


RESUMED = """
    import os, sys
    from statestore import Store
    from statestore.managers import TaskManager

    store = Store(sys.argv[1], source=sys.argv[2])
    tasks = store.register(TaskManager())
    store.load_all()
    for number in range(4):
        if str(number) not in tasks:
            tasks.create(str(number), id=str(number))
    store.save_all()
    for task in tasks.all():
        if task.assigned_to is None:
            tasks.modify(task.id, lambda task: type(task)(id=task.id, assigned_to=sys.argv[2]))
            if sys.argv[3] == task.id:
                os._exit(9)  # no file of it is written, nothing is closed
    store.close()
"""


def test_work_of_a_dead_process_is_kept_and_gone_on_with(tmp_path):
    script = tmp_path / "work.py"
    script.write_text(textwrap.dedent(RESUMED))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def work(name, dies_after):
        command = [sys.executable, str(script), str(tmp_path / "store"), name, dies_after]
        return subprocess.run(command, env=environment, timeout=60).returncode

    assert [work("first", "1"), work("second", "2"), work("third", "")] == [9, 9, 0]

    with Store(tmp_path / "store") as store:
        tasks = store.register(TaskManager())
        store.load_all()
        done = {task.id: task.assigned_to for task in tasks}
    assert done == {"0": "first", "1": "first", "2": "second", "3": "third"}
