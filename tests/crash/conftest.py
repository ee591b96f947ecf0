"""Whole stores over files that log, fail or forget, workloads for them, and what must be left."""

import contextlib
import itertools
import os
import random
import shutil

import attrs
import pytest

from statestore import Store
from statestore.drivers import registered
from statestore.drivers.directory import DirectoryDriver
from statestore.errors import NameTaken
from statestore.files.calls import SystemFiles
from statestore.journal.journal import JournalOptions
from statestore.managers import ConversationManager, TaskManager
from statestore.managers.settings import Remembering
from statestore.models.documents import FrozenDict, freeze_mapping, thaw
from statestore.models.keys import SETTINGS_ID, Key
from statestore.models.reports import Failure

_SCHEME = "over"
_FILES = {}
_NUMBERS = itertools.count(1)


class HastyFiles(SystemFiles):
    """The system's files, never synced: for stores that no power cut meets."""

    def sync(self, fd):
        pass

    sync_data = sync_file_system = sync


def _open_over(options):
    number, path = options.target.split(":", 1)
    files, journal = _FILES[int(number)]
    return DirectoryDriver(
        path,
        files=files,
        journal=journal,
        format=options.format,
        read_only=options.read_only,
        allow_unsafe=options.allow_unsafe,
        modes=options.modes,
        clock=options.clock,
        source=options.source,
        lock_timeout_s=options.lock_timeout_s,
    )


with contextlib.suppress(NameTaken):  # once in a process, however often this is imported
    registered.register(_SCHEME, _open_over)


@attrs.frozen
class Note:
    """A record class of the host's own."""

    id: str
    text: str = ""
    values: FrozenDict = attrs.field(factory=FrozenDict, converter=freeze_mapping)


class Notes(Remembering):
    """The manager of notes, which remembers something beside them."""

    def __init__(self):
        super().__init__("notes", Note)

    def remember(self, **limits):
        self._set(lambda one: attrs.evolve(one, limits=limits))

    @property
    def remembered(self):
        return None if self._settings is None else self._settings.limits


_MANAGERS = {
    "notes": Notes,
    "tasks": TaskManager,
    "conversations": ConversationManager,
}


class World:
    """A store over chosen files, with managers of three kinds.

    `tiny`: each time that files are written a new segment of the journal begins, so that nothing is
    left in the journal which would make up for a file that is not on the disk; and larger saves are
    staged.
    """

    note = Note

    def __init__(
        self, path, files=None, *, kinds=("notes", "tasks", "conversations"), tiny=False, **options
    ):
        self.path, self.files, self.options = str(path), files or HastyFiles(), options
        self.journal = (
            JournalOptions(segment_bytes=0, staged_bytes=1500) if tiny else JournalOptions()
        )
        self.kinds = kinds
        self.foresee = lambda: None
        self.open()

    def open(self):
        number = next(_NUMBERS)
        _FILES[number] = self.files, self.journal
        try:
            self.store = Store(f"{_SCHEME}:{number}:{self.path}", **self.options)
        finally:
            del _FILES[number]
        try:
            self.notes, self.tasks, self.talks = (
                self.store.register(make()) if kind in self.kinds else None
                for kind, make in _MANAGERS.items()
            )
        except BaseException:
            self.drop()
            raise
        return self

    def reopen(self):
        self.store.close()
        self.open()
        self.store.load_all(strict=True)

    def drop(self):
        """Close the store without saving; also after its process has died."""
        with contextlib.suppress(BaseException):
            self.store._close()

    @property
    def driver(self):
        return self.store._engine.driver

    @property
    def records(self):
        """All live records by kind and id, and what the manager of notes remembers."""
        found = {
            (kind, one.id): one for kind, manager in self.store.managers.items() for one in manager
        }
        remembered = None if self.notes is None else self.notes.remembered
        return found if remembered is None else {**found, ("notes", SETTINGS_ID): remembered}

    @property
    def stored(self):
        """All that is stored, without managers: key → revision and document."""
        found = {}
        for kind in self.store.kinds():
            for one in self.driver.scan(kind):
                assert not isinstance(one, Failure), one
                assert one.key not in found
                found[one.key] = (one.revision, thaw(one.document))
        return found


