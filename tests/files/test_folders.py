"""Folders that are held open."""

import errno
import os
import stat
import subprocess

import pytest

from statestore.errors import StorageError, TooLarge, UnsafeFile
from statestore.files.folders import Modes, open_folder
from statestore.testing.faulty import Fail, FaultyFiles, PowerOff, ShortWrite, Stop, named


@pytest.fixture
def files():
    return FaultyFiles()


@pytest.fixture
def folder(tmp_path, files):
    with open_folder(str(tmp_path), files=files) as folder:
        files.calls.clear()
        yield folder


def test_replaced_file_holds_the_bytes_and_the_time(folder, tmp_path):
    for data in (b"", b"x", b"y" * (3 << 20)):
        mark = folder.replace("file", data, mtime_ns=1_000_000_123_456_000)

        content = folder.read("file", len(data))
        assert (content.data, content.mark, folder.mark("file")) == (data, mark, mark)
        assert os.stat(tmp_path / "file").st_mtime_ns == 1_000_000_123_456_000
    assert folder.names() == ["file"]


def test_what_is_missing_is_none(folder):
    assert folder.read("file", 9) is None
    assert folder.mark("file") is None
    assert folder.child("folder") is None
    assert folder.remove("file") is False
    folder.drop_child("folder")


@pytest.mark.parametrize("size", [10, 11, 5000])
def test_file_over_the_limit_is_refused(folder, files, tmp_path, size):
    (tmp_path / "file").write_bytes(b"x" * size)

    if size == 10:
        assert folder.read("file", 10).data == b"x" * 10
        return
    with pytest.raises(TooLarge):
        folder.read("file", 10)
    assert sum(call.size_bytes for call in files.calls) <= 11


def test_file_that_is_larger_than_it_says_is_refused(folder, files, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"x" * 10)
    monkeypatch.setattr(files, "read", lambda fd, size: b"x" * size)

    with pytest.raises(TooLarge):
        folder.read("file", 20)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (lambda path: path.mkdir(), "folder"),
        (os.mkfifo, "pipe"),
        (lambda path: path.symlink_to("other"), "symbolic link"),
    ],
)
def test_what_is_no_plain_file_is_named(folder, tmp_path, place, told):
    place(tmp_path / "odd")

    for call in (lambda: folder.read("odd", 9), lambda: folder.mark("odd")):
        with pytest.raises(UnsafeFile, match=told) as raised:
            call()
        assert raised.value.path == str(tmp_path / "odd")


def test_folder_in_the_place_of_a_file_is_left(folder, tmp_path):
    (tmp_path / "odd").mkdir()

    with pytest.raises((UnsafeFile, StorageError)):
        folder.replace("odd", b"x")
    with pytest.raises((UnsafeFile, StorageError)):
        folder.remove("odd")

    assert folder.names() == ["odd"]


def test_link_in_the_place_of_a_file_is_replaced_and_not_followed(folder, tmp_path):
    (tmp_path / "target").write_text("mine")
    (tmp_path / "link").symlink_to("target")

    folder.replace("link", b"new")

    assert (tmp_path / "target").read_text() == "mine"
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("create", [False, True])
def test_link_in_the_place_of_a_folder_is_refused(folder, tmp_path, create):
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "file").write_text("")

    for name in ("link", "file"):
        with pytest.raises(UnsafeFile):
            folder.child(name, create=create)


def test_folder_is_told_from_another_in_its_place(folder, tmp_path):
    child = folder.child("child", create=True)
    assert folder.holds("child", child)
    identity = folder.identity_at(str(tmp_path / "child"))

    os.rename(tmp_path / "child", tmp_path / "moved")
    assert not folder.holds("child", child)
    assert folder.identity_at(str(tmp_path / "child")) is None
    assert folder.identity_at(str(tmp_path / "moved")) == identity

    (tmp_path / "child").mkdir()
    assert not folder.holds("child", child)
    assert folder.identity_at(str(tmp_path / "child")) not in (None, identity)
    child.close()


def test_identity_that_the_system_does_not_tell_is_no_missing_one(files, tmp_path):
    files.arm(1, Fail(errno.EIO), only=named("status_of"))

    with open_folder(str(tmp_path), files=files) as folder, pytest.raises(StorageError):
        folder.identity_at(str(tmp_path))
    with open_folder(str(tmp_path)) as folder:
        (tmp_path / "file").touch()
        assert folder.identity_at(str(tmp_path / "file" / "below")) is None


