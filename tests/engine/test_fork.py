"""A forked child has the records of its parent, its own opening, and owes its parent nothing."""

import copy
import faulthandler
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import traceback
import warnings
from contextlib import ExitStack
from pathlib import Path

import attrs
import pytest

from statestore import Manager, NotPicklable, RecordNotFound, Store, StoreClosed, StoreForked
from statestore.engine import collecting
from statestore.errors import Conflict, LockTimeout, StateStoreError, StoreReplaced
from statestore.files.folders import Folder
from statestore.models.changes import Put
from statestore.models.keys import Key
from statestore.records import ids
from statestore.serializers import get, registered

LIMIT_S = 30  # only against a hang


@attrs.frozen
class Note:
    id: str
    number: int = 0


@attrs.define
class Page:
    id: str
    number: int = 0


def fork(act):
    """Run `act` in a forked child and return its process; what it raises is its exit status 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is the point
        pid = os.fork()
    if not pid:
        status = 1
        try:
            faulthandler.register(signal.SIGALRM, file=2, chain=True)  # tells where it hangs
            signal.alarm(LIMIT_S)
            act()
            status = 0
        except BaseException:  # noqa: BLE001 # a child says nothing else
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(status)
    return pid


def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_child(act):
    return ended(fork(act))


class Opened:
    """A store with a manager of notes."""

    def __init__(self, path, record_class=Note, **options):
        self.store = Store(path, **options)
        self.notes = self.store.register(Manager("notes", record_class))


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def opened(root):
    with ExitStack() as stack:

        def open_(record_class=Note, path=root, **options):
            one = Opened(path, record_class, **options)
            stack.callback(one.store.close)
            return one

        yield open_


def numbers(root, kind="notes"):
    """Return what is stored, as a new opening finds it; each record has one file."""
    with Store(root) as store:
        found = {one.key.id: one.document["number"] for one in store.scan(kind)}
        store.flush()
    assert len(list((root / kind).glob("*.json"))) == len(found)
    return found


# --- the child has an opening of its own ----------------------------------------------


def test_child_commits_and_its_parent_goes_on(opened, root):
    one = opened()
    one.notes.create(id="before")
    one.store.save_all()

    def child():
        assert one.notes["before"].number == 0
        one.notes.create(id="child", number=1)
        one.store.save_all()
        one.store.flush()
        one.store.close()

    assert in_child(child) == 0
    one.notes.create(id="after", number=2)
    one.store.save_all()
    assert one.store.stored("notes/child").document["number"] == 1
    one.store.close()
    assert numbers(root) == {"before": 0, "child": 1, "after": 2}


FIRST_USES = {
    "commit": lambda one: one.driver.commit([Put(Key("notes", "b"), {"id": "b", "number": 0})], {}),
    "read": lambda one: one.store.stored("notes/a"),
    "scan": lambda one: list(one.store.scan("notes")),
    "kinds": lambda one: one.store.kinds(),
    "changes": lambda one: list(one.store.changes()),
    "sequence": lambda one: one.store.sequence,
    "catch_up": lambda one: one.driver.catch_up(),
    "flush": lambda one: one.store.flush(),
    "format": lambda one: one.store.set_serializer("yaml", remember=True),
    "prepare": lambda one: one.store.register(Manager("others", Note)),
    "entries": lambda one: one.store.verify(),
    "strangers": lambda one: one.driver.record_files.strangers("notes"),
    "rewrite": lambda one: one.store.convert("yaml"),
    "held_still": lambda one: one.store.backup(),
    "recovery": lambda one: one.store.recover(),
    "load": lambda one: one.store.load_all(strict=True),
    "save": lambda one: one.store.save_all(),
    "clear": lambda one: one.store.clear(),
    "close": lambda one: one.store.close(),
}


@pytest.mark.parametrize("use", FIRST_USES.values(), ids=FIRST_USES)
def test_first_use_may_be_any(opened, use):
    one = opened()
    one.notes.create(id="a")
    one.store.save_all()
    one.driver = one.store._engine.driver
    assert in_child(lambda: use(one)) == 0
    assert one.store.stored("notes/a") if use is not FIRST_USES["clear"] else True


@pytest.mark.parametrize("read_only", [False, True])
def test_child_has_its_own_run_and_descriptors(opened, read_only):
    with opened().store as store:
        store.save_all()
    one = opened(read_only=read_only)
    driver = one.store._engine.driver
    before, run, holding = set(_locked(driver)), driver.run, driver._opening

    def child():
        assert driver.run != run
        assert len(driver.run) == 16
        assert all(number < 0 for number in _locked_of(holding))
        assert list(one.store.scan("notes")) == []
        assert driver._opening is not holding

    assert in_child(child) == 0
    assert driver.run == run
    assert set(_locked(driver)) == before


def _locked(driver):
    return _locked_of(driver._opening)


def _locked_of(opening):
    folders = [opening.place._root, opening.place._own]
    return [folder._fd for folder in folders if isinstance(folder, Folder)]


def test_serializer_stays_that_of_the_parent(opened, root):
    one = opened()
    one.store.set_serializer("yaml")

    def child():
        assert one.store.format == "yaml"
        one.notes.create(id="a")
        one.store.save_all()
        one.store.flush()

    assert in_child(child) == 0
    assert (root / "notes" / "a.yaml").exists()


def test_child_opens_the_same_folder_from_another_working_folder(opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = opened(path="store")

    def child():
        os.chdir("/")
        one.notes.create(id="a")
        one.store.save_all()

    assert in_child(child) == 0
    assert one.store.stored("notes/a")


@pytest.mark.parametrize("moved", ["removed", "replaced"])
def test_child_makes_no_store_in_the_place_of_one_that_is_gone(opened, root, moved):
    one = Opened(root)
    aside = root.with_name("aside")

    def child():
        root.rename(aside)
        if moved == "replaced":
            Store(root).close()
        one.notes.create(id="a")
        with pytest.raises(StateStoreError) as caught:
            one.store.save_all()
        error = caught.value
        assert isinstance(error, StoreReplaced) or all(
            isinstance(failure.error, StoreReplaced) for failure in error.failures
        )
        assert moved == "replaced" or not root.exists()
        with pytest.raises(StoreReplaced):
            one.store.flush()

    assert in_child(child) == 0
    if root.exists():
        root.rename(root.with_name("other"))
    aside.rename(root)
    one.store.close()


def test_read_only_child_follows_what_is_committed_later(opened):
    writer, reader = opened(), opened(read_only=True)
    read, write = os.pipe()

    def child():
        os.read(read, 1)
        assert reader.store.stored("notes/a").document["number"] == 1
        reader.store.load_all(strict=True)
        assert reader.notes["a"].number == 1

    pid = fork(child)
    writer.notes.create(id="a", number=1)
    writer.store.save_all()
    os.write(write, b".")
    assert ended(pid) == 0


def test_parent_that_closed_before_the_first_use(opened, root):
    one = Opened(root)
    one.notes.create(id="a")
    one.store.save_all()
    read, write = os.pipe()

    def child():
        os.read(read, 1)
        assert one.notes["a"].number == 0
        one.notes.update("a", number=1)
        one.store.save_all()

    pid = fork(child)
    one.store.close()
    os.write(write, b".")
    assert ended(pid) == 0
    assert numbers(root) == {"a": 1}


def test_child_of_a_closed_store_is_told_so(opened):
    one = opened()
    one.store.close()

    def child():
        with pytest.raises(StoreClosed):
            one.store.stored("notes/a")

    assert in_child(child) == 0


def test_closed_child_is_closed_though_it_was_never_used(opened):
    one = opened()

    def child():
        one.store.close()
        for use in (lambda: one.store.stored("notes/a"), one.store.flush):
            with pytest.raises(StoreClosed):
                use()

    assert in_child(child) == 0


def test_child_of_a_child(opened, root):
    one = opened()

    def grandchild():
        one.notes.create(id="grandchild", number=2)
        one.store.save_all()

    def child(uses_it):
        if uses_it:
            one.notes.create(id="child", number=1)
            one.store.save_all()
        assert in_child(grandchild) == 0
        one.store.close()

    assert in_child(lambda: child(uses_it=False)) == 0
    one.store.clear()
    assert in_child(lambda: child(uses_it=True)) == 0
    one.store.close()
    assert numbers(root) == {"child": 1, "grandchild": 2}


ENDS = {
    "close": lambda one: one.store.close(),
    "nothing": lambda one: None,
    "killed": lambda one: os.kill(os.getpid(), signal.SIGKILL),
    "killed in use": lambda one: (one.store.flush(), os.kill(os.getpid(), signal.SIGKILL)),
    "exit": lambda one: sys.exit(0),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_parent_is_not_harmed_by_the_end_of_a_child(opened, root, end):
    one = opened()
    other = Opened(root)
    one.notes.create(id="a")
    one.store.save_all()
    in_child(lambda: end(one))
    one.notes.update("a", number=1)
    one.store.save_all()
    one.store.flush()
    other.store.load_all(strict=True)
    other.notes.update("a", number=2)
    other.store.save_all()
    other.store.close()
    one.store.close()
    assert numbers(root) == {"a": 2}


# --- locks ----------------------------------------------------------------------------

LOCKS = {
    "driver": lambda one: one.store._engine.driver._opening.lock,
    "turn": lambda one: one.store._engine._turn,
    "books": lambda one: one.store._engine.flights._books,
    "manager": lambda one: one.notes._lock,
    "on_save": lambda one: one.store._engine.callbacks.save._lock,
    "ids": lambda one: ids._lock,
    "collector": lambda one: collecting._lock,
    "serializers": lambda one: registered.DEFAULT._registry._lock,
    "files": lambda one: one.store._engine.driver._opening.place._lock._mutex,
    "commits": lambda one: one.store._engine.driver._ledger._committer._lock,
}


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_lock_that_a_thread_of_the_parent_held_stops_nobody(opened, lock):
    one = opened()
    one.notes.create(id="a")
    one.store.save_all()
    one.store.on_save(lambda report: None)
    one.store.flush()  # no pass waits for the lock meanwhile, with that between processes
    held, over = threading.Event(), threading.Event()

    def hold():
        with lock(one):
            held.set()
            over.wait(LIMIT_S)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(LIMIT_S)

    def child():
        get("yaml")
        assert one.store.stored("notes/a")
        one.notes.create(number=1)
        one.store.save_all()
        one.store.load_all(strict=True)
        assert sum(note.number for note in one.notes) == 1
        one.store.flush()
        one.store.close()

    try:
        assert in_child(child) == 0
    finally:
        over.set()
        thread.join(LIMIT_S)


def test_collector_goes_on_in_a_child(opened):
    import gc

    opened()
    with collecting.collector_paused():

        def child():
            assert gc.isenabled()

        assert in_child(child) == 0
        assert not gc.isenabled()


def test_store_that_is_just_being_opened_leaves_no_lock_to_a_child(root, monkeypatch):
    Store(root).close()
    held, go = threading.Event(), threading.Event()
    from statestore.journal.journal import Journal

    real = Journal._join

    def join(self):
        held.set()
        assert go.wait(LIMIT_S)
        return real(self)

    other = Store(root)  # so that the next one joins
    monkeypatch.setattr(Journal, "_join", join)
    stores = []
    thread = threading.Thread(target=lambda: stores.append(Store(root)))
    thread.start()
    assert held.wait(LIMIT_S)
    read, write = os.pipe()
    pid = fork(lambda: os.read(read, 1))  # while that one has the lock of commits
    go.set()
    thread.join(LIMIT_S)
    monkeypatch.undo()
    for store in (*stores, other):
        store.close()
    with Store(root) as alone:  # the child has no lock that says that somebody is at work
        assert alone._engine.driver._ledger._journal._alive.lock(wait=False)
        alone._engine.driver._ledger._journal._alive.lock(shared=True)
    os.write(write, b".")
    assert ended(pid) == 0


# --- what is the parent's -------------------------------------------------------------


def test_unsaved_changes_are_the_parents(opened, root):
    one = opened()
    for id in "abc":
        one.notes.create(id=id)
    one.store.save_all()
    kept = one.notes["c"]
    one.notes.update("a", number=1)
    one.notes.delete("b")
    one.notes.create(id="new")

    def child():
        assert one.store.unsaved == ()
        assert {note.id: note.number for note in one.notes} == {"a": 0, "b": 0, "c": 0}
        assert one.notes["c"] is kept
        one.notes.update("a", number=10)
        one.store.save_all()
        one.store.close()

    assert in_child(child) == 0
    assert {key.id for key in one.store.unsaved} == {"a", "b", "new"}
    report = one.store.save_all(strict=False)
    assert [failure.key.id for failure in report.failures] == ["a"]
    assert isinstance(report.failures[0].error, Conflict)
    one.store.load_all(discard=True)
    one.store.close()
    assert numbers(root) == {"a": 10, "c": 0, "new": 0}


def test_what_was_changed_in_place_is_loaded_again(opened):
    one = opened(Page)
    same, changed = one.notes.create(id="same"), one.notes.create(id="changed")
    one.store.save_all()
    changed.number = 1
    one.notes.create(id="new")

    def child():
        assert one.store.unsaved == ()
        assert one.notes["same"] is same
        assert [note.id for note in one.notes] == ["same"]
        one.store.load_all(strict=True)
        assert one.notes["changed"].number == 0
        one.notes["changed"].number = 2
        one.store.save_all()

    assert in_child(child) == 0
    assert {key.id for key in one.store.unsaved} == {"changed", "new"}
    one.store.load_all(discard=True)


def test_fields_that_nobody_knows_survive_the_change_of_a_child(opened):
    one = opened()
    document = {"id": "a", "number": 0, "color": "red"}
    one.store._engine.driver.commit([Put(Key("notes", "a"), document)], {})
    one.store.load_all(strict=True)
    one.notes.delete("a")
    one.notes.create(id="a", number=5)

    def child():
        one.store.load_all(strict=True)
        one.notes.update("a", number=1)
        one.store.save_all()

    assert in_child(child) == 0
    assert one.store.raw("notes/a") == {**document, "number": 1}
    one.store.load_all(discard=True)


def test_manager_without_a_store_keeps_its_records():
    notes = Manager("notes", Note)
    notes.create(id="a")

    def child():
        notes.create(id="b")
        assert notes.ids() == ("a", "b")

    assert in_child(child) == 0


def test_commit_on_its_way_is_made_by_the_parent_alone(opened, root):
    one = opened()
    one.notes.create(id="a")
    one.store.save_all()
    one.store.flush()  # no pass waits for its turn, with the lock for files
    maker = one.store._engine.driver._ledger._maker
    real, begun, go = maker.make, threading.Event(), threading.Event()

    def make(requests):
        begun.set()
        assert go.wait(LIMIT_S)
        real(requests)

    one.store._engine.driver._ledger._committer._make = make
    one.notes.update("a", number=1)
    saving = threading.Thread(target=one.store.save_all)
    saving.start()
    assert begun.wait(LIMIT_S)

    def child():
        assert one.store.unsaved == ()
        assert one.notes["a"].number == 0
        assert one.store.save_all().sequence == 1
        one.store.close()

    status = in_child(child)
    go.set()
    saving.join(LIMIT_S)
    assert status == 0
    assert one.store.sequence == 2
    one.store.close()
    assert numbers(root) == {"a": 1}


def test_transaction_is_over_in_the_child_and_goes_on_in_the_parent(opened, root):
    one = opened()
    one.notes.create(id="a")
    one.store.save_all()
    with one.store.transaction():
        one.notes.update("a", number=1)
        one.notes.create(id="b")

        def child():
            assert one.notes["a"].number == 0
            with pytest.raises(RecordNotFound):
                one.notes["b"]
            with one.store.transaction():
                one.notes.create(id="child")
            one.store.close()

        assert in_child(child) == 0
    one.store.close()
    assert numbers(root) == {"a": 1, "b": 0, "child": 0}


def test_leaving_a_block_of_the_parent_commits_nothing(opened):
    one = opened()

    def child(block):
        with pytest.raises(StoreForked):
            block.__exit__(None, None, None)
        assert one.store.sequence == 0
        one.notes.create(id="child")
        one.store.save_all()  # the block is over

    block = one.store.transaction()
    with block:
        one.notes.create(id="a")
        assert in_child(lambda: child(block)) == 0
        assert in_child(lambda: block.__exit__(SystemExit, SystemExit(0), None)) == 0
    assert one.store.stored("notes/a")


def test_what_was_begun_before_the_fork_is_refused(opened):
    one = opened()
    for id in "abc":
        one.notes.create(id=id)
        one.store.save_all()
    one.store.flush()
    begun = [one.store.scan("notes"), one.store.changes()]
    for items in begun:
        next(items)

    def child():
        for items in begun:
            with pytest.raises(StoreForked):
                next(items)
        assert len(list(one.store.scan("notes"))) == 3

    assert in_child(child) == 0
    assert [len(list(items)) for items in begun] == [2, 2]


def test_fork_while_the_files_are_held_still(opened):
    one = opened()
    one.notes.create(id="a")
    one.store.save_all()
    with one.store._engine.driver.record_files.held_still():

        def child():
            one.notes.update("a", number=1)
            one.store.save_all()

        assert in_child(child) == 0
    one.store.flush()
    assert one.store.stored("notes/a").document["number"] == 1


def test_child_that_leaves_a_block_of_the_parent_lets_nobody_in(opened):
    one, other = opened(), opened(lock_timeout_s=0.0)
    one.notes.create(id="a")
    one.store.save_all()
    one.store.flush()
    other.store.refresh()
    block = one.store._engine.driver.record_files.held_still()
    with block:
        assert in_child(lambda: block.__exit__(None, None, None)) == 0
        other.notes.create(id="b")
        other.store.save_all()
        with pytest.raises(LockTimeout):
            other.store.flush()


def test_store_in_memory_is_copied():
    one = Opened("memory:")
    one.notes.create(id="a")
    one.store.save_all()

    def child():
        one.notes.update("a", number=1)
        one.store.save_all()
        assert one.store.raw("notes/a")["number"] == 1

    assert in_child(child) == 0
    assert one.store.raw("notes/a")["number"] == 0


# --- other ways to start a process ----------------------------------------------------


def _work(path, id):
    with Store(path) as store:
        store.register(Manager("notes", Note)).create(id=id)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_processes_of_multiprocessing(opened, root, method, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # where the child finds this module
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    one = opened()
    context = multiprocessing.get_context(method)
    children = [context.Process(target=_work, args=(root, f"n{number}")) for number in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(LIMIT_S * 2)
        assert child.exitcode == 0
    one.store.load_all(strict=True)
    assert sorted(one.notes.ids()) == ["n0", "n1"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pool_that_inherits_an_open_store(opened, root):
    one = opened()
    one.notes.create(id="a")
    one.store.save_all()

    def child(number):
        one.notes.create(id=f"n{number}", number=one.notes["a"].number + number)
        one.store.save_all()

    context = multiprocessing.get_context("fork")
    children = [context.Process(target=child, args=(number,)) for number in range(4)]
    for process in children:
        process.start()
    for process in children:
        process.join(LIMIT_S)
        assert process.exitcode == 0
    one.store.close()
    assert numbers(root) == {"a": 0, "n0": 0, "n1": 1, "n2": 2, "n3": 3}


def test_manager_is_not_pickled_nor_copied(opened, root):
    @attrs.frozen
    class Other:
        id: str

    managers = (*opened().store.managers.values(), Manager("others", Other))
    for manager in managers:
        for send in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(NotPicklable, match=f"the manager of '{manager.kind}'"):
                send(manager)


def test_store_is_not_pickled_nor_copied(opened, root):
    store = opened().store
    for send in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(NotPicklable, match=r"open the store there") as caught:
            send(store)
        assert isinstance(caught.value, TypeError)
        assert caught.value.path == str(root)


def test_other_programs_inherit_no_descriptor_and_no_lock(root):
    program = """
        import os, subprocess, sys
        from statestore import Store

        store = Store(sys.argv[1])
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; print(1, flush=True); sys.stdin.read()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False,
        )
        child.stdout.readline()
        with store._engine.driver.record_files.held_still():
            links = [os.path.join(f"/proc/{child.pid}/fd", name)
                     for name in os.listdir(f"/proc/{child.pid}/fd")]
            print(sum(sys.argv[1] in os.readlink(link) for link in links))
        child.stdin.close()
        child.wait()
    """
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("this system does not list the descriptors of a process")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(root)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == b"0\n"


# --- at any moment --------------------------------------------------------------------

THREADS, FORKS = 4, 200


class Storm:
    """Threads that commit, each to a kind of its own, while others fork."""

    def __init__(self, store):
        self.store = store
        self.managers = [store.register(Manager(f"kind{n}", Note)) for n in range(THREADS)]
        self.counts, self.broken, self.is_over = [0] * THREADS, [], False
        self.turns = threading.Semaphore(0)  # the lock between processes is not fair
        self.threads = [threading.Thread(target=self.work, args=(n,)) for n in range(THREADS)]
        for thread in self.threads:
            thread.start()

    def work(self, number):
        manager = self.managers[number]
        try:
            manager.create(id="shared")
            while self.turns.acquire() and not self.is_over:
                self.counts[number] += 1
                manager.update("shared", number=self.counts[number])
                manager.create(id=f"n{self.counts[number]}", number=self.counts[number])
                self.store.save(manager.kind)
        except BaseException as error:  # noqa: BLE001 # told at the end
            self.broken.append(error)

    def end(self):
        self.is_over = True
        self.turns.release(THREADS)
        for thread in self.threads:
            thread.join(LIMIT_S * 2)
        assert not any(thread.is_alive() for thread in self.threads)
        assert not self.broken, self.broken


@pytest.mark.timeout(300)
def test_forks_while_threads_commit(root):
    one = Opened(root)
    storm = Storm(one.store)

    def child(number):
        for manager in storm.managers:
            for record in manager:
                assert record.id == "shared" or record.id == f"n{record.number}"
        one.notes.create(id=f"c{number}", number=number)
        one.store.save("notes")
        if number % 20 == 0:
            one.store.close()
        elif number % 20 == 1:
            one.store.flush()

    try:
        ends = []
        for start in range(0, FORKS, 4):
            storm.turns.release(2 * THREADS)
            pids = [fork(lambda n=start + beside: child(n)) for beside in range(4)]
            ends += map(ended, pids)
    finally:
        storm.end()
    assert ends == [0] * FORKS
    one.store.close()
    assert numbers(root) == {f"c{number}": number for number in range(FORKS)}
    for manager, count in zip(storm.managers, storm.counts, strict=True):
        expected = {"shared": count, **{f"n{n}": n for n in range(1, count + 1)}}
        assert numbers(root, manager.kind) == expected
    with Store(root) as store:
        commits = list(store.changes())
    assert [commit.sequence for commit in commits] == list(range(1, len(commits) + 1))
    seen = {}
    for commit in commits:
        for key, revision in commit.revisions.items():
            assert revision == seen.get(key, 0) + 1
            seen[key] = revision