# --- workloads ------------------------------------------------------------------------


def saves(world):
    """One record after the other: made, changed, removed and made again."""
    world.notes.add(Note("a", "first"))
    yield
    world.notes.update("a", text="second")
    yield
    world.notes.add(Note("../B", "another", {"n": 1}))
    yield
    world.notes.delete("a")
    yield
    world.notes.add(Note("a", "made again"))
    yield
    world.notes.delete("../B")
    world.notes.update("a", text="")
    yield


def messages(world):
    """A conversation that grows, at last by a large message."""
    world.talks.create("Talk", id="c")
    yield
    for number in range(4):
        world.talks.add_message("c", role="user", content=f"message {number}")
        yield
    world.talks.add_message("c", role="tool", content=random.Random(1).randbytes(9000).hex())
    yield
    world.talks.update("c", title="Renamed")
    yield


def batches(world):
    """Records of several kinds together, made, changed and removed in one save."""
    world.notes.add(Note("a", "one"))
    world.notes.add(Note("b", "one"))
    world.tasks.create("Task", id="t")
    world.talks.create("Talk", id="c")
    yield
    world.notes.update("a", text="two")
    world.notes.delete("b")
    world.notes.add(Note("d", "two"))
    world.tasks.update("t", title="Task two")
    world.talks.add_message("c", role="user", content="two")
    yield
    world.notes.add(Note("b", "three"))
    world.tasks.delete("t")
    world.talks.delete("c")
    yield


def conversions(world):
    """Records that change from one format to another, and are saved in a third."""
    world.notes.add(Note("a", "one"))
    world.notes.add(Note("b", "one"))
    yield
    world.store.convert("compact")
    yield
    world.notes.update("a", text="two")
    yield
    world.store.convert("yaml")
    world.notes.delete("b")
    yield
    world.store.set_serializer("gzip")
    world.notes.update("a", text="three")
    yield
    world.store.convert("json", kinds="notes")
    yield


def reopenings(world):
    """A store that is closed and opened again between saves."""
    world.notes.add(Note("a", "one"))
    world.tasks.create("Task", id="t")
    yield
    world.reopen()
    world.notes.update("a", text="two")
    yield
    world.reopen()
    world.notes.delete("a")
    world.tasks.update("t", title="Task two")
    yield
    world.reopen()
    world.notes.add(Note("a", "three"))
    yield


def large(world):
    """Values of many blocks."""
    noise = random.Random(2)
    world.notes.add(Note("a", noise.randbytes(60_000).hex()))
    yield
    world.notes.update("a", text=noise.randbytes(90_000).hex())
    world.notes.add(Note("b", "small"))
    yield
    world.notes.update("a", text="small again")
    yield


def transactions(world):
    """Records of several kinds changed together, some made durable and some taken back."""
    world.notes.add(Note("a", "one"))
    world.talks.create("Talk", id="c")
    yield
    with world.store.transaction():
        world.notes.update("a", text="two" * 300)
        world.notes.add(Note("b", "two" * 300))
        world.talks.add_message("c", role="user", content="two")
        world.foresee()
    yield
    with contextlib.suppress(ZeroDivisionError), world.store.transaction():
        world.notes.delete("a")
        raise ZeroDivisionError
    with world.store.transaction():
        world.notes.delete("a")
        world.tasks.create("Task", id="t")
        world.talks.add_message("c", role="user", content="three")
        world.foresee()
    yield


def settings(world):
    """What a manager remembers: set alone, with records, in a transaction, after a conversion."""
    world.notes.remember(most=1)
    yield
    world.notes.remember(most=2, text="two" * 600)
    world.notes.add(Note("a", "one"))
    yield
    with world.store.transaction():
        world.notes.remember(most=3)
        world.notes.update("a", text="two")
        world.foresee()
    yield
    world.store.convert("compact")
    yield
    world.notes.remember(most=4)
    world.notes.delete("a")
    yield


