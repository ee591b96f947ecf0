"""Runs: an opening that goes on is told from one whose process is gone."""

import os
import signal
import subprocess
import sys
import threading

import pytest

import statestore
from statestore import ReadOnlyStore, StorageError, Store, StoreClosed
from statestore.drivers.directory import DirectoryDriver
from statestore.drivers.memory import MemoryDriver

HOLDER = """
import sys
from statestore.drivers.directory import DirectoryDriver
driver = DirectoryDriver(sys.argv[1])
driver.runs.hold()
print(driver.run, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state"


def files(path):
    return sorted(os.listdir(path / ".statestore" / "runs"))


@pytest.fixture
def holder(path):
    root = os.path.dirname(os.path.dirname(statestore.__file__))
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
        text=True,
    )
    with process:
        yield process, process.stdout.readline().strip()
        process.kill()


@pytest.mark.parametrize("make", [DirectoryDriver, MemoryDriver])
def test_a_run_is_held_from_when_that_is_asked_for(make, tmp_path):
    driver = make(str(tmp_path / "state"))
    assert not driver.runs.is_held(driver.run)

    driver.runs.hold()
    driver.runs.hold()

    assert driver.runs.is_held(driver.run)
    driver.close()


@pytest.mark.parametrize("make", [DirectoryDriver, MemoryDriver])
def test_who_only_reads_holds_none(make, tmp_path):
    make(str(tmp_path / "state")).close()
    driver = make(str(tmp_path / "state"), read_only=True)
    with pytest.raises(ReadOnlyStore):
        driver.runs.hold()
    assert not driver.runs.is_held(driver.run)
    driver.close()


def test_others_see_it_until_it_is_closed(path):
    one, other = DirectoryDriver(path), DirectoryDriver(path, read_only=True)
    one.runs.hold()
    assert other.runs.is_held(one.run)
    assert files(path) == [one.run]

    one.close()

    assert not other.runs.is_held(one.run)
    assert files(path) == []
    other.close()


def test_a_killed_process_holds_none_and_what_it_left_is_removed(path, holder):
    process, run = holder
    with Store(path) as store:
        runs = store._engine.runs
        assert runs.is_held(run)

        process.send_signal(signal.SIGKILL)
        process.wait()

        assert not runs.is_held(run)
        assert files(path) == [run]
        runs.hold()
        assert files(path) == [store._engine.run]


def test_looking_and_holding_at_once_take_nobody_for_dead(path):
    drivers = [DirectoryDriver(path) for _ in range(4)]
    for driver in drivers:
        driver.runs.hold()
    failures = []
    done = threading.Event()

    def look(mine):
        while not done.is_set():
            failures.extend(one.run for one in drivers if not mine.runs.is_held(one.run))

    lookers = [threading.Thread(target=look, args=(one,)) for one in drivers]
    for one in lookers:
        one.start()
    for _ in range(5):
        late = DirectoryDriver(path)
        late.runs.hold()  # it removes what the dead have left
        assert all(one.runs.is_held(late.run) for one in drivers)
        late.close()
    done.set()
    for one in lookers:
        one.join()

    assert failures == []
    for one in drivers:
        one.close()


@pytest.mark.parametrize("run", ["", "x", "../lock", "0" * 15, "0" * 16, "\0" * 16])
def test_what_is_no_run_goes_on_nowhere(path, run):
    driver = DirectoryDriver(path)
    driver.runs.hold()
    assert not driver.runs.is_held(run)
    driver.close()


def test_a_forked_child_neither_holds_nor_keeps_the_run_of_its_parent(path):
    driver = DirectoryDriver(path)
    driver.runs.hold()
    run = driver.run
    told, tell = os.pipe()
    end, go = os.pipe()
    child = os.fork()
    if not child:
        os.close(go)
        seen = driver.runs.is_held(run) and driver.run != run
        os.write(tell, b"held" if seen else b"not held")
        os.read(end, 1)
        os._exit(0)
    try:
        assert os.read(told, 10) == b"held"  # the parent's, seen from the child
        driver.close()
        with Store(path) as store:
            assert not store._engine.runs.is_held(run)
    finally:
        os.close(go)
        os.waitpid(child, 0)
        for fd in (told, tell, end):
            os.close(fd)


def test_a_closed_driver_holds_none(path):
    driver = DirectoryDriver(path)
    driver.close()
    with pytest.raises(StoreClosed):
        driver.runs.hold()


def test_what_stands_in_the_way_is_told(path):
    driver = DirectoryDriver(path)
    (path / ".statestore" / "runs").write_text("not a folder")
    with pytest.raises((StorageError, statestore.UnsafeFile)):
        driver.runs.hold()
    driver.close()
