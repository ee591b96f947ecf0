"""Whole stores whose power goes at any moment: what was promised is there, nothing is torn."""

import contextlib
import os
import shutil
import stat
from functools import partial

import pytest

from statestore.errors import StateStoreError
from statestore.testing.faulty import FaultyFiles, PowerOff, Stop
from statestore.testing.power import PowerLog

WORKLOADS = [
    *("saves", "messages", "batches", "conversions", "reopenings", "large", "transactions"),
    "settings",
]
FORMATS = ["json", "gzip", "yaml"]
STATES = 60
"""How many states of each workload in each format are checked: 1,440 together."""
GONE_ON = ("notes", "gone on")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", WORKLOADS)
def test_promised_is_kept_and_nothing_is_torn(crash, disk, tmp_path, name, format):
    log = PowerLog(disk, files=crash.HastyFiles())
    world = crash.World(disk / "store", log, format=format, tiny=format != "json")
    snapshots = crash.run(world, crash.WORKLOADS[name], log)

    count = crash.verify_states(
        log.states(limit=STATES, seed=len(name)),
        tmp_path / "built",
        lambda path, state: crash.check(path, snapshots, len(state.acknowledged)),
    )

    assert count == STATES


class ForgetfulFiles:
    """Files that say of one sort of sync that it was made, and do nothing."""

    def __init__(self, files, forgotten):
        self._files, self._forgotten = files, forgotten

    def __getattr__(self, name):
        return getattr(self._files, name)

    def _is_forgotten(self, fd):
        is_folder = stat.S_ISDIR(os.fstat(fd).st_mode)
        return self._forgotten == ("folders" if is_folder else "files")

    def sync(self, fd):
        if not self._is_forgotten(fd):
            self._files.sync(fd)

    def sync_data(self, fd):
        if not self._is_forgotten(fd):
            self._files.sync_data(fd)

    def sync_file_system(self, fd):
        pass  # it would make good for the others


@pytest.mark.parametrize("forgotten", ["files", "folders"])
def test_store_that_forgets_a_sync_is_caught(crash, disk, tmp_path, forgotten):
    log = PowerLog(disk, files=crash.HastyFiles())
    world = crash.World(disk / "store", ForgetfulFiles(log, forgotten))
    snapshots = crash.run(world, crash.WORKLOADS["saves"], log)

    with pytest.raises((AssertionError, StateStoreError)) as caught:
        crash.verify_states(
            log.states(["posix"], since=log.position),
            tmp_path / "built",
            lambda path, state: crash.check(path, snapshots, len(state.acknowledged)),
        )

    assert "not synced: " in caught.value.__notes__[0]


# --- the power goes again while the store recovers --------------------------------------


def go_on(crash, path, files):
    """Open a store as a new process would, save one more record; return what was there before."""
    world = crash.World(path, files)
    try:
        assert world.store.load_all().failures == ()
        found = world.records
        files.acknowledge("seen")
        world.notes.add(crash.Note("gone on"))
        world.store.save_all()
        files.acknowledge("gone on")
        return found
    finally:
        world.drop()


def check_again(crash, path, state, snapshots, found):
    """Check a store whose power went twice, the second time since `go_on` began."""
    done = len([one for one in state.acknowledged if isinstance(one, int)])
    left, atomic = crash.check(path, snapshots, done, ignoring={GONE_ON})
    if "gone on" in state.acknowledged:
        assert GONE_ON in left
    if atomic and "seen" in state.acknowledged:
        left.pop(GONE_ON, None)
        assert left == found, "what a process was shown is gone"


@pytest.mark.parametrize("name", WORKLOADS)
def test_power_may_go_while_the_store_recovers(crash, disk, tmp_path, name):
    log = PowerLog(disk, files=crash.HastyFiles())
    world = crash.World(disk / "store", log)
    snapshots = crash.run(world, crash.WORKLOADS[name], log)

    count = 0
    for number, first in enumerate(log.states(["ext4", "posix"], limit=5, seed=1)):
        path = tmp_path / "first" / str(number)
        first.build(path)
        again = PowerLog(path, files=crash.HastyFiles())
        for promise in first.acknowledged:
            again.acknowledge(promise)
        noted = again.position
        found = go_on(crash, path / "store", again)

        count += crash.verify_states(
            again.states(limit=15, since=noted),
            tmp_path / "second",
            partial(check_again, crash, snapshots=snapshots, found=found),
        )
        shutil.rmtree(path)

    assert count >= 50


# The threads of a dead process end by what no program catches.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("name", WORKLOADS)
def test_power_may_go_after_a_process_died_and_another_went_on(crash, tmp_path, name):
    """What the dead one wrote can be read by the next, though it was never synced."""
    made = len(died(crash, tmp_path / "whole", name, 0)[1].changing())

    count = 0
    for at in range(made // 8, made, max(1, made // 6)):
        log, files, snapshots = died(crash, tmp_path / f"died-{at}", name, at)
        if not files.stopped:  # what is written in the background differs a little
            continue
        noted = log.position
        found = go_on(crash, tmp_path / f"died-{at}" / "store", log)

        count += crash.verify_states(
            log.states(["synced", "ext4", "posix"], since=noted, limit=12, seed=at),
            tmp_path / "cut",
            partial(check_again, crash, snapshots=snapshots, found=found),
        )

    assert count >= 50


def died(crash, root, name, at):
    """Do a workload in which the process dies at a changing call, or at none."""
    root.mkdir()
    log = PowerLog(root, files=crash.HastyFiles())
    files = FaultyFiles(log)
    snapshots = []
    if at:
        files.arm(at, Stop())
    with contextlib.suppress(PowerOff, *([StateStoreError] if at else [])):
        world = crash.World(root / "store", files)
        try:
            crash.run(world, crash.WORKLOADS[name], log, snapshots=snapshots)
        finally:
            world.drop()
    files.release()
    return log, files, snapshots or [{}]