WORKLOADS = {
    one.__name__: one
    for one in (saves, messages, batches, conversions, reopenings, large, transactions, settings)
}


def run(world, workload, log=None, *, snapshots=None):
    """Do a workload with a save after each step; return the contents before and after each.

    What a step commits itself it foresees: it may be left of a step that does not end. Sometimes
    it waits for the files, and sometimes not. `snapshots` are filled as it goes on.
    """
    chance = random.Random(1)
    snapshots = [] if snapshots is None else snapshots
    world.foresee = lambda: snapshots.append(world.records)
    world.foresee()
    for number, _ in enumerate(workload(world), 1):
        snapshots[number:] = [world.records]
        world.store.save_all()
        if log is not None:
            log.acknowledge(len(snapshots) - 1)
        if chance.random() < 0.4:
            world.store.flush()
    world.store.close()
    return snapshots


# --- what must be left ----------------------------------------------------------------


def contents(path, **options):
    """Return what a new process finds in a store."""
    world = World(path, **options)
    try:
        report = world.store.load_all()
        assert report.failures == (), report.failures
        return world.records
    finally:
        world.drop()


def is_allowed(found, old, new, *, atomic):
    """Say whether a store has what it had before a step or after it: whole, or by record."""
    if atomic:
        return found in (old, new)
    return all(found.get(key) in (old.get(key), new.get(key)) for key in {*found, *old, *new})


def check(path, snapshots, acknowledged, *, ignoring=frozenset()):
    """Check a store after a power cut: what was promised is there, and all goes on.

    Return what was found, and whether commits are atomic.
    """
    old = snapshots[acknowledged]
    new = snapshots[min(acknowledged + 1, len(snapshots) - 1)]
    world = World(path)
    try:
        report = world.store.load_all()
        assert report.failures == (), report.failures
        found, stored, atomic = world.records, world.stored, world.driver.traits.atomic
    finally:
        world.drop()
    known = {key: one for key, one in found.items() if key not in ignoring}
    assert is_allowed(known, old, new, atomic=atomic), _difference(known, old, new)

    world = World(path, kinds=["notes"])
    try:
        assert world.stored == stored, "opened again it is another"
        assert world.store.load_all().failures == ()
        world.notes.add(Note("new", "life goes on"))
        world.store.save_all()
        expected = world.stored
    finally:
        world.drop()
    world = World(path, kinds=[])
    try:
        assert world.stored == expected
        assert expected.keys() - stored.keys() == {Key("notes", "new")}
    finally:
        world.drop()
    return found, atomic


def _difference(found, old, new):
    keys = [
        key for key in {*found, *old, *new} if found.get(key) not in (old.get(key), new.get(key))
    ]
    return f"neither old nor new: {sorted(keys) or 'a mixture of both'}"


def verify_states(states, place, check_state):
    """Build and check each state; return how many there were. Fails with what was done."""
    count = 0
    for count, state in enumerate(states, 1):
        path = place / str(count)
        state.build(path)
        try:
            check_state(path / "store", state)
        except BaseException as error:
            error.add_note(state.explain())
            raise
        shutil.rmtree(path)
    return count


class Tools:
    """What the tests of this folder share."""

    World, HastyFiles, Note = World, HastyFiles, Note
    WORKLOADS = WORKLOADS
    run, contents, check = staticmethod(run), staticmethod(contents), staticmethod(check)
    is_allowed = staticmethod(is_allowed)
    verify_states = staticmethod(verify_states)


@pytest.fixture(scope="session")
def crash():
    return Tools


@pytest.fixture
def disk(tmp_path):
    """The root of a disk, on which the store will be the folder `store`."""
    root = tmp_path / "disk"
    root.mkdir()
    return root


@pytest.fixture
def descriptors():
    """Count the open descriptors of this process, where the system lists them."""
    if not os.path.isdir("/proc/self/fd"):
        return lambda: None
    return lambda: len(os.listdir("/proc/self/fd"))
