"""Stores whose locks others hold, whose place others take, or whose file system cannot lock."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import closing, contextmanager

import pytest

from statestore import Store
from statestore.drivers.directory import DirectoryDriver
from statestore.drivers.file_systems import REFUSALS
from statestore.errors import (
    ConfigurationError,
    FilesBehind,
    LockTimeout,
    StorageError,
    StoreReplaced,
    UnsafeFilesystem,
    UnsafeStore,
)
from statestore.files.calls import SystemFiles
from statestore.files.folders import open_folder
from statestore.files.holders import HOLDER_OFFSET
from statestore.files.locks import FileLock
from statestore.managers import TaskManager
from statestore.testing.driver import contents, key, put
from statestore.testing.faulty import Fail, FaultyFiles, below, named

LOCKS = ("lock", "materialise")


@pytest.fixture
def taken(root):
    """Let somebody else have a lock for a while, for which the driver that is named waits not."""

    @contextmanager
    def take(name, driver=None):
        place, journal = driver and driver._opening.place, driver and driver._ledger._journal
        mine = driver and (journal._lock if name == "lock" else place._lock)
        with open_folder(str(root / ".statestore")) as own:
            theirs = FileLock(own.open_file(name, write=True))
        with closing(theirs), theirs.held(), pytest.MonkeyPatch.context() as patch:
            if mine:
                patch.setattr(mine, "_timeout_s", 0.0)
            yield

    return take


@pytest.fixture
def store(root):
    with Store(root) as store:
        store.tasks = store.register(TaskManager())
        yield store


@pytest.fixture
def child(root, tmp_path):
    """Run Python code as another process on the store; it is stopped when the test ends."""
    processes = []

    def run(code, *arguments):
        head = "import os, signal, sys\nfrom statestore.drivers.directory import DirectoryDriver\n"
        head += "from statestore.testing.driver import contents, key, put\n"
        head += "path = sys.argv[1]\n"
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", head + textwrap.dedent(code), str(root), *arguments],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


HOLD = {
    "lock": """
        driver = DirectoryDriver(path)
        with driver._ledger._journal.held():
            print("held", flush=True)
            sys.stdin.readline()
        driver.commit([put("of-the-child")], {})
        print("done", flush=True)
    """,
    "materialise": """
        driver = DirectoryDriver(path)
        with driver._opening.place.writing("hold"):
            print("held", flush=True)
            sys.stdin.readline()
        driver.commit([put("of-the-child")], {})
        print("done", flush=True)
    """,
}


# --- the locks of others ----------------------------------------------------------------


def test_commit_behind_a_lock_that_stays_is_given_up_and_can_be_repeated(opened, taken):
    driver = opened(materialize="background")
    driver.commit([put("a", n=1)], {})

    with taken("lock", driver):
        with pytest.raises(LockTimeout) as raised:
            driver.commit([put("a", n=2)], {key("a"): 1})
        assert raised.value.path.endswith(".statestore/lock")
        assert raised.value.pid == os.getpid()
    driver.commit([put("a", n=3)], {key("a"): 1})

    assert contents(opened()) == {"a": {"id": "a", "n": 3}}


def test_files_behind_a_lock_that_stays_follow_later(opened, root, taken):
    driver = opened(materialize="background")

    with taken("materialise", driver):
        driver.commit([put("a")], {})
        with pytest.raises(LockTimeout) as raised:
            driver.flush()
        assert raised.value.path.endswith(".statestore/materialise")
        assert not (root / "notes" / "a.json").exists()
    driver.flush()

    assert (root / "notes" / "a.json").exists()


def test_opening_does_not_wait_for_those_who_write_files(opened, root, taken):
    opened().commit([put("a")], {})

    with taken("materialise"):
        driver = DirectoryDriver(root, lock_timeout_s=0.0)
        driver.prepare("notes")
        assert driver.read(put("a").key).revision == 1
        driver.close()


def test_opening_behind_a_lock_that_stays_is_given_up(opened, root, taken, listing):
    opened().close()
    before = listing(root)

    with taken("lock"), pytest.raises(LockTimeout):
        DirectoryDriver(root, lock_timeout_s=0.0)
    after = listing(root)

    for found in (before, after):
        found.pop(".statestore/lock")  # there the other one is named
    assert after == before
    opened().commit([put("a")], {})


def test_closing_with_nothing_left_to_write_does_not_fail_for_a_lock(opened, taken):
    for name in LOCKS:
        driver = opened()
        driver.commit([put(name)], {})
        with taken(name, driver):
            driver.close()


def test_closing_does_not_fail_for_a_lock_that_is_taken_at_its_end(opened, monkeypatch):
    driver = opened()
    driver.commit([put("a")], {})

    def end():
        raise LockTimeout("lock", 30.0)

    monkeypatch.setattr(driver._ledger._journal, "end", end)
    driver.close()

    assert contents(opened()) == {"a": {"id": "a"}}


def test_other_holder_is_no_news_to_who_only_reads(opened, root):
    opened().commit([put("a")], {})
    files = FaultyFiles()
    driver = opened(read_only=True, files=files)
    with open_folder(str(root / ".statestore")) as own:
        file = own.open_file("lock", write=True)
    file.write_at(HOLDER_OFFSET, b"somebody else")
    file.close()
    files.calls.clear()

    driver.catch_up()

    assert not [call for call in files.calls if call.path.endswith(".log")]


def test_closing_with_files_behind_tells_of_them_and_of_the_lock(opened, taken):
    driver = opened(materialize="background")
    with taken("materialise", driver):
        driver.commit([put("a")], {})
        with pytest.raises(FilesBehind, match=r"journal: process .* has held") as raised:
            driver.close()
        assert "nothing was changed" not in str(raised.value)
        assert [failure.key for failure in raised.value.failures] == [put("a").key]

    assert contents(opened()) == {"a": {"id": "a"}}


def test_save_raises_the_timeout_itself_and_keeps_what_was_unsaved(store, taken):
    store.tasks.create("a", id="a")

    with taken("lock", store._engine.driver):
        for save in (
            store.save_all,
            lambda: store.save("tasks"),
            lambda: store.save_all(strict=False),
        ):
            with pytest.raises(LockTimeout):
                save()
        assert len(store.unsaved) == 1
    store.save_all()

    assert not store.unsaved


def test_transaction_raises_the_timeout_itself_and_is_undone(store, taken):
    with taken("lock", store._engine.driver):
        with pytest.raises(LockTimeout), store.transaction():
            store.tasks.create("a", id="a")
        assert "a" not in store.tasks
    with store.transaction():
        store.tasks.create("a", id="a")

    assert "a" in store.tasks


def test_timeout_is_the_one_of_the_settings_unless_one_is_given(root, taken):
    Store(root).close()
    (root / "statestore.toml").write_text("lock_timeout_s = 0.0\n")

    with taken("lock"), pytest.raises(LockTimeout):
        Store(root)
    (root / "statestore.toml").write_text("lock_timeout_s = 3600.0\n")
    with taken("lock"), pytest.raises(LockTimeout):
        Store(root, lock_timeout_s=0)

    for wrong in (-1, float("inf"), float("nan"), True, "30"):
        with pytest.raises(ConfigurationError, match="lock_timeout_s"):
            Store(root, lock_timeout_s=wrong)


# --- dead holders, and stopped ones ------------------------------------------------------


@pytest.mark.parametrize("name", LOCKS)
def test_killed_holder_blocks_nobody(opened, child, name):
    opened().close()
    process = child(HOLD[name])
    assert process.stdout.readline() == "held\n"

    process.kill()
    process.wait()
    driver = opened()
    driver.commit([put("a")], {})
    driver.flush()

    assert contents(driver) == {"a": {"id": "a"}}


def commit_and_flush(driver):
    driver.commit([put("a")], {})
    driver.flush()


@pytest.mark.parametrize("name", LOCKS)
def test_stopped_holder_is_named_and_both_go_on_when_it_does(opened, child, name):
    driver = opened(materialize="background")
    process = child(HOLD[name])
    assert process.stdout.readline() == "held\n"
    os.kill(process.pid, signal.SIGSTOP)

    mine = driver._opening.place._lock if name == "materialise" else driver._ledger._journal._lock
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mine, "_timeout_s", 0.0)
        with pytest.raises(LockTimeout) as raised:
            commit_and_flush(driver)
    assert raised.value.pid == process.pid
    assert raised.value.host == os.uname().nodename
    assert raised.value.started_at is not None

    os.kill(process.pid, signal.SIGCONT)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"
    if name == "lock":
        driver.commit([put("a")], {})
    driver.flush()

    assert set(contents(driver)) == {"a", "of-the-child"}


# --- the place of an open store ----------------------------------------------------------


def _move(path, to):
    os.rename(path, to)


def _remove(path, to):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _replace(path, to):
    if path.is_dir():
        shutil.copytree(path, to)
    else:
        shutil.copy(path, to)
    os.rename(path, to.with_name("old"))
    os.rename(to, path)


@pytest.mark.parametrize(
    ("inside", "change", "told"),
    [
        (".", _move, "its folder was moved"),
        (".", _remove, "its folder was removed"),
        (".", _replace, "its folder was replaced by another"),
        (".statestore", _move, "its folder '.statestore' was moved"),
        (".statestore", _remove, "its folder '.statestore' was removed"),
        (".statestore", _replace, "its folder '.statestore' was replaced by another"),
        (".statestore/lock", _remove, "its '.statestore/lock' was removed"),
        (".statestore/lock", _move, "its '.statestore/lock' was removed"),
        (".statestore/lock", _replace, "its '.statestore/lock' was replaced by another"),
    ],
)
def test_replaced_store_takes_no_commit_and_is_read_on(
    opened, root, tmp_path, visible, inside, change, told
):
    driver = opened()
    driver.commit([put("a", n=1)], {})
    change(root / inside, tmp_path / "elsewhere")
    before = visible(tmp_path)

    for _ in range(2):
        with pytest.raises(StoreReplaced, match=told) as raised:
            driver.commit([put("a", n=2)], {key("a"): 1})
        assert raised.value.path == str(root)
    with pytest.raises(StoreReplaced, match=told):
        driver._opening.place.want_here()
    with pytest.raises(StoreReplaced, match=told):
        driver.flush()
    if change is not _remove or inside != ".":
        assert contents(driver) == {"a": {"id": "a", "n": 1}}
    driver.close()  # all that was committed is in files, wherever these are now

    assert visible(tmp_path) == before


@pytest.mark.parametrize("name", ["materialise", "alive"])
def test_files_are_not_written_beside_those_who_lock_another_file(opened, root, name):
    driver = opened(materialize="background")
    (root / ".statestore" / name).unlink()

    with opened_elsewhere(root), pytest.raises(StoreReplaced, match=f"/{name}' was replaced"):
        driver.flush()
    with pytest.raises(StoreReplaced):
        driver.rewrite("notes", driver.serializer)


def opened_elsewhere(root):
    return closing(DirectoryDriver(root))


def test_closing_a_replaced_store_writes_nothing_into_its_journal(opened, root, tmp_path):
    driver = opened()
    driver.commit([put("a")], {})
    shutil.copy(root / ".statestore" / "lock", tmp_path / "lock")
    os.rename(tmp_path / "lock", root / ".statestore" / "lock")
    segments = sorted((root / ".statestore" / "journal").iterdir())
    before = [one.read_bytes() for one in segments]

    driver.close()

    assert [one.read_bytes() for one in segments] == before


@pytest.mark.parametrize("read_only", [False, True])
def test_replaced_store_is_not_taken_for_one_without_news(opened, root, tmp_path, read_only):
    opened().commit([put("a")], {})
    driver = opened(read_only=read_only)
    assert driver.catch_up() == 1
    os.rename(root, tmp_path / "moved")

    with pytest.raises(StoreReplaced, match="its folder was moved"):
        driver.catch_up()
    assert contents(driver) == {"a": {"id": "a"}}


def test_read_only_opening_notices_that_its_folder_was_replaced(opened, root, tmp_path):
    opened().commit([put("a")], {})
    driver = opened(read_only=True)
    driver._opening.place.want_here()
    os.rename(root, tmp_path / "moved")

    with pytest.raises(StoreReplaced, match="its folder was moved"):
        driver._opening.place.want_here()
    assert contents(driver) == {"a": {"id": "a"}}


def test_save_and_transaction_raise_it_themselves(store, root, tmp_path):
    store.tasks.create("a", id="a")
    os.rename(root, tmp_path / "moved")

    with pytest.raises(StoreReplaced):
        store.save_all()
    with pytest.raises(StoreReplaced), store.transaction():
        store.tasks.create("b", id="b")

    assert len(store.unsaved) == 1
    os.rename(tmp_path / "moved", root)


def test_system_that_does_not_tell_stops_a_commit_all_the_same(opened, root):
    files = FaultyFiles()
    driver = opened(files=files)
    files.arm(1, Fail(errno.EACCES), only=below(root / ".statestore" / "lock", named("status_of")))

    with pytest.raises(StorageError):
        driver.commit([put("a")], {})
    driver.commit([put("a")], {})


# --- file systems -----------------------------------------------------------------------


class OnFileSystem(SystemFiles):
    """Files on a file system of a name, which locks, refuses locks, or gives them to everybody."""

    def __init__(self, name="ext4", *, below="", refusal=None, exclusive=True):
        self.name, self.below, self.refusal, self.exclusive = name, below, refusal, exclusive

    def file_system(self, fd):
        path = os.readlink(f"/proc/self/fd/{fd}")
        return self.name if path.startswith(self.below) else "ext4"

    def lock(self, fd, *, shared=False, wait=True):
        if self.refusal is not None:
            raise OSError(self.refusal, os.strerror(self.refusal))
        return super().lock(fd, shared=shared, wait=wait) or not self.exclusive

    def unlock(self, fd):
        if self.refusal is not None:
            raise OSError(self.refusal, os.strerror(self.refusal))
        super().unlock(fd)


UNSAFE = ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "fuse.sshfs", "ceph", "lustre"]


@pytest.mark.parametrize("name", UNSAFE)
def test_file_system_of_other_machines_is_refused_before_anything_is_made(root, tmp_path, name):
    with pytest.raises(UnsafeFilesystem) as raised:
        DirectoryDriver(root / "below", files=OnFileSystem(name))

    assert raised.value.filesystem == name
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", UNSAFE)
def test_existing_store_on_such_a_file_system_is_refused_unchanged(opened, root, listing, name):
    opened().close()
    before = listing(root)

    with pytest.raises(UnsafeFilesystem):
        opened(files=OnFileSystem(name))

    assert listing(root) == before


def test_such_a_file_system_may_be_read_and_be_used_by_those_who_insist(opened):
    files = OnFileSystem("nfs4")
    opened(files=files, allow_unsafe=True).commit([put("a")], {})

    assert contents(opened(files=files, read_only=True)) == {"a": {"id": "a"}}


@pytest.mark.parametrize("name", ["", "ext4", "xfs", "btrfs", "overlay", "tmpfs", "zfs", "novel"])
def test_file_system_that_is_local_or_not_known_is_judged_by_its_locks(opened, name):
    opened(files=OnFileSystem(name)).commit([put("a")], {})


def test_other_file_system_in_place_of_the_inner_folder_is_found(opened, root, monkeypatch):
    opened().close()
    files = OnFileSystem("nfs4", below=str(root / ".statestore"))
    true = SystemFiles.status

    def status(self, fd):
        found = true(self, fd)
        if os.readlink(f"/proc/self/fd/{fd}") == str(root / ".statestore"):
            return os.stat_result((*found[:2], found.st_dev + 1, *found[3:]))
        return found

    monkeypatch.setattr(OnFileSystem, "status", status, raising=False)
    with pytest.raises(UnsafeFilesystem):
        opened(files=files)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_file_system_that_refuses_locks_is_refused(opened, refusal):
    with pytest.raises(UnsafeFilesystem, match="refuses locks") as raised:
        opened(files=OnFileSystem("novel", refusal=refusal))

    assert raised.value.filesystem == "novel"


@pytest.mark.parametrize("refusal", REFUSALS)
def test_file_system_that_refuses_locks_serves_those_who_insist(opened, refusal):
    files = OnFileSystem(refusal=refusal)
    driver = opened(files=files, allow_unsafe=True)
    driver.commit([put("a")], {})
    driver.close()

    assert contents(opened(files=files, allow_unsafe=True)) == {"a": {"id": "a"}}


def test_other_failure_of_a_lock_is_no_matter_of_the_file_system(opened):
    with pytest.raises(StorageError):
        opened(files=OnFileSystem(refusal=errno.EIO))
    with pytest.raises(StorageError):
        opened(files=OnFileSystem(refusal=errno.EIO), allow_unsafe=True)


def test_file_system_that_gives_one_lock_to_two_is_refused(opened):
    with pytest.raises(UnsafeFilesystem, match="one lock to two"):
        opened(files=OnFileSystem(exclusive=False))


def test_folder_that_is_open_to_others_is_told_first(opened, root):
    opened().close()
    root.chmod(0o777)

    with pytest.raises(UnsafeStore):
        opened(files=OnFileSystem("nfs4"))


# --- several paths, several openings ----------------------------------------------------

CONTEND = """
    driver = DirectoryDriver(sys.argv[2])
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(40):
        driver.commit([put(f"{sys.argv[3]}-{number}")], {})
    driver.close()
    print("done", flush=True)
