"""A lock is waited for, but not for ever; who has it is told; what one never had stays held."""

import os
import signal
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from statestore.errors import LockTimeout, StorageError
from statestore.files import holders
from statestore.files.calls import SystemFiles
from statestore.files.folders import open_folder
from statestore.files.holders import HOLDER_BYTES, HOLDER_OFFSET, Holder, this_process
from statestore.files.locks import LOCK_TIMEOUT_S, FileLock
from statestore.testing.faulty import Fail, FaultyFiles, named


class Clock:
    """Time that passes only while somebody idles."""

    def __init__(self):
        self.now_s, self.idled = 1000.0, []

    def __call__(self):
        return self.now_s

    def idle(self, seconds):
        self.idled.append(seconds)
        self.now_s += seconds or 1.0


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lock(tmp_path, clock):
    """Open the lock file anew, which is what another process would do."""
    locks = []

    def open_lock(files=None, **options):
        with open_folder(str(tmp_path), files=files) as folder:
            file = folder.open_file("lock", create=True)
        locks.append(FileLock(file, **{"timeout_s": 30.0, "clock_s": clock, **options}))
        return locks[-1]

    yield open_lock
    for one in locks:
        one.close()


def is_free(lock):
    try:
        with lock(timeout_s=0.0).held(idle=lambda s: None):
            return True
    except LockTimeout:
        return False


def test_lock_that_another_has_is_waited_for_as_long_as_agreed(lock, clock, tmp_path):
    with lock().held(), pytest.raises(LockTimeout) as raised:
        lock(timeout_s=2.5).acquire(idle=clock.idle)

    assert raised.value.path == str(tmp_path / "lock")
    assert raised.value.waited_s == 2.5
    assert sum(clock.idled) == pytest.approx(2.5)
    assert max(clock.idled) <= 0.02  # so that whoever lets go is noticed soon


def test_pauses_grow_from_short_ones(lock, clock):
    with lock().held(), pytest.raises(LockTimeout):
        lock(timeout_s=1.0).acquire(idle=clock.idle)

    assert clock.idled[0] < 0.001
    assert clock.idled[:-1] == sorted(clock.idled[:-1])


def test_timeout_names_the_holder(lock, clock):
    with lock().held(), pytest.raises(LockTimeout) as raised:
        lock().acquire(idle=clock.idle)

    error = raised.value
    assert (error.pid, error.host) == (os.getpid(), os.uname().nodename)
    assert error.started_at == this_process().started_at
    assert f"process {os.getpid()} on" in str(error)


@contextmanager
def acquired(lock, idle=time.sleep):
    """Hold a lock by the other pair of methods."""
    lock.acquire(idle=idle)
    try:
        yield
    finally:
        lock.release()


def held(lock, idle=time.sleep):
    return lock.held(idle=idle)


@pytest.mark.parametrize("take", [held, acquired])
def test_after_a_timeout_nothing_is_held_and_the_holder_still_holds(lock, clock, take):
    holder, late = lock(), lock(timeout_s=0.5)
    with holder.held():
        with pytest.raises(LockTimeout), take(late, clock.idle):
            pass
        assert not is_free(lock)
        with pytest.raises(RuntimeError):
            late.release()
        assert not is_free(lock)

    with late.held(idle=clock.idle):
        assert not is_free(lock)
    assert is_free(lock)


def test_lock_that_becomes_free_in_time_is_taken(lock, clock):
    holder, late = lock(), lock()
    holder.acquire()

    def idle(seconds):
        clock.idle(seconds)
        if len(clock.idled) == 5:
            holder.release()

    late.acquire(idle=idle)

    assert len(clock.idled) == 5
    assert not is_free(lock)
    late.release()
    assert is_free(lock)


def test_idle_that_fails_leaves_nothing_held(lock):
    class Interrupted(BaseException):
        pass

    def idle(seconds):
        raise Interrupted

    late = lock()
    with lock().held():
        for _ in range(2):  # the second would wait for the first, had that left something behind
            with pytest.raises(Interrupted), late.held(idle=idle):
                pass
            with pytest.raises(Interrupted):
                late.acquire(idle=idle)

    assert is_free(lock)


