"""A small journal whose power goes: the honest one passes, each careless one is seen."""

import errno
import os
import struct
import zlib

import pytest

from statestore.testing.faulty import Fail, FaultyFiles, named
from statestore.testing.power import PowerLog

HEAD = struct.Struct("<II")
ENTRIES = [b"one", b"second" * 30, b"the third" * 80, b"4"]


class Journal:
    """Appends entries to a file of zeros; each is there for good when `append` returns."""

    careless = frozenset()

    def __init__(self, files, folder):
        self._files = files
        fd = files.open(str(folder), os.O_RDONLY | os.O_DIRECTORY)
        self.fd = files.open("new", os.O_RDWR | os.O_CREAT | os.O_EXCL, dir_fd=fd)
        files.write_at(self.fd, memoryview(b"\0" * 2048), 0)
        files.sync(self.fd)
        files.rename("new", "journal", old_fd=fd, new_fd=fd)
        if "no sync of the folder" not in self.careless:
            files.sync(fd)
        files.close(fd)
        self.end = 0

    def append(self, entry):
        frame = HEAD.pack(len(entry), self.checksum(entry)) + entry
        self._files.write_at(self.fd, memoryview(frame), self.end)
        try:
            if "no sync" not in self.careless:
                self._files.sync_data(self.fd)
        except OSError:
            if "trusts a second sync" not in self.careless:
                raise
            self._files.sync_data(self.fd)
        self.end += len(frame)

    def checksum(self, entry):
        return 1 if "no checksum" in self.careless else zlib.crc32(entry, 1)

    def read(self, path):
        if not path.exists():
            return []
        data, at, found = path.read_bytes(), 0, []
        while len(data) >= at + HEAD.size:
            size, checksum = HEAD.unpack_from(data, at)
            entry = data[at + HEAD.size : at + HEAD.size + size]
            if not size or len(entry) < size or checksum != self.checksum(entry):
                break
            found.append(entry)
            at += HEAD.size + size
        return found


def bad_states(disk, tmp_path, careless, fail_sync=0):
    """Append the entries; return how many states there are, and in how many something is wrong."""
    disk.mkdir()
    files = FaultyFiles()
    log = PowerLog(disk, files=files)
    journal = type("Careless", (Journal,), {"careless": frozenset(careless)})(log, disk)
    if fail_sync:
        files.arm(fail_sync, Fail(errno.EIO), only=named("sync_data"))
    for number, entry in enumerate(ENTRIES):
        try:
            journal.append(entry)
        except OSError:
            break
        log.acknowledge(number)
    log.close(journal.fd)
    states = list(log.states())
    bad = 0
    for number, state in enumerate(states):
        state.build(tmp_path / str(number))
        found = journal.read(tmp_path / str(number) / "journal")
        bad += found not in (
            ENTRIES[: len(state.acknowledged)],
            ENTRIES[: len(state.acknowledged) + 1],
        )
    return len(states), bad


def test_honest_journal_keeps_every_promise(tmp_path):
    states, bad = bad_states(tmp_path / "disk", tmp_path, ())

    assert states > 40
    assert bad == 0


@pytest.mark.parametrize("careless", ["no sync", "no checksum", "no sync of the folder"])
def test_careless_journal_is_seen(tmp_path, careless):
    assert bad_states(tmp_path / "disk", tmp_path, [careless])[1] > 0


@pytest.mark.parametrize("fail_sync", [1, 2, 3, 4])
def test_journal_that_stops_at_a_failed_sync_keeps_every_promise(tmp_path, fail_sync):
    assert bad_states(tmp_path / "disk", tmp_path, (), fail_sync)[1] == 0


@pytest.mark.parametrize("fail_sync", [1, 2, 3, 4])
def test_journal_that_trusts_a_second_sync_is_seen(tmp_path, fail_sync):
    careless = ["trusts a second sync"]

    assert bad_states(tmp_path / "disk", tmp_path, careless, fail_sync)[1] > 0
