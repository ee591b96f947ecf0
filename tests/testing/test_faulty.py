"""Files that fail on demand: which call, how often, on which thread."""

import errno
import os
import threading

import pytest

from statestore.files.calls import SystemFiles
from statestore.testing.faulty import (
    Fail,
    FaultyFiles,
    Pause,
    PowerOff,
    ShortWrite,
    Stop,
    below,
    changing,
    named,
)


@pytest.fixture
def files():
    return FaultyFiles()


@pytest.fixture
def opened(tmp_path, files):
    fds = []

    def open_file(name, flags=os.O_RDWR | os.O_CREAT):
        fds.append(files.open(str(tmp_path / name), flags))
        return fds[-1]

    yield open_file
    for fd in fds:
        files.close(fd)


def number(raised):
    return raised.value.errno


def test_chosen_call_fails_once(files, opened):
    fd = opened("a")
    files.arm(2, Fail(errno.EDQUOT), only=named("write_at"))

    files.write(fd, memoryview(b"1"))
    files.write_at(fd, memoryview(b"2"), 1)
    with pytest.raises(OSError, match="quota") as raised:
        files.write_at(fd, memoryview(b"3"), 2)
    files.write_at(fd, memoryview(b"4"), 2)

    assert number(raised) == errno.EDQUOT
    assert files.read_at(fd, 10, 0) == b"124"


def test_sticky_fault_stays_until_it_is_disarmed(files, opened):
    fd = opened("a")
    files.arm(2, Fail(errno.EROFS), sticky=True)
    files.set_mode(fd, 0o600)

    for act in (
        lambda: files.set_mode(fd, 0o644),
        lambda: files.truncate(fd, 9),
        lambda: opened("b"),
    ):
        with pytest.raises(OSError, match="Read-only"):
            act()
    assert files.read_at(fd, 10, 0) == b""
    files.disarm()
    files.truncate(fd, 2)

    assert os.fstat(fd).st_size == 2
    assert not files.armed


def test_only_what_is_below_a_path_fails(files, opened, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "inside").mkdir()
    files.arm(1, Fail(errno.EACCES), only=below(tmp_path / "in"), sticky=True)

    opened("inside/a")
    with pytest.raises(PermissionError):
        opened("in/a")

    assert os.listdir(tmp_path / "in") == []


@pytest.mark.parametrize("name", ["read", "read_at"])
def test_reading_can_fail(files, opened, name):
    fd = opened("a")
    files.write(fd, memoryview(b"text"))
    files.arm(1, Fail(errno.EIO), only=named("read", "read_at"))

    with pytest.raises(OSError, match="Input/output"):
        files.read(fd, 4) if name == "read" else files.read_at(fd, 4, 0)

    assert files.read_at(fd, 4, 0) == b"text"


def test_opening_to_read_can_fail(files, opened):
    opened("a")
    files.arm(1, Fail(errno.EMFILE), only=lambda call: call.name == "open" and not call.changing)

    opened("b")
    with pytest.raises(OSError, match="Too many"):
        opened("a", os.O_RDONLY)


def test_error_is_of_the_class_that_the_system_would_raise(files, opened):
    files.arm(1, Fail(errno.ENOENT))

    with pytest.raises(FileNotFoundError):
        opened("a")


def test_torn_write_leaves_half_and_says_so_in_the_error(files, opened):
    fd = opened("a")
    files.arm(1, Fail(errno.ENOSPC, torn=True))

    with pytest.raises(OSError, match="space") as raised:
        files.write_at(fd, memoryview(b"abcdef"), 2)

    assert raised.value.written_bytes == 3
    assert files.read_at(fd, 10, 0) == b"\0\0abc"


def test_sticky_short_writes_make_progress(files, opened):
    fd = opened("a")
    files.arm(1, ShortWrite(), sticky=True)

    rest, calls = memoryview(b"12345"), 0
    while rest:
        rest = rest[files.write(fd, rest) :]
        calls += 1

    assert calls == 4
    assert files.read_at(fd, 10, 0) == b"12345"


