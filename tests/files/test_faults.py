"""A save in which any one system call fails, or at which the process ends."""

import contextlib
import errno
import os
import shutil
from itertools import count

import pytest

from statestore.drivers.directory import DirectoryDriver
from statestore.errors import StateStoreError, StorageError, StoreInDoubt
from statestore.files.folders import Folder, open_folder
from statestore.models.changes import Delete, Put, Stored
from statestore.models.keys import Key
from statestore.models.reports import Failure
from statestore.serializers import get
from statestore.testing.driver import SteppedClock
from statestore.testing.faulty import Fail, FaultyFiles, PowerOff, ShortWrite, Stop

FAULTS = {
    "EIO": Fail(errno.EIO),
    "ENOSPC": Fail(errno.ENOSPC),
    "torn ENOSPC": Fail(errno.ENOSPC, torn=True),
    "stop": Stop(),
    "torn stop": Stop(torn=True),
    "short write": ShortWrite(),
}
BIG = "x" * 5000


def put(kind, id, text):
    return Put(Key(kind, id), {"id": id, "text": text})


OLD = {
    Key("notes", "replaced"): "old",
    Key("notes", "switched"): "old",
    Key("notes", "deleted"): "old",
}
NEW = {
    Key("notes", "replaced"): "new" + BIG,
    Key("notes", "switched"): "new" + BIG,
    Key("notes", "created"): "new" + BIG,
    Key("tasks", "first-of-its-kind"): "new" + BIG,
}
CHANGES = [*(put(key.kind, key.id, text) for key, text in NEW.items()), Delete(*list(OLD)[2:])]
EXPECT = {key: int(key in OLD) for key in {**OLD, **NEW}}


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    root = tmp_path_factory.mktemp("before") / "store"
    with_json = DirectoryDriver(root, clock=SteppedClock())
    with_json.commit([put(key.kind, key.id, text) for key, text in OLD.items()], {})
    with_json.close()
    with_yaml = DirectoryDriver(root, format="yaml", clock=SteppedClock())
    with_yaml.rewrite("notes", with_yaml.serializer)
    with_yaml.close()
    with_json = DirectoryDriver(root, clock=SteppedClock())
    with_json.commit([put("notes", "replaced", "old")], {})
    with_json.close()
    assert sorted(os.listdir(root / "notes")) == ["deleted.yaml", "replaced.json", "switched.yaml"]
    return root


EXPECT[Key("notes", "replaced")] = 2


def contents(root):
    """Return what a new driver reads. No record may be unreadable, or there twice."""
    driver = DirectoryDriver(root)
    found = {}
    for kind in driver.kinds():
        for one in driver.scan(kind):
            assert isinstance(one, Stored), one
            assert one.key not in found
            found[one.key] = one.document["text"]
    driver.close()
    return found


def temporary_files(root):
    return [name for _, _, files in os.walk(root) for name in files if name.startswith(".@")]


def opened(root, **options):
    """Open a driver whose commits wait for their files, so that the order of calls is one."""
    return DirectoryDriver(root, clock=SteppedClock(), materialize="now", **options)


def close(driver, files):
    """Close a driver; one whose process has ended lets go of its files only."""
    with contextlib.suppress(PowerOff):  # which may come as late as here
        driver.close()
    files.release()


def attempted(driver):
    """Commit all changes; return what was raised."""
    try:
        driver.commit(CHANGES, EXPECT)
    except (StateStoreError, PowerOff) as error:
        return error
    return None


def causes(error):
    """Yield an error, those that it groups, and what each was raised from."""
    if error is not None:
        yield error
        yield from causes(error.__cause__)
        for failure in getattr(error, "failures", ()):
            yield from causes(failure.error)


