"""The model of a disk that loses power: true to the system, and as hard as it says."""

import contextlib
import errno
import os
import shutil
import stat
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statestore.files.folders import open_folder
from statestore.testing.faulty import Fail, FaultyFiles, PowerOff, Stop, named
from statestore.testing.outages import MODELS
from statestore.testing.power import PowerLog


def seen(root, timed=None):
    """Return what a program can see below a folder: path → permissions, content, time, links."""
    found, first = {}, {}
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted([*folders, *files]):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            short = os.path.relpath(path, root)
            mode = stat.S_IMODE(status.st_mode)
            if stat.S_ISDIR(status.st_mode):
                found[short] = (mode,)
                continue
            with open(path, "rb") as file:
                data = file.read()
            time = status.st_mtime_ns if timed is None or status.st_ino in timed else None
            same = first.setdefault(status.st_ino, sorted(_names(root, status.st_ino)))
            found[short] = (mode, data, time, tuple(same))
    return found


def _names(root, inode):
    for folder, _, files in os.walk(root):
        for name in files:
            path = os.path.join(folder, name)
            if os.lstat(path).st_ino == inode:
                yield os.path.relpath(path, root)


def built(state, path):
    shutil.rmtree(path, ignore_errors=True)
    state.build(path)
    return path


def texts(state, path):
    """Return name → content of the files in the root of a state."""
    root = built(state, path)
    return {one.name: one.read_bytes() for one in root.iterdir() if one.is_file()}


@pytest.fixture
def disk(tmp_path):
    root = tmp_path / "disk"
    root.mkdir()
    return root


@pytest.fixture
def there(disk, tmp_path):
    """Say what the states of a log hold: a list of name → content, each once per promise."""

    def look(log, *models, **options):
        return [
            (texts(state, tmp_path / "built"), state.acknowledged)
            for state in log.states(models or MODELS, **options)
        ]

    return look


