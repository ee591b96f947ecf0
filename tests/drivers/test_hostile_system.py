"""Systems that are out to harm: full, short of descriptors, read-only, failing, folding names,
with links that are turned while they are used and clocks that jump.
"""

import errno
import os
import re
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime
from itertools import count

import pytest

from statestore.drivers.directory import DirectoryDriver
from statestore.errors import HeldKey, StateStoreError, StorageError, UnsafeFile, UnsafeStore
from statestore.files.calls import SystemFiles
from statestore.models.changes import Delete, Put, Stored
from statestore.models.reports import Failure
from statestore.testing.driver import HOSTILE_IDS, contents, key, put, refused
from statestore.testing.faulty import Fail, FaultyFiles, below

# --- the disk -------------------------------------------------------------------------


def test_read_only_opening_makes_no_changing_call(root, opened, listing):
    driver = opened()
    driver.commit([put("a", n=1), put("b", "tasks")], {})
    driver.close()
    before = listing(root)
    files = FaultyFiles()
    files.arm(1, Fail(errno.EROFS), sticky=True)

    driver = opened(read_only=True, files=files)
    found = contents(driver), contents(driver, "tasks")
    driver.read(key("a"))
    driver.flush()
    driver.close()

    assert found == ({"a": {"id": "a", "n": 1}}, {"b": {"id": "b"}})
    assert files.changing() == []
    assert listing(root) == before


def test_record_that_the_disk_does_not_give_leaves_the_others(root, opened):
    first = opened()
    first.commit([put(id, n=1) for id in "abc"], {})
    first.close()
    files = FaultyFiles()
    files.arm(
        1,
        Fail(errno.EIO),
        only=below(root / "notes" / "b.json", lambda call: call.name in ("read", "read_at")),
        sticky=True,
    )

    driver = opened(files=files)
    found = list(driver.scan("notes"))
    stored = [one.key.id for one in found if isinstance(one, Stored)]
    [failure] = [one for one in found if isinstance(one, Failure)]

    assert stored == ["a", "c"]
    assert failure.key == key("b")
    assert isinstance(failure.error, StorageError)
    assert failure.error.errno == errno.EIO
    assert isinstance(refused(driver, [put("b", n=2)], {})[key("b")], HeldKey)
    files.disarm()
    assert sorted(contents(driver)) == ["a", "b", "c"]


LIMITED = """
    import os, resource, sys
    from statestore.drivers.directory import DirectoryDriver
    from statestore.errors import FilesBehind, StateStoreError, StorageError
    from statestore.models.changes import Put
    from statestore.models.keys import Key

    def put(id, text):
        return Put(Key("notes", id), {"id": id, "text": text})

    def save(driver, id, text):
        try:
            driver.commit([put(id, text)], {})
        except StateStoreError as error:
            causes = [one.error for one in getattr(error, "failures", ())] or [error]
            return {getattr(cause, "errno", None) for cause in causes}
        try:
            driver.flush()
        except (FilesBehind, StorageError):
            return None  # what is committed is safe, and its file follows later

    what, number = sys.argv[2].split("=")
    limit = getattr(resource, what)
    open_now = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    driver = DirectoryDriver(sys.argv[1])
    assert save(driver, "old", "older") is None
    assert save(driver, "old", "old") is None  # by now all that is imported when needed is there
    before = resource.getrlimit(limit)
    least = os.dup(0)
    os.close(least)
    resource.setrlimit(limit, (int(number) or least, before[1]))
    told = save(driver, "old", "new" * 1_000_000), save(driver, "other", "text" * 1_000_000)
    resource.setrlimit(limit, before)
    try:
        driver.close()
    except StateStoreError:
        pass

    driver = DirectoryDriver(sys.argv[1])
    stored = {one.key.id: one.document["text"][:3] for one in driver.scan("notes")}
    assert save(driver, "last", "text") is None
    driver.close()
    if open_now:
        assert len(os.listdir("/proc/self/fd")) == open_now
    wanted = {"old": "old" if told[0] else "new", **({} if told[1] else {"other": "tex"})}
    assert stored == wanted, (told, stored)
    print(told)
"""