def each_call(copy_of, tmp_path):
    """Yield a copy of a store and files, for each call of a save, until none is left to fail."""
    for at in count(1):
        root = tmp_path / str(at)
        if copy_of is not None:
            shutil.copytree(copy_of, root)
        files = FaultyFiles()
        yield at, root, files
        if not any(call.fault is not None for call in files.calls):
            assert at > 25, "a save makes more calls than that"
            return
        shutil.rmtree(root, ignore_errors=True)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_save_happens_wholly_or_not_at_all_wherever_it_fails(before, tmp_path, fault):
    for at, root, files in each_call(before, tmp_path):
        driver = opened(root, files=files)
        files.arm(at, fault)
        error = attempted(driver)
        files.disarm()
        if files.stopped or isinstance(error, StoreInDoubt):
            close(driver, files)

        found = contents(root)
        assert found in (OLD, NEW), at
        if error is None:
            assert found == NEW, at
        elif not isinstance(error, StoreInDoubt | PowerOff):
            assert found == OLD, at
        assert isinstance(error, PowerOff) == files.stopped
        if not files.stopped:
            assert temporary_files(root) == [], at

        if files.stopped or isinstance(error, StoreInDoubt):
            driver = opened(root)  # nothing of what the dead one left is in its way
        if found != NEW:
            driver.commit(CHANGES, EXPECT)
        driver.close()
        assert contents(root) == NEW, at
        names = {f"{path.parent.name}/{path.name}" for path in root.glob("[nt]*/*.*")}
        records = {name for name in names if "/.@" not in name}
        assert records == {f"{key.kind}/{key.id}.json" for key in NEW}, at


@pytest.mark.parametrize("fault", [Fail(errno.EIO), Fail(errno.ENOSPC), ShortWrite()], ids=repr)
def test_fault_is_told_unless_the_call_can_be_made_up_for(before, tmp_path, fault):
    for at, root, files in each_call(before, tmp_path):
        driver = opened(root, files=files)
        told = []
        driver.watch(told.append)
        files.arm(at, fault)

        error = attempted(driver)
        files.disarm()

        errors = [*causes(error), *(one for failure in told for one in causes(failure.error))]
        errnos = {one.errno for one in errors if isinstance(one, StorageError)}
        if isinstance(fault, ShortWrite):
            assert errors == [], at
        elif failed := [call for call in files.calls if call.fault is not None]:
            [failed] = failed
            # The mark of what is durable may be too low, and zeros behind the end may stay.
            harmless = failed.path.endswith("/lock") or failed.name == "truncate"
            assert errnos == {fault.errno} or (harmless and not errors), (at, failed)
        close(driver, files)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_first_opening_can_be_repeated_wherever_it_fails(tmp_path, fault):
    for at, root, files in each_call(None, tmp_path):
        files.arm(at, fault)
        try:
            with contextlib.closing(DirectoryDriver(root / "new" / "store", files=files)) as driver:
                driver.commit(CHANGES[2:4], {})
        except (StateStoreError, PowerOff):
            assert not isinstance(fault, ShortWrite)
            if not files.stopped:
                assert temporary_files(root) == []

        files.release()
        again = DirectoryDriver(root / "new" / "store")
        again.commit(CHANGES[2:4], {})
        identity = again.store_id
        again.close()

        assert set(contents(root / "new" / "store")) == {change.key for change in CHANGES[2:4]}
        with contextlib.closing(DirectoryDriver(root / "new" / "store")) as third:
            assert third.store_id == identity


def test_no_descriptor_is_left_open_by_a_fault(before, tmp_path):
    open_now = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    if open_now is None:
        pytest.skip("this system does not list the descriptors of a process")
    for at, root, files in each_call(before, tmp_path):
        driver = opened(root, files=files)
        files.arm(at, Fail(errno.EIO))
        with contextlib.suppress(StateStoreError):
            driver.commit(CHANGES, EXPECT)
        with contextlib.suppress(StateStoreError):
            driver.close()

        assert len(os.listdir("/proc/self/fd")) == open_now, at


def test_delete_that_was_not_synced_is_synced_when_repeated(before, tmp_path, monkeypatch):
    root = tmp_path / "store"
    shutil.copytree(before, root)
    files = FaultyFiles()
    driver = DirectoryDriver(root, files=files)
    delete = CHANGES[-1]
    true = Folder.sync

    def sync(self):
        if self.path.endswith("/notes") and not os.path.exists(f"{root}/notes/deleted.yaml"):
            raise StorageError(self.path, "sync", errno.EIO, "Input/output error")
        true(self)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "sync", sync)
        driver.commit([delete], {delete.key: 1})
        with pytest.raises(StorageError):
            driver.flush()
    files.calls.clear()

    driver.flush()

    made = [(call.name, call.path) for call in files.changing()]
    assert ("sync", f"{root}/notes") in made
    assert made.index(("sync", f"{root}/notes")) < made.index(
        ("write_at", f"{root}/.statestore/lock")
    ), "it counts as written only then"
    driver.close()


