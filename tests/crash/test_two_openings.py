"""One of two openings is stopped, or dies, before any of its calls; the other goes on."""

import threading
from itertools import count
from pathlib import Path

import attrs
import pytest

from statestore.errors import FilesBehind, LockTimeout, SaveFailed, StateStoreError, StoreInDoubt
from statestore.models.keys import Key
from statestore.testing.faulty import Fail, FaultyFiles, Pause, PowerOff, Stop, named

LIMIT_S = 60  # only against a hang
SHORT_S = 0.0  # how long the other waits for a lock of the one that is stopped


def only_timeouts(error):
    """Say whether all that an error tells of is that somebody else has a lock."""
    if isinstance(error, SaveFailed | FilesBehind):
        failures = error.report.failures if isinstance(error, SaveFailed) else error.failures
        return all(isinstance(one.error, LockTimeout) for one in failures)
    return isinstance(error, LockTimeout)


def tried(act):
    """Do something that may be refused because of a lock, and say whether it was done."""
    try:
        act()
    except StateStoreError as error:
        if not only_timeouts(error):
            raise
        return False
    return True


class First:
    """The opening that is stopped. It notes what it was told that is durable."""

    def __init__(self, crash, path):
        self.files = FaultyFiles(crash.HastyFiles())
        self.world = crash.World(path, self.files, tiny=True)
        self.note = crash.Note
        world = self.world
        world.notes.add(self.note("shared"))
        world.talks.create("Talk", id="c")
        world.store.save_all()
        world.store.flush()
        self.states = [self.own()]
        self.shared = 0
        self.acknowledged = 0
        self.errors = []

    def own(self):
        """Return what this opening alone changes, as it is in its memory."""
        notes = {one.id: one.text for one in self.world.notes if one.id.startswith("a")}
        tasks = {one.id: one.title for one in self.world.tasks}
        return notes, tasks, [one.content for one in self.world.talks["c"].messages]

    def steps(self):
        world, save = self.world, self.world.store.save_all
        world.notes.add(self.note("a1", "one"))
        yield save

        def together():
            with world.store.transaction():
                world.notes.update("a1", text="two")
                world.tasks.create("Task", id="t")

        self.states.append(({"a1": "two"}, {"t": "Task"}, []))
        yield together
        world.talks.add_message("c", role="user", content="hello")
        yield save
        world.notes.add(self.note("a2", "large" * 500))
        yield save
        world.notes.delete("a1")
        yield save

    def run(self):
        """Do all, each acknowledged when it is done."""
        try:
            for number, step in enumerate(self.steps(), 1):
                if len(self.states) == number:
                    self.states.append(self.own())
                step()
                self.acknowledged = number
                if number % 2:
                    self.world.store.flush()
            self.shared = 1  # on its way
            self.world.notes.modify("shared", lambda one: attrs.evolve(one, text=one.text + "A"))
            self.shared = 2
            self.world.store.close()
        except BaseException as error:  # noqa: BLE001 # the process has ended, or it is told
            self.errors.append(error)


class Second:
    """The opening that goes on. It notes what is durable, too."""

    def __init__(self, crash, path):
        self.world = crash.World(path, crash.HastyFiles(), tiny=True, lock_timeout_s=SHORT_S)
        self.world.store.load_all(strict=True)
        self.note = crash.Note
        self.done = self.numbers = 0

    def beside(self, first):
        """Read, commit, and write files, while the other is stopped."""
        want(self.world.stored, first, self)  # reading waits for nobody
        self.world.store.refresh()
        self.numbers += 1
        self.world.notes.add(self.note(f"b{self.numbers}", "mine"))
        tried(self.world.store.save_all)
        self.append()
        tried(self.world.store.flush)
        want(self.world.stored, first, self)

    def append(self):
        def act():
            self.world.notes.modify("shared", lambda one: attrs.evolve(one, text=one.text + "B"))

        self.done += tried(act)

    def after(self, first):
        """Go on when the other is gone, or goes on: now all is done."""
        self.world.store.save_all()
        before = self.done
        self.append()
        assert self.done == before + 1
        self.world.store.refresh()
        self.world.store.flush()
        assert self.world.store.unsaved == ()