@contextlib.contextmanager
def folder(log, path):
    fd = log.open(str(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        log.close(fd)


def write(log, fd, name, data, flags=os.O_CREAT | os.O_EXCL, sync=False):
    file = log.open(name, os.O_WRONLY | flags, dir_fd=fd)
    log.write(file, memoryview(data))
    if sync:
        log.sync(file)
    log.close(file)


# --- true to the system ---------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "d"])
FOLDERS = st.sampled_from([".", "x", "y"])
STEP = st.one_of(
    st.tuples(st.just("create"), FOLDERS, NAMES, st.binary(max_size=600)),
    st.tuples(st.just("append"), FOLDERS, NAMES, st.binary(max_size=600)),
    st.tuples(st.just("empty"), FOLDERS, NAMES, st.binary(max_size=20)),
    st.tuples(st.just("write_at"), FOLDERS, NAMES, st.binary(max_size=60), st.integers(0, 900)),
    st.tuples(st.just("truncate"), FOLDERS, NAMES, st.integers(0, 900)),
    st.tuples(st.just("set_mode"), FOLDERS, NAMES, st.sampled_from([0o600, 0o640, 0o400])),
    st.tuples(st.just("set_mtime"), FOLDERS, NAMES, st.integers(1, 10**18)),
    st.tuples(st.just("rename"), FOLDERS, NAMES, FOLDERS, NAMES),
    st.tuples(st.just("link"), FOLDERS, NAMES, FOLDERS, NAMES),
    st.tuples(st.just("unlink"), FOLDERS, NAMES),
    st.tuples(st.just("mkdir"), FOLDERS, NAMES),
    st.tuples(st.just("rmdir"), FOLDERS, NAMES),
    st.tuples(st.just("sync"), FOLDERS, NAMES),
    st.tuples(st.just("sync_data"), FOLDERS, NAMES),
    st.tuples(st.just("sync_folder"), FOLDERS),
    st.tuples(st.just("sync_file_system"), FOLDERS),
)
OPENING = {
    "create": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    "append": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "empty": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
}


def take_step(log, root, step, timed):
    what, where, *rest = step
    with contextlib.ExitStack() as stack:
        fd = stack.enter_context(folder(log, root / where))
        if what in ("rename", "link"):
            old, to, new = rest
            to_fd = stack.enter_context(folder(log, root / to))
            getattr(log, what)(old, new, old_fd=fd, new_fd=to_fd)
            return
        if what in ("unlink", "rmdir"):
            getattr(log, what)(rest[0], dir_fd=fd)
            return
        if what == "mkdir":
            log.mkdir(rest[0], 0o750, dir_fd=fd)
            return
        if what in ("sync_folder", "sync_file_system"):
            (log.sync if what == "sync_folder" else log.sync_file_system)(fd)
            return
        file = log.open(rest[0], OPENING.get(what, os.O_RDWR), 0o644, dir_fd=fd)
        stack.callback(log.close, file)
        inode = os.fstat(file).st_ino
        if what in OPENING:
            size = os.fstat(file).st_size
            if what == "empty" or rest[1]:
                timed.discard(inode)
            if rest[1]:
                half = len(rest[1]) // 2
                log.write(file, memoryview(rest[1][:half]))
                log.write(file, memoryview(rest[1][half:]))
            assert os.fstat(file).st_size == size + len(rest[1])
        elif what == "write_at":
            if rest[1]:
                timed.discard(inode)
            log.write_at(file, memoryview(rest[1]), rest[2])
        elif what == "truncate":
            if os.fstat(file).st_size != rest[1]:
                timed.discard(inode)
            log.truncate(file, rest[1])
        elif what == "set_mtime":
            timed.add(inode)
            log.set_mtime(file, rest[1])
        else:
            getattr(log, what)(file, *rest[1:])


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=25))
def test_model_ends_with_what_the_system_has(steps):
    with tempfile.TemporaryDirectory() as place:
        root = os.path.join(place, "disk")
        os.makedirs(os.path.join(root, "x", "y"))
        os.mkdir(os.path.join(root, "y"))
        with open(os.path.join(root, "x", "a"), "wb") as file:
            file.write(b"there before")
        os.link(os.path.join(root, "x", "a"), os.path.join(root, "b"))
        timed = {os.stat(os.path.join(root, "b")).st_ino}
        log = PowerLog(root)
        for step in steps:
            with contextlib.suppress(OSError):
                take_step(log, Path(root), step, timed)
        log.acknowledge("end")

        last = [one for one in log.states(["prefix"]) if one.acknowledged]

        assert len(last) == 1
        target = os.path.join(place, "built")
        last[0].build(target)
        real, model = seen(root, timed), seen(target)
        for path, entry in real.items():
            if len(entry) > 2 and entry[2] is None:
                model[path] = (*model[path][:2], None, *model[path][3:])
        assert model == real


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=12), st.integers(0, 3))
def test_harder_models_allow_all_that_milder_ones_do(steps, seed):
    with tempfile.TemporaryDirectory() as place:
        root = Path(place, "disk")
        (root / "x").mkdir(parents=True)
        (root / "y").mkdir()
        log = PowerLog(root)
        for step in steps:
            with contextlib.suppress(OSError):
                take_step(log, root, step, set())

        found = {
            model: {(len(one.acknowledged), one.digest) for one in log.states([model], seed=seed)}
            for model in MODELS
        }

        together = {(len(one.acknowledged), one.digest) for one in log.states(seed=seed)}
        assert together == set().union(*found.values())
        assert found["synced"] <= found["posix"]
        torn = {
            (len(one.acknowledged), one.digest)
            for one in log.states(["prefix"], seed=seed)
            if "bytes kept" not in one.explain()
        }
        assert torn <= found["posix"]
        assert torn <= found["ext4"]


# --- as hard as it says ---------------------------------------------------------------


def test_nothing_done_leaves_what_was_there(disk, there):
    (disk / "a").write_bytes(b"old")

    assert there(PowerLog(disk)) == [({"a": b"old"}, ())]


def test_only_what_was_synced_is_sure(disk, there):
    log = PowerLog(disk)
    with folder(log, disk) as fd:
        write(log, fd, "a", b"synced", sync=True)
        log.sync(fd)
        write(log, fd, "b", b"not")
    log.acknowledge(1)

    found = [names for names, promised in there(log, "synced") if promised == (1,)]

    assert found == [{"a": b"synced"}]


