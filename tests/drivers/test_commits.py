"""Commits of the directory driver: one sync for many, no loss, and a known fate for each."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from datetime import UTC, datetime

import pytest

from statestore.drivers.directory import DirectoryDriver
from statestore.errors import (
    CommitRefused,
    StateStoreError,
    StorageError,
    StoreClosed,
    StoreInDoubt,
)
from statestore.files.calls import SystemFiles
from statestore.journal.journal import JournalOptions
from statestore.models.changes import Commit
from statestore.testing.driver import contents, key, patch, put
from statestore.testing.faulty import Fail, FaultyFiles, below, named


class GatedSyncs(SystemFiles):
    """Files whose `sync_data` waits at a gate once it is shut, and tells that it does."""

    def __init__(self):
        self.syncs, self.shut = 0, False
        self.arrived, self.gate = threading.Semaphore(0), threading.Semaphore(0)
        self.error = None

    def sync_data(self, fd):
        self.syncs += 1
        if self.shut:
            self.arrived.release()
            assert self.gate.acquire(timeout=30)
        if self.error:
            raise self.error
        super().sync_data(fd)


@pytest.fixture
def gated(opened):
    files = GatedSyncs()
    driver = opened(files=files, materialize="background")
    driver.commit([put("first")], {})
    driver.flush()
    return driver, files


def submitted(driver, ids, results):
    return [driver.submit([put(id)], {}, results.append) for id in ids]


def test_commits_that_meet_share_a_sync(gated):
    driver, files = gated
    files.shut, before, results = True, files.syncs, []
    first = driver.submit([put("a")], {}, results.append)
    assert files.arrived.acquire(timeout=30)
    others = submitted(driver, [f"b{n}" for n in range(40)], results)
    assert results == []  # nobody is told before the sync has returned

    files.shut = False
    files.gate.release()
    for one in [first, *others]:
        one.wait()

    assert files.syncs - before == 2
    assert [one.sequence for one in results] == list(range(2, 43))
    assert [next(iter(one.revisions)).id for one in results[1:]] == [f"b{n}" for n in range(40)]


def test_commit_is_not_seen_before_it_is_on_the_disk(gated):
    driver, files = gated
    files.shut, results = True, []
    one = driver.submit([put("first", n=2)], {}, results.append)
    assert files.arrived.acquire(timeout=30)

    assert driver.read(key("first")).revision == 1
    files.shut = False
    files.gate.release()
    one.wait()

    assert driver.read(key("first")).revision == 2


def test_all_who_share_a_sync_share_its_failure(gated, opened):
    driver, files = gated
    files.shut, results = True, []
    first = driver.submit([put("a")], {}, results.append)
    assert files.arrived.acquire(timeout=30)
    others = submitted(driver, "bc", results)
    files.error, files.shut = OSError(errno.EIO, "no"), False
    files.gate.release()
    for one in [first, *others]:
        one.wait()
    files.error = None

    assert [type(one) for one in results] == [StoreInDoubt] * 3
    assert sorted(contents(driver)) == ["first"]  # reading goes on
    with pytest.raises(StoreInDoubt):
        driver.commit([put("d")], {})
    driver.close()
    again = opened()
    # What was written and not synced may come back; what was never written does not.
    assert sorted(contents(again)) == ["a", "first"]
    again.commit([put("b")], {})


def test_eight_threads_lose_nothing_and_count_exactly(opened, root):
    driver = opened(materialize="background", journal=JournalOptions(segment_bytes=20_000))
    driver.commit([put("shared", items=[])], {})
    barrier, errors = threading.Barrier(8), []

    def work(name):
        try:
            barrier.wait(30)
            for number in range(60):
                commit = driver.commit([put(f"{name}-{number % 5}", n=number)], {})
                assert set(commit.revisions.values()) == {number // 5 + 1}
                driver.commit([patch("shared", **{name: number})], {})
        except (StateStoreError, AssertionError) as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    driver.close()

    assert errors == []
    again = opened()
    assert again.read(key("shared")).revision == 8 * 60 + 1
    assert again.sequence == 8 * 120 + 1
    found = contents(again)
    assert {id: found[id]["n"] for id in found if id != "shared"} == {
        f"t{name}-{n}": 55 + n for name in range(8) for n in range(5)
    }
    assert found["shared"] == {"id": "shared", "items": [], **{f"t{n}": 59 for n in range(8)}}
    assert [one.sequence for one in again.changes(0)] == list(range(1, 8 * 120 + 2))


def test_commits_beside_close_have_a_known_fate(root, clock, opened):
    for _ in range(10):
        driver = DirectoryDriver(root, clock=clock)
        made, begun = [], threading.Barrier(5)

        def work(name, driver=driver, made=made, begun=begun):
            begun.wait(30)
            number = 0
            while True:
                try:
                    driver.commit([put(f"{name}-{number}")], {})
                except StoreClosed:
                    return
                made.append(f"{name}-{number}")
                number += 1

        threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
        for thread in threads:
            thread.start()
        begun.wait(30)
        driver.close()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()

        again = opened()
        assert set(made) <= set(contents(again))
        again.close()


def test_commit_that_was_checked_before_close_is_refused_after_it(opened, monkeypatch):
    driver = opened(materialize="background")
    driver.commit([put("a")], {})
    ledger, real = driver._ledger, driver._ledger.submit

    def close_before(request):
        driver.close()
        return real(request)

    monkeypatch.setattr(ledger, "submit", close_before)

    with pytest.raises(StoreClosed):
        driver.commit([put("b")], {})


def test_calls_after_close(opened):
    driver = opened()
    driver.commit([put("a")], {})
    driver.close()
    driver.close()

    for call in (
        lambda: driver.commit([put("b")], {}),
        lambda: driver.read(key("a")),
        lambda: list(driver.scan("notes")),
        lambda: list(driver.changes(0)),
        driver.flush,
        driver.kinds,
    ):
        with pytest.raises(StoreClosed):
            call()


def test_full_disk_refuses_one_commit_and_the_next_goes_on(root, opened):
    files = FaultyFiles()
    driver = opened(files=files, materialize="background")
    driver.commit([put("a")], {})
    driver.flush()
    files.arm(1, Fail(errno.ENOSPC, torn=True), only=below(root / ".statestore", named("write_at")))

    with pytest.raises(StorageError):
        driver.commit([put("b")], {})
    commit = driver.commit([put("c")], {})

    assert commit.sequence == 2
    driver.close()
    assert sorted(contents(opened())) == ["a", "c"]


def test_failing_clock_refuses_one_commit_and_loses_nobody_elses(opened, root):
    """What others committed is taken in although the commit that came upon it comes to nothing."""
    times = [datetime(2026, 1, 1, tzinfo=UTC)] * 2
    options = JournalOptions(segment_bytes=1, history_bytes=0)

    def clock():
        return times.pop()

    one = opened(clock=clock, materialize="background", journal=options)
    other = opened(materialize="background", journal=options)
    other._ledger._maker._committed = lambda: None  # it writes no file until it is asked to
    one.commit([put("mine")], {})
    one.flush()
    other.commit([put("theirs")], {})
    with pytest.raises(IndexError):
        one.commit([put("never")], {})
    abandon(other)
    one.flush()
    abandon(one)

    assert sorted(contents(opened())) == ["mine", "theirs"]


def abandon(driver):
    """Let go of a driver as a process does that is killed: no file is written, nothing is noted."""
    driver._ledger._background.stop()
    driver._ledger._committer.stop()
    driver._closed = True
    driver._opening.let_go()


# --- forks and signals ----------------------------------------------------------------


def in_child(act):
    """Run `act` in a forked child; return its exit status."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is the point
        pid = os.fork()
    if not pid:
        signal.alarm(30)
        try:
            act()
        except BaseException as error:  # noqa: BLE001 # a child says nothing else
            os.write(2, repr(error).encode())
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_child_of_a_fork_works_on_its_own_and_harms_nothing(opened, root):
    driver = opened(materialize="background")
    driver.commit([put("a")], {})
    run = driver.run

    def child():
        assert driver.run != run
        driver.commit([put("child")], {})
        assert driver.read(key("a")).revision == 1
        driver.flush()
        driver.close()

    assert in_child(child) == 0

    driver.commit([put("c")], {})
    driver.close()
    again = opened()
    assert sorted(contents(again)) == ["a", "c", "child"]
    assert again.sequence == 3