@pytest.mark.parametrize(
    ("limit", "number"),
    [("RLIMIT_FSIZE=1000000", errno.EFBIG), ("RLIMIT_NOFILE=0", errno.EMFILE)],
)
def test_limit_of_the_process_is_told_and_harms_nothing(root, limit, number):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIMITED), str(root), limit],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    if number == errno.EFBIG:  # what is too large cannot be saved; a descriptor may not be needed
        assert done.stdout == f"({{{number}}}, {{{number}}})\n"
    else:
        assert set(re.findall(r"\w+", done.stdout)) <= {str(number), "None"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_disk_leaves_what_was_there_and_can_be_read(root, opened, number):
    files = FaultyFiles()
    driver = opened(files=files)
    driver.commit([put("a", n=1)], {})
    driver.flush()
    files.arm(
        1, Fail(number, torn=True), only=lambda call: call.name.startswith("write"), sticky=True
    )

    with pytest.raises(StateStoreError):
        driver.commit([put("a", n=2)], {})

    assert contents(driver) == {"a": {"id": "a", "n": 1}}
    files.disarm()
    driver.close()
    driver = opened()
    assert contents(driver) == {"a": {"id": "a", "n": 1}}
    driver.commit([put("a", n=3)], {key("a"): 1})
    assert contents(driver) == {"a": {"id": "a", "n": 3}}


# --- links that are turned ------------------------------------------------------------


class Turning:
    """Turns a name between the true file or folder and a link to another, as fast as it can."""

    def __init__(self, path, target):
        self._path, self._target = path, target
        self._stop, self._turned = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._turn)

    def __enter__(self):
        self._thread.start()
        assert self._turned.wait(20)
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _turn(self):
        for number in count():
            if self._stop.is_set():
                return
            away, link = f"{self._path}.{number}.away", f"{self._path}.{number}.link"
            os.symlink(self._target, link)
            try:
                os.rename(self._path, away)
                os.rename(link, self._path)
                self._turned.set()
                os.unlink(self._path)
                os.rename(away, self._path)
            except OSError:  # the driver was between
                if os.path.islink(link):
                    os.unlink(link)


def test_link_that_is_turned_under_a_record_is_never_followed(root, opened, lay, tmp_path):
    lay("a.json", data={"id": "a", "text": "ours"})
    secret = tmp_path / "secret.json"
    secret.write_bytes((root / "notes" / "a.json").read_bytes().replace(b"ours", b"theirs"))
    kept = secret.read_bytes()
    driver = opened()

    with Turning(root / "notes" / "a.json", secret):
        for number in range(300):
            try:
                assert driver.read(key("a")).document["text"] != "theirs"
                driver.commit([Put(key("a"), {"id": "a", "text": f"ours {number}"})], {})
            except StateStoreError:
                pass

    assert secret.read_bytes() == kept
    assert secret.stat().st_nlink == 1


def test_link_that_is_turned_under_a_folder_is_never_followed(root, opened, lay, tmp_path):
    lay("a.json", data={"id": "a", "text": "ours"})
    outside = tmp_path / "outside"
    outside.mkdir()
    kept = (root / "notes" / "a.json").read_bytes().replace(b"ours", b"theirs")
    (outside / "a.json").write_bytes(kept)
    driver = opened()

    with Turning(root / "notes", outside):
        for number in range(300):
            try:
                assert driver.read(key("a")).document["text"] != "theirs"
                driver.commit([Put(key("b"), {"id": "b", "text": f"{number}"})], {})
            except StateStoreError:
                pass

    assert os.listdir(outside) == ["a.json"]
    assert (outside / "a.json").read_bytes() == kept


def test_device_in_the_place_of_a_record_is_refused(root, opened, lay):
    lay("good.json")
    try:
        os.mknod(root / "notes" / "bad.json", 0o20600, os.makedev(1, 5))  # /dev/zero
        os.close(os.open(root / "notes" / "bad.json", os.O_RDONLY))
    except OSError:
        pytest.skip("devices cannot be made here")

    driver = opened()

    with pytest.raises(UnsafeFile):
        driver.read(key("bad"))
    assert isinstance(refused(driver, [Delete(key("bad"))], {})[key("bad")], HeldKey)
    assert driver.read(key("good")).revision == 1


# --- disks that fold names ------------------------------------------------------------