"""


def _contend(child, paths):
    processes = [child(CONTEND, str(path), str(number)) for number, path in enumerate(paths)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        assert process.stdout.readline() == "done\n"
        assert process.wait() == 0


def test_paths_by_way_of_links_lead_to_one_store(opened, root, tmp_path, child):
    opened().close()
    (tmp_path / "link").symlink_to(root)
    (tmp_path / "around").symlink_to(tmp_path)

    _contend(child, [root, tmp_path / "link", tmp_path / "around" / "store"])

    driver = opened()
    assert len(contents(driver)) == 120
    assert driver.sequence == 120
    assert [one.sequence for one in driver.changes(0)] == list(range(1, 121))


def test_paths_by_way_of_mounts_lead_to_one_store(opened, root, tmp_path):
    opened().close()
    (tmp_path / "mount").mkdir()
    bind = f"mount --bind {root} {tmp_path / 'mount'}"
    allowed = subprocess.run(
        ["unshare", "-rm", "sh", "-c", bind], capture_output=True, text=True, check=False
    )
    if allowed.returncode:
        pytest.skip(f"the system lets nobody mount: {allowed.stderr.strip()}")
    work = tmp_path / "work.py"
    head = "import sys\nfrom statestore.drivers.directory import DirectoryDriver\n"
    head += "from statestore.testing.driver import put\n"
    work.write_text(head + textwrap.dedent(CONTEND))
    run = f"{sys.executable} {work} -"
    # In one mount namespace: one process goes by the folder, the other by the mount of it.
    steps = f"{bind} && (yes | {run} {root} 0 & {run} {tmp_path / 'mount'} 1 < /dev/null; wait)"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", steps],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.count("done") == 2, done.stderr

    driver = opened()
    assert len(contents(driver)) == 80
    assert [one.sequence for one in driver.changes(0)] == list(range(1, 81))


def _save(store, name):
    for number in range(15):
        store.managers["tasks"].create("x", id=f"{name}-{number}")
        store.save_all()


def _convert(store, name):
    for format in ("yaml", "json") * 2:
        store.convert(format)


def _back_up(store, name):
    for number in range(3):
        store.backup(name=f"{name}-{number}")


def _flush(store, name):
    for _ in range(10):
        store.flush()


def _come_and_go(store, name):
    for number in range(5):
        with Store(store.path) as another:
            another.register(TaskManager()).create("x", id=f"{name}-another-{number}")
            another.save_all()


def test_whatever_is_done_at_once_ends(root):
    # Who has the lock for record files may take that of the journal, never the other way round.
    failures = []

    def guarded(act, store, name):
        try:
            act(store, name)
        except Exception as error:  # noqa: BLE001 # told at the end
            failures.append(error)

    stores = [Store(root), Store(root)]
    for store in stores:
        store.register(TaskManager())
    threads = [
        threading.Thread(target=guarded, args=(act, store, str(name)), daemon=True)
        for name, store in enumerate(stores)
        for act in (_save, _convert, _back_up, _flush, _come_and_go)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert not any(thread.is_alive() for thread in threads)
    for store in stores:
        store.close()

    assert failures == []
    with Store(root) as store:
        tasks = store.register(TaskManager())
        assert store.load_all().failures == ()
        assert len(tasks) == 40