def test_file_system_is_the_one_that_a_folder_is_on(folder):
    found = subprocess.run(
        ["stat", "--file-system", "--format=%T", folder.path], capture_output=True, text=True
    )
    if found.returncode or found.stdout.strip() not in ("tmpfs", "xfs", "btrfs", "ext2/ext3"):
        pytest.skip("the system does not tell in these words")

    assert folder.file_system().replace("ext4", "ext2/ext3") == found.stdout.strip()


def test_file_system_that_the_system_does_not_tell_is_not_known(files, tmp_path):
    files.arm(1, Fail(errno.EACCES), only=named("file_system"))

    with open_folder(str(tmp_path), files=files) as folder:
        assert folder.file_system() == ""


def test_moved_file_is_in_the_other_folder(folder, tmp_path):
    folder.replace("file", b"x")
    with folder.child("child", create=True) as child:
        folder.move("file", child, "new")

        assert (folder.names(), child.names()) == (["child"], ["new"])


def test_renamed_folder_is_there_for_good(folder, files, tmp_path):
    folder.child("old", create=True).close()
    files.calls.clear()

    folder.rename_child("old", "new")

    assert [call.name for call in files.changing()] == ["rename", "sync"]
    assert folder.names() == ["new"]


def test_only_an_empty_folder_is_dropped(folder, tmp_path):
    with folder.child("child", create=True) as child:
        child.replace("file", b"x")
        with pytest.raises(StorageError):
            folder.drop_child("child")
        child.remove("file")

    folder.drop_child("child")

    assert folder.names() == []


def test_modes_are_those_asked_for(tmp_path):
    with open_folder(str(tmp_path / "a" / "b"), create=True, modes=Modes(0o640, 0o750)) as folder:
        folder.replace("file", b"")

    for path, mode in (("a", 0o750), ("a/b", 0o750), ("a/b/file", 0o640)):
        assert stat.S_IMODE(os.stat(tmp_path / path).st_mode) == mode


def test_close_twice_is_harmless(tmp_path):
    folder = open_folder(str(tmp_path))

    folder.close()
    folder.close()

    with pytest.raises(StorageError):
        folder.names()


# --- the files that fail --------------------------------------------------------------


def test_fault_befalls_the_chosen_call_once(folder, files):
    files.arm(2, Fail(errno.EDQUOT))

    assert folder.remove("missing") is False
    with pytest.raises(StorageError) as raised:
        folder.sync()
    folder.sync()

    assert raised.value.errno == errno.EDQUOT
    assert [call.fault for call in files.changing()] == [None, Fail(errno.EDQUOT), None]
    assert not files.armed


def test_disarmed_fault_does_not_come(folder, files):
    files.arm(1, Stop())
    files.disarm()

    folder.sync()

    assert not files.stopped


def test_after_a_stop_nothing_is_done(folder, files, tmp_path):
    files.arm(3, Stop(torn=True))

    with pytest.raises(PowerOff):
        folder.replace("file", b"0123456789")
    for call in (folder.names, folder.sync, lambda: folder.read("x", 1)):
        with pytest.raises(PowerOff):
            call()

    [left] = os.listdir(tmp_path)
    assert (tmp_path / left).read_bytes() == b"01234"
    assert [call.name for call in files.changing()] == ["open", "set_mode", "write"]


def test_short_write_is_completed(folder, files, tmp_path):
    files.arm(3, ShortWrite())

    folder.replace("file", b"0123456789")

    assert (tmp_path / "file").read_bytes() == b"0123456789"
    assert [call.size_bytes for call in files.calls if call.name == "write"] == [5, 5]


def test_calls_are_told_by_their_paths(folder, files, tmp_path):
    folder.replace("file", b"xy")

    [rename] = [call for call in files.calls if call.name == "rename"]
    assert os.path.dirname(rename.path) == str(tmp_path)
    assert rename.to == str(tmp_path / "file")
    assert [call.name for call in files.changing()] == [
        *("open", "set_mode", "write", "sync", "close", "rename")
    ]