class FoldingFiles(SystemFiles):
    """A disk that keeps the case of names and does not tell them apart by it."""

    def _there(self, name, dir_fd):
        if dir_fd is None:
            return name
        folded = name.casefold()
        return next((one for one in os.listdir(dir_fd) if one.casefold() == folded), name)

    def open(self, name, flags, mode=0o600, *, dir_fd=None):
        return super().open(self._there(name, dir_fd), flags, mode, dir_fd=dir_fd)

    def status_of(self, name, *, dir_fd=None):
        return super().status_of(self._there(name, dir_fd), dir_fd=dir_fd)

    def rename(self, old, new, *, old_fd, new_fd):
        old, new = self._there(old, old_fd), self._there(new, new_fd)
        super().rename(old, new, old_fd=old_fd, new_fd=new_fd)

    def link(self, old, new, *, old_fd, new_fd):
        old, new = self._there(old, old_fd), self._there(new, new_fd)
        super().link(old, new, old_fd=old_fd, new_fd=new_fd)

    def unlink(self, name, *, dir_fd):
        super().unlink(self._there(name, dir_fd), dir_fd=dir_fd)

    def mkdir(self, name, mode, *, dir_fd=None):
        super().mkdir(self._there(name, dir_fd), mode, dir_fd=dir_fd)

    def rmdir(self, name, *, dir_fd):
        super().rmdir(self._there(name, dir_fd), dir_fd=dir_fd)


TWINS = (
    "a",
    "A",
    "\u00e9",
    "\u00c9",
    "ss",
    "\u00df",
    "SS",
    "Straße",
    "STRASSE",
    "i",
    "\u0130",
    "I",
)


def test_ids_that_differ_by_case_alone_are_kept_apart_on_a_disk_that_folds(root, opened):
    ids = sorted({*HOSTILE_IDS, *TWINS})
    driver = opened(files=FoldingFiles())
    driver.commit([put(id, it=id) for id in ids], {})
    driver.commit([put(id, it=id, n=2) for id in TWINS], {key(id): 1 for id in TWINS})
    driver.commit([Delete(key("A"))], {key("A"): 2})
    driver.close()

    found = contents(opened(files=FoldingFiles()))

    assert sorted(found) == sorted({*ids} - {"A"})
    assert all(document["it"] == id for id, document in found.items())


# --- clocks ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1960, 2, 29, tzinfo=UTC),
        datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
        datetime(2400, 1, 1, tzinfo=UTC),
    ],
    ids=lambda moment: str(moment.year),
)
def test_clock_that_is_wrong_loses_nothing(root, clock, opened, moment):
    right = clock.now
    revisions = []
    for now in (right, moment, right, moment):
        clock.now = now
        driver = opened()
        commit = driver.commit([put("a", now=str(now)), put(str(now.year))], {})
        revisions.append(commit.revisions[key("a")])
        assert contents(driver)["a"]["now"] == str(now)
        driver.close()

    found = contents(opened())

    assert revisions == [1, 2, 3, 4]
    assert found["a"]["now"] == str(moment)
    assert {str(right.year), str(moment.year)} <= set(found)


# --- descriptors ----------------------------------------------------------------------


@pytest.mark.parametrize("read_only", [False, True], ids=["to write", "to read"])
def test_opening_that_fails_at_any_call_leaves_no_descriptor(root, opened, read_only):
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("this system does not list the descriptors of a process")
    opened().close()
    before = len(os.listdir("/proc/self/fd"))

    for at in range(1, 100):
        files = FaultyFiles()
        files.arm(at, Fail(errno.EMFILE), only=lambda call: call.name != "close")
        told = None
        try:
            DirectoryDriver(root, files=files, read_only=read_only).close()
        except StorageError as error:
            told = error.errno
        assert told in (None, errno.EMFILE)
        assert len(os.listdir("/proc/self/fd")) == before
        if not files.chosen(lambda call: call.fault is not None):
            assert at > 3
            return
    pytest.fail("the opening never came to its end")


# --- owners ---------------------------------------------------------------------------


@pytest.mark.parametrize("part", [".", ".statestore"])
def test_store_of_another_user_is_refused(root, opened, listing, monkeypatch, part):
    driver = opened()
    driver.commit([put("a")], {})
    driver.close()
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to another user")
    os.chown(root / part, 4321, -1)
    before = listing(root)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)

    for read_only in (False, True):
        with pytest.raises(UnsafeStore, match="another user"):
            opened(read_only=read_only)

    assert listing(root) == before
    assert contents(opened(allow_unsafe=True)) == {"a": {"id": "a"}}