# --- the order of calls ---------------------------------------------------------------


@pytest.fixture
def calls(before, tmp_path):
    """The changing calls of the whole save, and the path of the store."""
    root = tmp_path / "store"
    shutil.copytree(before, root)
    files = FaultyFiles()
    driver = opened(root, files=files)
    files.calls.clear()
    driver.commit(CHANGES, EXPECT)
    made = [call for call in files.changing() if "/.statestore/" not in call.path]
    driver.close()
    return made, str(root)


def test_file_is_synced_between_its_last_write_and_its_rename(calls):
    made, _ = calls
    renames = [call for call in made if call.name == "rename"]

    assert len(renames) == 4
    for rename in renames:
        own = [call.name for call in made[: made.index(rename)] if call.path == rename.path]
        assert "write" in own
        assert own.index("sync") > max(n for n, name in enumerate(own) if name == "write")
        assert own.index("sync") > own.index("set_mtime")
        assert own.count("close") == 1


def test_folder_is_synced_after_its_last_change(calls):
    made, root = calls

    for kind in ("notes", "tasks"):
        folder = f"{root}/{kind}"
        changes = [
            n
            for n, call in enumerate(made)
            if call.name in ("rename", "unlink", "mkdir")
            and os.path.dirname(call.to or call.path) == folder
        ]
        syncs = [n for n, call in enumerate(made) if (call.name, call.path) == ("sync", folder)]

        assert changes
        assert syncs[-1] > changes[-1]


def test_file_in_the_old_format_goes_after_the_new_one_is_there_for_good(calls):
    made, root = calls
    place = [(call.name, call.to or call.path) for call in made]

    new = place.index(("rename", f"{root}/notes/switched.json"))
    gone = place.index(("unlink", f"{root}/notes/switched.yaml"))

    assert ("sync", f"{root}/notes") in place[new:gone]


def test_new_folder_is_synced_into_the_one_around_it(calls):
    made, root = calls
    place = [(call.name, call.path) for call in made]

    made_at = place.index(("mkdir", f"{root}/tasks"))

    assert ("sync", root) in place[made_at:]
    assert place.index(("sync", root), made_at) < place.index(("sync", f"{root}/tasks"), made_at)


def test_new_store_is_synced_into_every_folder_that_was_made(tmp_path):
    files = FaultyFiles()

    DirectoryDriver(tmp_path / "a" / "b" / "store", files=files).close()

    place = [(call.name, call.path) for call in files.changing()]
    for folder in ("a", "a/b", "a/b/store", "a/b/store/.statestore"):
        made_at = place.index(("mkdir", f"{tmp_path}/{folder}"))
        assert ("sync", os.path.dirname(f"{tmp_path}/{folder}")) in place[made_at:], folder
    named = [call.to for call in files.changing()].index(
        f"{tmp_path}/a/b/store/.statestore/meta.json"
    )
    assert ("sync", f"{tmp_path}/a/b/store/.statestore") in place[named:]


def test_folder_that_a_dead_process_made_is_synced_by_the_next(tmp_path):
    (tmp_path / "store" / "notes").mkdir(parents=True, mode=0o700)
    (tmp_path / "store").chmod(0o700)
    files = FaultyFiles()

    driver = DirectoryDriver(tmp_path / "store", files=files)
    driver.commit([put("notes", "a", "x")], {})
    driver.close()

    place = [(call.name, call.to or call.path) for call in files.changing()]
    named = place.index(("rename", f"{tmp_path}/store/notes/a.json"))
    assert ("sync", str(tmp_path)) in place[:named]
    assert ("sync", f"{tmp_path}/store") in place[:named]


def test_store_that_a_dead_process_made_is_synced_by_the_next(before, tmp_path):
    root = tmp_path / "store"
    shutil.copytree(before, root)
    files = FaultyFiles()

    DirectoryDriver(root, files=files).close()

    made = [(call.name, call.path) for call in files.changing()]
    lock = f"{root}/.statestore/lock"  # what processes tell each other, believed by none later
    assert [one for one in made if one[1] != lock] == [
        ("sync", str(tmp_path)),
        ("sync", str(root)),
        ("sync", f"{root}/.statestore"),
        ("sync", f"{root}/.statestore/journal"),
    ]
    assert {name for name, path in made if path == lock} <= {"write_at", "open", "close"}