class TestThreads:
    def test_thread_of_this_process_is_waited_for_as_long(self, lock, clock):
        one = lock(timeout_s=2.0)
        one.acquire()

        with pytest.raises(LockTimeout) as raised:
            one.acquire(idle=clock.idle)
        with pytest.raises(LockTimeout), one.held(idle=clock.idle):
            pass

        assert raised.value.waited_s == 2.0
        assert (raised.value.pid, raised.value.host) == (os.getpid(), os.uname().nodename)
        assert not is_free(lock)  # the first one still has it
        one.release()
        assert is_free(lock)

    def test_thread_that_waits_gets_it_when_the_other_lets_go(self, lock):
        one = lock()
        one.acquire()
        waits, taken = threading.Event(), threading.Event()

        def take():
            with one.held(idle=lambda s: waits.set()):
                taken.set()

        thread = threading.Thread(target=take)
        thread.start()
        waits.wait()
        assert not taken.is_set()
        one.release()
        thread.join()

        assert taken.is_set()

    def test_time_that_a_thread_took_counts(self, lock, clock):
        one, other = lock(timeout_s=3.0), lock()
        one.acquire()
        waits = threading.Event()

        def idle(seconds):  # first the thread has it, then another process
            if not waits.is_set():
                waits.set()
                clock.now_s += 2.0
                one.release()
                other.acquire()
            else:
                clock.now_s += seconds

        with pytest.raises(LockTimeout) as raised:
            one.acquire(idle=idle)

        assert raised.value.waited_s == 3.0
        assert clock.now_s == pytest.approx(1003.0)
        other.release()

    def test_thread_that_was_too_late_cannot_release_it_for_the_other(self, lock, clock):
        one = lock(timeout_s=0.0)
        for take in (held, acquired):
            holds, go_on = threading.Event(), threading.Event()

            def hold(take=take, holds=holds, go_on=go_on):
                with take(one):
                    holds.set()
                    go_on.wait()

            thread = threading.Thread(target=hold)
            thread.start()
            holds.wait()
            with pytest.raises(LockTimeout):
                one.acquire(idle=clock.idle)
            with pytest.raises(RuntimeError):
                one.release()
            assert not is_free(lock)
            go_on.set()
            thread.join()
            assert is_free(lock)


def test_lock_is_let_go_of_when_the_block_fails(lock):
    one = lock()
    with pytest.raises(KeyError), one.held():
        raise KeyError

    assert is_free(lock)
    with one.held():
        pass


class Interruption(BaseException):
    pass


class InterruptedFiles(SystemFiles):
    """Files of which one call is followed, or preceded, by a signal's exception."""

    def __init__(self, name, *, after):
        self.name, self.after, self.armed = name, after, False

    def _call(self, name, act):
        hit = self.armed and name == self.name
        self.armed &= not hit
        if hit and not self.after:
            raise Interruption
        result = act()
        if hit:
            raise Interruption
        return result

    def lock(self, fd, *, shared=False, wait=True):
        return self._call("lock", lambda: super(InterruptedFiles, self).lock(fd, wait=wait))

    def unlock(self, fd):
        return self._call("unlock", lambda: super(InterruptedFiles, self).unlock(fd))

    def note_at(self, fd, data, offset):
        self._call("note_at", lambda: super(InterruptedFiles, self).note_at(fd, data, offset))


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("name", ["lock", "unlock", "note_at"])
def test_interruption_leaves_the_lock_free(lock, name, after):
    files = InterruptedFiles(name, after=after)
    one = lock(files)

    for take in (held, acquired):
        one.file.write_at(HOLDER_OFFSET, b"somebody else")
        files.armed = True
        with pytest.raises(Interruption), take(one):
            pass
        assert not files.armed
        assert is_free(lock)
        with one.held():
            assert not is_free(lock)


def test_holder_that_is_named_already_changes_nothing(lock, tmp_path):
    files = FaultyFiles()
    one = lock(files)
    for _ in range(3):
        with one.held():
            pass
        with lock().held():  # of the same process
            pass

    assert len(files.chosen(named("note_at"))) == 1


def test_signals_at_any_moment_leave_the_lock_free(lock):
    one = lock()
    interrupted = 0

    def interrupt(number, frame):
        raise Interruption

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in range(3000):
            try:
                signal.setitimer(signal.ITIMER_REAL, (1 + number % 60) * 1e-6)
                with one.held():
                    pass
                while True:  # until it comes
                    pass
            except Interruption:
                interrupted += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)

    assert interrupted == 3000
    with one.held():
        assert not is_free(lock)
    assert is_free(lock)


