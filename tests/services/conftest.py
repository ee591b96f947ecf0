"""What the tests of services share: a store with every kind of manager, and ids that bite."""

import threading
from typing import Any

import attrs
import pytest

from statestore import Manager, Store
from statestore.managers import ConversationManager, FocusManager, SessionManager, TaskManager
from statestore.models.documents import FrozenDict, freeze_mapping

_HOSTILE_IDS = (
    *("a", "A", "../up", "a/b", "/abs", ".", "..", ".hidden", "-rf", "con", "lpt1.txt"),
    *("é", "e\u0301", "sp ace", "end.", "new\nline", "%41", "~", "@", "a@b", "😀", "x" * 300),
    *("a.json", "a.yaml", "a.json.gz", "manifest.json", "x.tmp", "€" * 86),
)


@attrs.frozen
class Note:
    """A record class of the host's own."""

    id: str
    text: str = ""
    values: FrozenDict = attrs.field(factory=FrozenDict, converter=freeze_mapping)


class World:
    """A store with the managers of all built-in kinds and one of the host's own."""

    def __init__(self, path, **options: Any) -> None:
        self.store = Store(path, **options)
        self.sessions = self.store.register(SessionManager())
        self.conversations = self.store.register(ConversationManager())
        self.chains = self.store.register(FocusManager())
        self.tasks = self.store.register(TaskManager())
        self.notes = self.store.register(Manager("notes", Note))

    def fill(self):
        """Add some records of each kind and save them."""
        session = self.sessions.create(project_id="p", name="One", tags=["x"], id="s1")
        self.conversations.create("Talk", session_id=session.id, id="c1")
        self.conversations.add_message("c1", role="user", content="hi\nthere: no")
        self.conversations.add_message("c1", role="assistant", content=[{"type": "t", "n": 1.0}])
        self.chains.create("Chain", id="f1")
        self.tasks.create("Task", id="t1")
        for number, id in enumerate(_HOSTILE_IDS):
            self.notes.add(Note(id, f"note {number}", {"1:30": "yes", "n": number}))
        self.store.save_all()
        return self

    @property
    def records(self):
        """All live records by kind and id."""
        return {
            (kind, one.id): one for kind, manager in self.store.managers.items() for one in manager
        }

    @property
    def revisions(self):
        managers = self.store.managers
        return {(kind, id): managers[kind].revision(id) for kind, id in self.records}


@pytest.fixture(autouse=True)
def _files_at_once(files_at_once):
    """Services act on files, and their tests look at them."""


@pytest.fixture
def hostile_ids():
    return _HOSTILE_IDS


@pytest.fixture
def note():
    return Note


@pytest.fixture
def world(tmp_path):
    """Open a store with all managers; in `tmp_path / "state"` where nothing else is said."""
    opened = []

    def open_world(path=None, *, load=True, **options):
        made = World(tmp_path / "state" if path is None else path, **options)
        opened.append(made)
        if load:
            made.store.load_all()
        return made

    yield open_world
    for made in opened:
        # Unsaved changes are dropped, so that what a test left half done is no error here.
        made.store._close()


@pytest.fixture
def record_files():
    """Return the record files below a store: path → bytes and time of change."""

    def read(root):
        return {
            str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns)
            for kind in ("sessions", "conversations", "focus", "tasks", "notes")
            for path in sorted((root / kind).glob("*"))
        }

    return read


@pytest.fixture
def is_free():
    """Say whether a store can be used by another thread now: whether no lock is held."""

    def ask(store):
        done = threading.Event()

        def use():
            store.stats()  # takes a turn, and tells nobody
            assert store.unsaved is not None  # takes the lock of each manager
            done.set()

        threading.Thread(target=use, daemon=True).start()
        return done.wait(20)

    return ask