OUTLIVED = """
    import os, sys
    from statestore.drivers.directory import DirectoryDriver
    from statestore.models.changes import Put
    from statestore.models.keys import Key

    driver = DirectoryDriver(sys.argv[1])
    driver.commit([Put(Key("notes", "a"), {"id": "a"})], {})
    with driver.record_files.held_still(), driver._ledger._journal.held():
        if os.fork():
            os._exit(0)  # with all locks held
        print("child", flush=True)
        sys.stdin.read()
        os._exit(0)
"""


def test_child_that_outlives_its_parent_keeps_no_lock(opened, root):
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(OUTLIVED), str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert child.stdout.readline() == b"child\n"
        child.wait(30)  # the parent
        done = threading.Event()

        def work():
            driver = opened(materialize="background")
            driver.commit([put("b")], {})
            driver.flush()
            done.set()

        threading.Thread(target=work, daemon=True).start()
        assert done.wait(30)
    finally:
        child.stdin.close()
        child.stdout.close()

    assert sorted(path.name for path in (root / "notes").iterdir()) == ["a.json", "b.json"]


STORM = """
    import os, random, signal, sys, threading, time
    from statestore.drivers.directory import DirectoryDriver
    from statestore.models.changes import Put
    from statestore.models.keys import Key

    path, own, chance = sys.argv[1], os.getpid(), random.Random(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start jobs that ignore it
    done = []  # no Event: an interruption could leave the lock in it taken

    def storm():
        while not done:
            time.sleep(chance.uniform(0.0002, 0.006))
            os.kill(own, signal.SIGINT)

    interrupted = acknowledged = 0
    last = -1
    driver = None
    while driver is None:
        driver = DirectoryDriver(path)
    thread = threading.Thread(target=storm, daemon=True)
    thread.start()
    number = 0
    while acknowledged < 200 or interrupted < 30:
        try:
            id = f"n{number % 7}"
            commit = driver.commit([Put(Key("notes", id), {"id": id, "n": number})], {})
            assert commit.sequence > last
            last = commit.sequence
            acknowledged += 1
            number += 1
        except KeyboardInterrupt:
            interrupted += 1
    while True:
        try:
            done.append(True)
            thread.join()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            break
        except KeyboardInterrupt:
            pass  # a late one
    sequence = driver.commit([Put(Key("notes", "last"), {"id": "last"})], {}).sequence
    driver.close()
    driver = DirectoryDriver(path)
    assert driver.sequence == sequence, (driver.sequence, sequence)
    assert sum(1 for _ in driver.changes(0)) == sequence
    revisions = [stored.revision for stored in driver.scan("notes")]
    assert sum(revisions) == sequence, (revisions, sequence)
    driver.close()
    os._exit(0)
"""