class TestHolder:
    def test_record_is_read_back(self):
        at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
        for holder in (Holder(7, "näme", at), Holder(2**40, "x" * 64, None), Holder(1, "", at)):
            assert Holder.from_bytes(holder.to_bytes()) == holder

    def test_name_that_is_too_long_is_cut(self):
        found = Holder.from_bytes(Holder(7, "x" * 63 + "ä", None).to_bytes())

        assert found.host.startswith("x" * 63)

    def test_damaged_record_tells_nothing(self):
        data = Holder(7, "host", datetime.now(UTC)).to_bytes()

        for at in range(len(data)):
            torn = bytearray(data)
            torn[at] ^= 1
            assert Holder.from_bytes(bytes(torn)) is None
            assert Holder.from_bytes(data[:at]) is None

    def test_missing_record_leaves_the_holder_unknown(self, lock, clock):
        files = FaultyFiles()
        holder = lock(files)
        files.arm(1, Fail(), only=named("note_at"))

        with holder.held(), pytest.raises(LockTimeout) as raised:
            lock().acquire(idle=clock.idle)

        assert (raised.value.pid, raised.value.host, raised.value.started_at) == (None,) * 3

    def test_record_that_cannot_be_read_leaves_the_holder_unknown(self, lock, clock):
        files = FaultyFiles()
        late = lock(files)
        files.arm(1, Fail(), only=named("read_at"), sticky=True)

        with lock().held(), pytest.raises(LockTimeout) as raised:
            late.acquire(idle=clock.idle)

        assert raised.value.pid is None

    def test_record_leaves_what_else_the_file_holds(self, lock):
        one = lock()
        one.file.write_at(0, b"x" * HOLDER_OFFSET)
        with one.held():
            pass

        assert one.file.read_at(0, HOLDER_OFFSET) == b"x" * HOLDER_OFFSET
        assert one.file.size() == HOLDER_OFFSET + HOLDER_BYTES
        assert one.holder() == this_process()

    def test_start_is_that_of_the_process(self):
        age_s = time.time() - this_process().started_at.timestamp()

        assert 0 <= age_s < 24 * 3600
        assert this_process().started_at < datetime.now(UTC)

    def test_start_is_no_later_than_the_first_use_where_the_system_does_not_tell(self, monkeypatch):
        monkeypatch.setattr(holders, "_started_at", lambda: None)
        monkeypatch.setattr(holders, "_cached", None)

        assert this_process().started_at <= datetime.now(UTC)

    def test_forked_child_names_itself(self, lock):
        with lock().held():
            pass
        pid = os.fork()
        if not pid:
            with lock().held():
                os._exit(0)
        os.waitpid(pid, 0)

        assert lock().holder().pid == pid


def test_system_that_refuses_locks_says_so_and_holds_nothing(lock):
    files = FaultyFiles()
    one = lock(files)
    files.arm(1, Fail(), only=named("lock"))

    with pytest.raises(StorageError):
        one.acquire()
    with one.held():
        pass


def test_closed_lock_is_refused_as_the_system_refuses(lock):
    one = lock()
    one.close()

    with pytest.raises(StorageError), one.held():
        pass


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_dead_holder_holds_nothing(lock, how):
    ready, done = os.pipe()
    pid = os.fork()
    if not pid:
        lock().acquire()
        os.write(done, b"x")
        signal.pause()
        os._exit(1)
    os.read(ready, 1)
    os.close(ready)
    os.close(done)
    assert not is_free(lock)

    os.kill(pid, how)
    os.waitpid(pid, 0)

    assert is_free(lock)


def test_who_has_had_a_lock_with_a_turnstile_cannot_take_it_before_those_who_wait(tmp_path):
    def opened(**options):
        with open_folder(str(tmp_path)) as folder:
            files = folder.open_file("lock", create=True), folder.open_file("next", create=True)
        return FileLock(files[0], turnstile=files[1], **options)

    class Waits(Exception):
        pass

    def refuse(seconds):
        raise Waits

    first, again, waiting = opened(), opened(), opened()
    waits, go = threading.Event(), threading.Event()

    def idle(seconds):
        waits.set()
        assert go.wait(60)

    taken = []

    def wait():
        with waiting.held(idle=idle):
            taken.append(True)

    thread = threading.Thread(target=wait)
    with first.held():
        thread.start()
        assert waits.wait(60)
    with pytest.raises(Waits), again.held(idle=refuse):
        pass
    assert not taken
    go.set()
    thread.join(60)

    assert taken
    with again.held():
        pass
    for one in (first, again, waiting):
        one.close()


def test_who_is_stopped_in_the_turnstile_keeps_nobody_from_a_free_lock_for_ever(tmp_path, clock):
    with open_folder(str(tmp_path)) as folder:
        files = [folder.open_file(name, create=True) for name in ("lock", "next", "next")]
    stopped, other = files[2], FileLock(files[0], turnstile=files[1], clock_s=clock)
    assert stopped.lock(wait=False)

    with other.held(idle=clock.idle):
        assert sum(clock.idled) >= LOCK_TIMEOUT_S

    stopped.close()
    other.close()


def test_turnstile_is_let_go_of_when_the_waiting_ends_in_vain(tmp_path):
    with open_folder(str(tmp_path)) as folder:
        files = [folder.open_file(name, create=True) for name in ("lock", "next", "lock", "next")]
    first, second = FileLock(files[0], turnstile=files[1]), FileLock(files[2], turnstile=files[3])
    second._timeout_s = 0.0

    with first.held(), pytest.raises(LockTimeout), second.held():
        pass
    with second.held():
        pass
    first.close()
    second.close()