def test_synced_content_may_have_no_name_and_a_name_no_content(disk, there):
    log = PowerLog(disk)
    with folder(log, disk) as fd:
        write(log, fd, "a", b"12345678", sync=True)
        write(log, fd, "b", b"12345678")
    log.acknowledge(1)

    posix = [names for names, promised in there(log, "posix") if promised]
    ext4 = [names for names, promised in there(log, "ext4") if promised]

    assert {} in posix
    assert {"b": b"12345678"} in posix
    assert {"b": b""} in posix
    assert all(names.get("a") in (None, b"12345678") for names in posix)
    assert {"b": b"1234", "a": b"12345678"} in posix
    assert {"b": b"\0" * 8, "a": b"12345678"} in posix
    # A sync there makes all earlier names stay, and b was named after it.
    assert all(names["a"] == b"12345678" for names in ext4)
    assert {"a": b"12345678"} in ext4
    assert {"a": b"12345678", "b": b""} in ext4


def test_unsynced_rename_leaves_an_old_or_an_empty_file(disk, there):
    (disk / "a").write_bytes(b"old")
    log = PowerLog(disk)
    with folder(log, disk) as fd:
        write(log, fd, "new", b"newer")
        log.rename("new", "a", old_fd=fd, new_fd=fd)
        log.sync(fd)
    log.acknowledge(1)

    found = [names for names, promised in there(log, "ext4") if promised]

    assert {"a": b""} in found
    assert {"a": b"newer"} in found
    assert {"a": b"old"} not in found


def test_honest_replacement_leaves_the_old_or_the_new(disk, there):
    log = PowerLog(disk)
    held = open_folder(str(disk), files=log)
    for text in (b"old", b"new" * 400):
        held.replace("a", text)
        held.sync()
        log.acknowledge(text)
    held.close()

    found = there(log)

    assert len(found) > 25
    for names, promised in found:
        allowed = [[None, b"old"], [b"old", b"new" * 400], [b"new" * 400]][len(promised)]
        assert names.get("a") in allowed


@pytest.mark.parametrize("forgotten", ["file", "folder"])
@pytest.mark.parametrize("model", ["ext4", "posix"])
def test_replacement_that_forgets_a_sync_is_seen(disk, there, forgotten, model):
    log = PowerLog(disk)
    with folder(log, disk) as fd:
        write(log, fd, "new", b"text", sync=forgotten != "file")
        log.rename("new", "a", old_fd=fd, new_fd=fd)
        if forgotten != "folder":
            log.sync(fd)
    log.acknowledge(1)

    found = [names.get("a") for names, promised in there(log, model) if promised]

    assert set(found) - {b"text"}


def test_new_folder_that_was_not_synced_into_its_parent_may_be_gone(disk, tmp_path):
    log = PowerLog(disk)
    with folder(log, disk) as fd:
        log.mkdir("new", 0o700, dir_fd=fd)
        with folder(log, disk / "new") as new:
            write(log, new, "a", b"text", sync=True)
            log.sync(new)
    log.acknowledge(1)

    found = [
        (built(state, tmp_path / "built") / "new" / "a").exists()
        for state in log.states(["posix"])
        if state.acknowledged
    ]

    assert set(found) == {True, False}


def test_pages_of_a_failed_sync_are_never_sure_again(disk, there):
    faulty = FaultyFiles()
    log = PowerLog(disk, files=faulty)
    with folder(log, disk) as fd:
        file = log.open("a", os.O_RDWR | os.O_CREAT, dir_fd=fd)
        log.sync(fd)
        log.write(file, memoryview(b"first "))
        faulty.arm(1, Fail(errno.EIO), only=named("sync_data"))
        with pytest.raises(OSError, match="Input/output"):
            log.sync_data(file)
        log.write(file, memoryview(b"second"))
        log.sync_data(file)
        read = log.read_at(file, 20, 0)
        log.close(file)
    log.acknowledge(1)

    found = {names["a"] for names, promised in there(log) if promised}

    assert read == b"first second"
    assert b"first second" in found
    assert b"\0" * 6 + b"second" in found
    assert all(text.endswith(b"second") for text in found)


def test_torn_write_that_failed_is_in_the_log(disk, there):
    faulty = FaultyFiles()
    log = PowerLog(disk, files=faulty)
    with folder(log, disk) as fd:
        file = log.open("a", os.O_RDWR | os.O_CREAT, dir_fd=fd)
        faulty.arm(1, Fail(errno.ENOSPC, torn=True))
        with pytest.raises(OSError, match="space"):
            log.write(file, memoryview(b"12345678"))
        log.close(file)
    log.acknowledge(1)

    assert ({"a": b"1234"}, (1,)) in there(log, "prefix")
    assert (disk / "a").read_bytes() == b"1234"