def test_storm_of_interrupts_hangs_nothing_and_loses_nothing(root):
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(STORM), str(root)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=90,
        capture_output=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr.decode()[-2000:]


def test_interrupted_wait_leaves_the_commit_to_be_made(gated, monkeypatch):
    driver, files = gated
    files.shut, results = True, []
    one = driver.submit([put("a")], {}, results.append)
    assert files.arrived.acquire(timeout=30)
    files.shut = False
    files.gate.release()
    one.wait()
    one.wait()  # as somebody does who was interrupted while waiting

    assert isinstance(results[0], Commit)
    assert len(results) == 1


def test_settling_that_raises_harms_nobody_else(opened, monkeypatch):
    driver, told = opened(materialize="background"), []
    monkeypatch.setattr(sys, "excepthook", lambda *error: told.append(error[0]))

    def settle(result):
        raise ZeroDivisionError

    driver.submit([put("a")], {}, settle).wait()
    driver.commit([put("b")], {})

    assert told == [ZeroDivisionError]
    assert sorted(contents(driver)) == ["a", "b"]


def test_refused_commit_takes_no_number_and_leaves_the_others(opened):
    driver = opened(materialize="background")
    driver.commit([put("a")], {})
    with pytest.raises(CommitRefused):
        driver.commit([put("b"), put("a", n=1)], {key("a"): 5})

    assert driver.commit([put("b")], {key("b"): 0}).sequence == 2
    assert driver.read(key("a")).revision == 1