def test_rewritten_files_are_there_for_good_before_the_old_ones_go(before, tmp_path):
    root = tmp_path / "store"
    shutil.copytree(before, root)
    files = FaultyFiles()
    driver = DirectoryDriver(root, files=files)
    files.calls.clear()

    driver.rewrite("notes", get("gzip"))
    driver.close()

    names = [call.name for call in files.changing() if call.path == f"{root}/notes"]
    place = [(call.name, call.path) for call in files.changing() if call.name != "close"]
    sync = ("sync", f"{root}/notes")
    renames = [n for n, (name, _) in enumerate(place) if name == "rename"]
    unlinks = [n for n, (name, _) in enumerate(place) if name == "unlink"]
    assert len(renames) == len(unlinks) == 3
    assert sync in place[renames[-1] : unlinks[0]]
    assert place[-1] == sync
    assert names == ["sync", "sync"]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_rewrite_loses_nothing_wherever_it_fails(before, tmp_path, fault):
    old = contents(before)
    for at in count(1):
        root = tmp_path / str(at)
        shutil.copytree(before, root)
        files = FaultyFiles()
        driver = DirectoryDriver(root, files=files)
        files.arm(at, fault)
        failures = []
        try:
            failures = driver.rewrite("notes", get("gzip")).failures
        except (StateStoreError, PowerOff) as error:
            failures = [error]
        if files.stopped:
            close(driver, files)

        assert contents(root) == old, at
        assert files.armed or failures or isinstance(fault, ShortWrite), at
        assert files.stopped or temporary_files(root) == []
        close(driver, files)
        with contextlib.closing(DirectoryDriver(root)) as again:
            assert again.rewrite("notes", get("gzip")).failures == ()
        assert contents(root) == old, at
        assert all(path.suffix == ".gz" for path in root.glob("notes/[a-z]*"))
        if files.armed:
            assert at > 25
            return


def test_moved_file_is_synced_in_both_folders_after_its_reason(before, tmp_path):
    root = tmp_path / "store"
    shutil.copytree(before, root)
    (root / "notes" / "bad.json").write_bytes(b"{")
    files = FaultyFiles()
    driver = DirectoryDriver(root, files=files)
    failure = next(one for one in driver.scan("notes") if isinstance(one, Failure))

    moved = f"{root}/{driver.set_aside(failure)}"
    driver.close()

    place = [(call.name, call.to or call.path) for call in files.changing()]
    reason, move = place.index(("rename", f"{moved}.why.json")), place.index(("rename", moved))
    assert reason < move
    assert ("sync", f"{root}/quarantine/notes") in place[move:]
    assert ("sync", f"{root}/notes") in place[move:]


# --- one folder -----------------------------------------------------------------------


@pytest.mark.parametrize("fault", [*FAULTS.values()], ids=FAULTS.keys())
def test_replaced_file_is_the_old_or_the_new_one_whole(tmp_path, fault):
    for at in count(1):
        (tmp_path / "file").write_bytes(b"old")
        files = FaultyFiles()
        folder = open_folder(str(tmp_path), files=files)
        files.arm(at, fault)
        data = b"n" * 1000
        try:
            folder.replace("file", data, mtime_ns=10**18)
        except (StorageError, PowerOff):
            data = b"old"
        assert (tmp_path / "file").read_bytes() == data
        assert files.stopped or os.listdir(tmp_path) == ["file"]
        folder.close()
        for name in os.listdir(tmp_path):
            os.unlink(tmp_path / name)
        if files.armed:
            assert at > 7
            return


def test_written_file_is_stopped_by_nothing_but_the_fault(tmp_path):
    files = FaultyFiles()
    folder = open_folder(str(tmp_path), files=files)
    files.arm(3, Stop())

    with pytest.raises(PowerOff):
        folder.replace("file", b"new")
    with pytest.raises(PowerOff):
        folder.names()

    assert [call.name for call in files.changing()] == ["open", "set_mode", "write"]
    folder.close()