def test_time_is_sure_by_a_sync_and_not_by_one_of_the_data(disk, tmp_path):
    for how in ("sync", "sync_data"):
        (disk / how).write_bytes(b"")
    log = PowerLog(disk)
    with folder(log, disk) as fd:
        for how in ("sync", "sync_data"):
            file = log.open(how, os.O_WRONLY, dir_fd=fd)
            log.write(file, memoryview(b"text"))
            log.set_mtime(file, 10**18)
            getattr(log, how)(file)
            log.close(file)
    log.acknowledge(1)

    found = {"sync": set(), "sync_data": set()}
    for state in log.states(["posix"]):
        if state.acknowledged:
            root = built(state, tmp_path / "built")
            for how, times in found.items():
                times.add((root / how).stat().st_mtime_ns == 10**18)

    assert found == {"sync": {True}, "sync_data": {True, False}}


def test_file_system_sync_makes_everything_sure(disk, there):
    log = PowerLog(disk)
    with folder(log, disk) as fd:
        for name in "abc":
            write(log, fd, name, name.encode())
        log.sync_file_system(fd)
    log.acknowledge(1)

    found = [names for names, promised in there(log) if promised]

    assert found == [{"a": b"a", "b": b"b", "c": b"c"}]


def test_many_changes_of_names_are_sampled_by_the_seed(disk):
    log = PowerLog(disk)
    with folder(log, disk) as fd:
        for number in range(12):
            write(log, fd, f"{number}", b"")

    def digests(seed):
        return [state.digest for state in log.states(["posix"], seed=seed)]

    assert digests(1) == digests(1)
    assert set(digests(1)) != set(digests(2))


def test_limit_chooses_evenly_and_repeatably(disk):
    log = PowerLog(disk)
    with folder(log, disk) as fd:
        for number in range(12):
            write(log, fd, f"{number}", b"text")

    found = list(log.states(limit=20, seed=3))

    assert len({state.digest for state in found}) == 20
    assert [one.digest for one in found] == [one.digest for one in log.states(limit=20, seed=3)]
    assert max(one.position for one in found) > log.position // 2
    assert min(one.position for one in found) < log.position // 2


def test_states_since_a_position_begin_there(disk, there):
    log = PowerLog(disk)
    with folder(log, disk) as fd:
        write(log, fd, "a", b"text", sync=True)
        log.sync(fd)
        noted = log.position
        log.unlink("a", dir_fd=fd)

    found = [names for names, _ in there(log, since=noted)]

    assert found == [{"a": b"text"}, {}]


def test_explanation_tells_what_was_lost(disk):
    log = PowerLog(disk)
    with folder(log, disk) as fd:
        write(log, fd, "a", b"text", sync=True)
        write(log, fd, "b", b"text", sync=True)

    state = next(one for one in log.states(["posix"]) if "lost]" in one.explain())

    assert "model 'posix'" in state.explain()
    assert "create a  [not synced: lost]" in state.explain()


def test_changes_behind_the_back_of_the_log_are_refused(disk):
    log = PowerLog(disk)
    (disk / "a").write_bytes(b"")

    with folder(log, disk) as fd, pytest.raises(ValueError, match="behind the back"):
        log.open("a", os.O_RDONLY, dir_fd=fd)


def test_threads_are_logged_in_one_order(disk, tmp_path):
    log = PowerLog(disk)
    with folder(log, disk) as fd:

        def work(name):
            for number in range(20):
                write(log, fd, f"{name}{number}", name.encode() * 10, sync=number % 5 == 0)
                if number % 2:
                    log.unlink(f"{name}{number}", dir_fd=fd)

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    log.acknowledge("end")

    last = next(one for one in log.states(["prefix"]) if one.acknowledged)

    assert seen(built(last, tmp_path / "built"), timed=()) == {
        path: (*entry[:2], None, entry[3]) for path, entry in seen(disk, timed=()).items()
    }


def test_log_goes_on_after_a_process_has_died(disk, there):
    faulty = FaultyFiles()
    log = PowerLog(disk, files=faulty)
    with folder(log, disk) as fd:
        for name in "ab":
            write(log, fd, name, b"")
        faulty.arm(1, Stop())
        with pytest.raises(PowerOff):
            write(log, fd, "c", b"")
    faulty.restart()
    with folder(log, disk) as fd:
        log.unlink("a", dir_fd=fd)
        log.sync(fd)
    log.acknowledge(1)

    assert there(log, "synced")[-1] == ({"b": b""}, (1,))