def want(stored, first, second):
    """Check that a store has all that was acknowledged, and at most what was on its way."""
    found = {key: document for key, (_, document) in stored.items()}
    notes = {
        key.id: one["text"]
        for key, one in found.items()
        if key.kind == "notes" and key.id.startswith("a")
    }
    tasks = {key.id: one["title"] for key, one in found.items() if key.kind == "tasks"}
    messages = [one["content"] for one in found[Key("conversations", "c")]["messages"]]
    at = first.acknowledged
    assert (notes, tasks, messages) in first.states[at : at + 2], (notes, tasks, messages, at)
    text = found[Key("notes", "shared")]["text"]
    assert text.count("B") == second.done
    assert text.count("A") in {0: (0,), 1: (0, 1), 2: (1,)}[first.shared]
    return found


def want_consistent(crash, path, first, second):
    """Check what a process finds that opens the store alone."""
    world = crash.World(path)
    try:
        found = want(world.stored, first, second)
        own = {key.id for key in found if key.kind == "notes" and key.id.startswith("b")}
        assert own == {f"b{number}" for number in range(1, second.numbers + 1)}
        assert world.store.load_all(strict=True).failures == ()
        world.store.flush()
        for kind in world.store.kinds():
            names = [one.name for one in (path / kind).glob("[!.]*")]  # not what a dead one left
            assert len(names) == sum(key.kind == kind for key in found), names
        revisions, last = {}, 0
        for commit in world.store.changes():
            assert commit.sequence == last + 1
            last = commit.sequence
            for key, revision in commit.revisions.items():
                assert revision == revisions.get(key, 0) + 1, (key, revision)
                revisions[key] = revision
        for key, (revision, _) in world.stored.items():
            assert revision == revisions[key]
    finally:
        world.drop()


def attempt(crash, path, at, *, dies, opens_late):
    """Stop one before its call number `at` while the other goes on; False if it makes fewer."""
    first = First(crash, path)
    seconds = [] if opens_late else [Second(crash, path)]
    pause = Pause()
    first.files.calls.clear()
    first.files.arm(at, pause)
    ended = threading.Event()

    def work():
        first.run()
        ended.set()
        pause.reached.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        assert pause.reached.wait(LIMIT_S)
        was_stopped = not ended.is_set()
        if seconds or tried(lambda: seconds.append(Second(crash, path))):
            seconds[0].beside(first)
        if dies:
            first.files.stop()
            first.files.release()
        else:
            first.files.disarm()
        pause.go.set()
        thread.join(LIMIT_S)
        assert not thread.is_alive()
        assert dies or not first.errors, first.errors
        second = seconds[0] if seconds else Second(crash, path)
        second.after(first)
        want(second.world.stored, first, second)
        assert {(key.kind, key.id) for key in second.world.stored} == set(second.world.records)
        second.world.store.close()
        want_consistent(crash, path, first, second)
    except BaseException as error:
        error.add_note(f"stopped before call {at}, after {first.files.changing()[-3:]}")
        raise
    finally:
        pause.go.set()
        for one in (*seconds, first):
            one.world.drop()
    return was_stopped


@pytest.mark.timeout(300)
@pytest.mark.parametrize("opens_late", [False, True], ids=["beside", "opened later"])
@pytest.mark.parametrize("dies", [False, True], ids=["stopped", "dead"])
def test_other_goes_on_wherever_one_is(crash, tmp_path, dies, opens_late):
    for at in count(1):
        path = tmp_path / str(at) / "store"
        if not attempt(crash, path, at, dies=dies, opens_late=opens_late):
            break
    assert at > 50


# --- by name --------------------------------------------------------------------------


