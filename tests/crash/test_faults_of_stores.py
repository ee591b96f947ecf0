"""Whole stores of whose system calls any one fails, or all from it on: told of, and made up for."""

import errno
from itertools import count

import pytest

from statestore.errors import SaveFailed, StateStoreError, StoreInDoubt
from statestore.testing.faulty import Fail, FaultyFiles, ShortWrite, changing, named

ONCE = {
    "EIO": (Fail(errno.EIO), changing),
    "ENOSPC torn": (Fail(errno.ENOSPC, torn=True), changing),
    "EFBIG torn": (Fail(errno.EFBIG, torn=True), named("write", "write_at", "truncate")),
    "EMFILE": (Fail(errno.EMFILE), named("open")),
    "EIO of a sync": (Fail(errno.EIO), named("sync", "sync_data", "sync_file_system")),
    "EIO of a read": (Fail(errno.EIO), named("read", "read_at", "status", "status_of", "names")),
    "short": (ShortWrite(), named("write", "write_at")),
}
FROM_THEN_ON = {
    "EIO": (Fail(errno.EIO), changing),
    "EDQUOT torn": (Fail(errno.EDQUOT, torn=True), changing),
    "EROFS": (Fail(errno.EROFS), changing),
    "EIO of syncs": (Fail(errno.EIO), named("sync", "sync_data", "sync_file_system")),
    "short": (ShortWrite(), named("write", "write_at")),
}
CASES = [
    pytest.param(name, *case, sticky, id=f"{name}-{'from then on' if sticky else 'once'}-{fault}")
    for sticky, cases in ((False, ONCE), (True, FROM_THEN_ON))
    for fault, case in cases.items()
    for name in ("mixed", "changes of format")
]

KINDS = ("notes", "tasks")


def mixed(world):
    """Records of two kinds, made, changed, removed and made again."""
    world.notes.add(world.note("a", "one"))
    world.notes.add(world.note("b", "one"))
    yield
    world.notes.update("a", text="two" * 500)
    world.notes.delete("b")
    world.notes.remember(most=2)
    world.tasks.create("Task", id="t")
    yield
    world.notes.add(world.note("b", "three"))
    world.tasks.update("t", title="Task three")
    yield


def changes_of_format(world):
    """Records that change from one format to another in a store that is opened again."""
    world.notes.add(world.note("a", "one"))
    world.notes.add(world.note("b", "one"))
    yield
    world.store.convert("yaml")
    world.notes.update("a", text="two")
    yield
    world.reopen()
    world.store.set_serializer("gzip")
    world.notes.update("b", text="three")
    yield


WORKLOADS = {"mixed": mixed, "changes of format": changes_of_format}


def is_in_doubt(error):
    causes = [one.error for one in error.failures] if isinstance(error, SaveFailed) else [error]
    return any(isinstance(cause, StoreInDoubt) for cause in causes)


def want_allowed(found, old, new, *, atomic):
    """Check that a store has what it had or should have; each record where saves are not atomic."""
    if atomic:
        assert found in (old, new)
    for key in {*found, *old, *new}:
        assert found.get(key) in (old.get(key), new.get(key)), key


class Attempt:
    """A workload over files that fail; after the first error they work again."""

    def __init__(self, crash, path, files):
        self.crash, self.path, self.files = crash, path, files
        self.told = []
        self.saved = {}
        self.world = None

    def open(self):
        return self.crash.World(self.path, self.files, kinds=KINDS)

    def run(self, workload):
        try:
            self.world = self.open()
        except StateStoreError as error:
            self.note(error)
            self.world = self.open()
        steps = workload(self.world)
        while True:
            try:
                next(steps)
            except StopIteration:
                break
            except StateStoreError as error:  # what a step does besides changing records
                self.note(error)
                self.check_failed(reopen=True)
                break
            self.save()
        try:
            self.world.store.flush()
        except StateStoreError as error:
            self.note(error)
            self.check_failed(reopen=True)

    def save(self):
        """Save; if that fails, save again what was not saved."""
        expected = self.world.records
        try:
            self.world.store.save_all()
        except StateStoreError as error:
            self.note(error)
            self.check_failed(reopen=is_in_doubt(error))
            if not is_in_doubt(error):
                self.save()
            return
        assert self.world.records == expected
        assert self.crash.contents(self.path, kinds=KINDS) == expected
        self.saved = expected

    def note(self, error):
        self.told.append(error)
        self.files.disarm()
        assert len(self.told) < 4, self.told

    def check_failed(self, *, reopen):
        """Check what others see after a failure; open the store again where that is needed."""
        wanted, atomic = self.world.records, self.world.driver.traits.atomic
        want_allowed(self.crash.contents(self.path, kinds=KINDS), self.saved, wanted, atomic=atomic)
        if reopen:
            self.world.drop()
            self.world.open()
            self.world.store.load_all(strict=True)
            want_allowed(self.world.records, self.saved, wanted, atomic=atomic)
            self.saved = self.world.records


@pytest.mark.parametrize(("name", "fault", "only", "sticky"), CASES)
def test_fault_is_told_and_made_up_for(crash, tmp_path, descriptors, name, fault, only, sticky):
    before = descriptors()
    for at in count(1):
        files = FaultyFiles(crash.HastyFiles())
        files.arm(at, fault, only=only, sticky=sticky)
        one = Attempt(crash, tmp_path / str(at), files)
        try:
            one.run(WORKLOADS[name])
            befell = bool(files.chosen(lambda call: call.fault is not None))
            files.disarm()
            world = one.world
            world.store.save_all()
            expected = world.records
            assert world.store.verify().failures == ()
            world.store.close()
            assert crash.contents(one.path, kinds=KINDS) == expected
            assert not isinstance(fault, ShortWrite) or one.told == []
        except BaseException as error:
            error.add_note(f"call {at}: {[call for call in files.calls if call.fault][:2]}")
            raise
        assert descriptors() == before, at
        if not befell:
            assert at > 5, "the workload makes more calls than that"
            return