def test_failed_sync_is_not_made(opened, files):
    fd = opened("a")
    for name in ("sync", "sync_data", "sync_file_system"):
        files.arm(1, Fail())
        with pytest.raises(OSError, match="Input/output"):
            getattr(files, name)(fd)

    assert [call.fault for call in files.chosen(named("sync", "sync_data"))] == [Fail(), Fail()]


def test_after_a_stop_no_call_is_made_but_close_and_unlock(files, tmp_path):
    fd = files.open(str(tmp_path / "a"), os.O_RDWR | os.O_CREAT)
    files.lock(fd)
    files.arm(1, Stop(torn=True))

    with pytest.raises(PowerOff):
        files.write(fd, memoryview(b"1234"))
    for act in (
        lambda: files.read(fd, 1),
        lambda: files.status(fd),
        lambda: files.lock(fd),
        lambda: files.names(fd),
        lambda: files.sync_data(fd),
    ):
        with pytest.raises(PowerOff):
            act()
    files.unlock(fd)
    files.close(fd)

    assert (tmp_path / "a").read_bytes() == b"12"


def test_stopped_process_lets_go_of_what_it_held(files, tmp_path):
    fd = files.open(str(tmp_path / "a"), os.O_RDWR | os.O_CREAT)
    files.lock(fd)
    files.arm(1, Stop())
    with pytest.raises(PowerOff):
        files.sync(fd)

    files.release()
    again = os.open(tmp_path / "a", os.O_RDWR)
    files.close(fd)  # by a thread that lives on: the number is another's now
    files.unlock(fd)

    assert again == fd
    assert SystemFiles().lock(again, wait=False)
    os.close(again)


def test_stop_holds_for_every_thread(files, opened):
    fds = [opened(f"{n}") for n in range(8)]
    start, ended = threading.Barrier(8), []
    files.arm(100, Stop(), only=named("write"))

    def work(fd):
        start.wait()
        try:
            for _ in range(1000):
                files.write(fd, memoryview(b"x"))
        except PowerOff:
            ended.append(fd)

    threads = [threading.Thread(target=work, args=(fd,)) for fd in fds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(ended) == sorted(fds)
    assert sum(os.fstat(fd).st_size for fd in fds) == 99
    assert len(files.chosen(named("write"))) == 100


def test_process_begins_again_after_a_restart(files, opened):
    fd = opened("a")
    files.arm(1, Stop(), sticky=True)
    with pytest.raises(PowerOff):
        files.sync(fd)

    files.restart()
    files.write(fd, memoryview(b"text"))

    assert not files.armed
    assert files.read_at(fd, 9, 0) == b"text"


def test_close_changes_only_where_something_was_written(files, tmp_path):
    for name in ("written", "not"):
        fd = files.open(str(tmp_path / name), os.O_RDWR | os.O_CREAT)
        if name == "written":
            files.write_at(fd, memoryview(b"x"), 0)
        files.close(fd)

    closes = files.chosen(named("close"))

    assert [changing(call) for call in closes] == [True, False]


@pytest.mark.parametrize("ends", [False, True])
def test_pause_holds_all_calls_until_it_is_over(tmp_path, ends):
    files, pause = FaultyFiles(), Pause()
    files.mkdir(str(tmp_path / "before"), 0o700)
    files.arm(1, pause)
    told = []

    def make(name):
        try:
            files.mkdir(str(tmp_path / name), 0o700)
        except PowerOff:
            told.append(name)

    threads = [threading.Thread(target=make, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    assert pause.reached.wait(30)
    assert [path.name for path in tmp_path.iterdir()] == ["before"]
    assert all(thread.is_alive() for thread in threads)

    if ends:
        files.stop()
    pause.go.set()
    for thread in threads:
        thread.join(30)

    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == (["before"] if ends else ["before", "one", "two"])
    assert sorted(told) == (["one", "two"] if ends else [])