@pytest.fixture
def openings(crash, tmp_path):
    """Open one store several times."""
    worlds = []

    def open_(*, tiny=True, **options):
        files = FaultyFiles(crash.HastyFiles())
        world = crash.World(tmp_path / "store", files, kinds=["notes"], tiny=tiny, **options)
        worlds.append(world)
        world.store.load_all(strict=True)
        return world

    yield open_
    for world in worlds:
        world.drop()


def add(world, id):
    world.notes.add(world.note(id))
    world.store.save_all()


def ids(world):
    world.store.refresh()
    assert {key.id for key in world.stored} == set(world.notes.ids())
    return sorted(world.notes.ids())


JOURNAL = ".statestore/journal"


@pytest.mark.parametrize("rotates", [False, True])
@pytest.mark.parametrize(
    ("name", "place", "end"),
    [
        pytest.param("rename", lambda call: call.to, ".log", id="before its name"),
        pytest.param("sync", lambda call: call.path, "/journal", id="after its name"),
    ],
)
def test_rotation_that_its_process_did_not_survive(openings, name, place, end, rotates):
    one, other = openings(), openings(tiny=rotates)
    add(one, "a")
    one.files.arm(
        1,
        Stop(),
        only=lambda call: call.name == name and place(call).endswith(end),
    )
    with pytest.raises(PowerOff):
        one.store.flush()
    one.files.release()

    assert ids(other) == ["a"]
    add(other, "b")
    other.store.flush()
    add(other, "c")
    third = openings(tiny=rotates)
    assert ids(third) == ["a", "b", "c"]
    third.files.stop()
    third.files.release()
    other.files.stop()
    other.files.release()
    alone = openings()
    assert ids(alone) == ["a", "b", "c"]
    assert alone.store.sequence == 3
    assert [commit.sequence for commit in alone.store.changes()] == [1, 2, 3]


def test_opening_that_missed_two_rotations(openings):
    one, idle = openings(), openings()
    add(idle, "idle")
    idle.store.flush()
    segments = []
    for id in "abc":
        add(one, id)
        one.store.flush()
        segments.append(max(path.name for path in Path(one.path, JOURNAL).iterdir()))
    assert len(set(segments)) == 3

    assert ids(idle) == ["a", "b", "c", "idle"]
    idle.notes.update("a", text="by the idle one")
    add(idle, "d")
    assert ids(one) == ["a", "b", "c", "d", "idle"]
    assert one.notes["a"].text == "by the idle one"
    assert idle.notes.revision("a") == one.notes.revision("a") == 2


@pytest.mark.parametrize("rotates", [False, True])
def test_refresh_that_is_overtaken(openings, rotates):
    one, late = openings(tiny=rotates), openings(tiny=rotates)
    add(one, "a")
    pause = Pause()
    late.files.arm(1, pause, only=lambda call: call.name == "read_at" and JOURNAL in call.path)
    thread = threading.Thread(target=late.store.refresh, daemon=True)
    thread.start()
    assert pause.reached.wait(LIMIT_S)
    add(one, "b")
    one.store.flush()
    one.notes.delete("a")
    add(one, "c")
    one.store.flush()
    late.files.disarm()
    pause.go.set()
    thread.join(LIMIT_S)

    assert ids(late) == ["b", "c"]
    add(late, "d")
    assert ids(one) == ["b", "c", "d"]


def test_sync_that_fails_stops_the_others_until_the_store_is_opened_again(openings):
    one, other = openings(), openings()
    add(one, "a")
    assert ids(other) == ["a"]
    one.files.arm(1, Fail(), only=named("sync_data"))
    for world in (one, other):
        with pytest.raises(SaveFailed) as raised:
            add(world, f"in-doubt-{world is other}")
        assert isinstance(raised.value.report.failures[0].error, StoreInDoubt)
    assert Key("notes", "a") in other.stored
    for world in (one, other):
        world.drop()

    again = openings()
    assert ids(again) in (["a"], ["a", "in-doubt-False"])
    add(again, "b")
    again.drop()
    assert {"a", "b"} <= set(ids(openings()))
