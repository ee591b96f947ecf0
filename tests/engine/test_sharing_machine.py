"""Two openings of one store against a model: nothing lost, nothing overwritten unseen."""

import shutil
import tempfile

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from statestore import Conflict, DuplicateId, Manager, RecordNotFound, Store, TransactionFailed
from statestore.models.keys import Key

IDS = st.sampled_from("abc")
SIDES = st.sampled_from([0, 1])
TEXTS = st.sampled_from(["x", "y", "z"])


@attrs.frozen
class Note:
    id: str
    text: str = ""
    count: int = 0


@attrs.define
class View:
    """What one opening has, as the model says: revisions and records as last seen, live records."""

    revisions: dict = attrs.field(factory=dict)
    seen: dict = attrs.field(factory=dict)
    live: dict = attrs.field(factory=dict)
    dirty: set = attrs.field(factory=set)


class Sharing(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.path = tempfile.mkdtemp()
        self.stored, self.revisions, self.highest = {}, {}, {}
        self.stores, self.notes, self.views = [None, None], [None, None], [None, None]
        for side in (0, 1):
            self._open(side)

    def _open(self, side):
        self.stores[side] = Store(self.path)
        self.notes[side] = self.stores[side].register(Manager("notes", Note))
        self.stores[side].load_all()
        self.views[side] = View(dict(self.revisions), dict(self.stored), dict(self.stored))

    def teardown(self):
        for store in self.stores:
            store.load_all(discard=True)
            store.close()
        shutil.rmtree(self.path)

    # --- the model --------------------------------------------------------------------

    def _commit(self, view, id):
        record = view.live.get(id)
        if record is None and id not in self.stored:
            view.seen.pop(id, None)
            view.revisions.pop(id, None)
            view.dirty.discard(id)
            return
        self.highest[id] = self.highest.get(id, 0) + 1
        if record is None:
            del self.stored[id], self.revisions[id]
        else:
            self.stored[id], self.revisions[id] = record, self.highest[id]
        self._take(view, id)

    def _take(self, view, id):
        for mine, theirs in (
            (view.live, self.stored),
            (view.seen, self.stored),
            (view.revisions, self.revisions),
        ):
            mine.pop(id, None)
            if id in theirs:
                mine[id] = theirs[id]
        view.dirty.discard(id)

    def _is_conflict(self, view, id):
        if id not in view.live and id not in self.stored:
            return False  # deleted here and there
        return view.revisions.get(id, 0) != self.revisions.get(id, 0)

    def _merged(self, view, id):
        base, mine, theirs = view.seen.get(id), view.live.get(id), self.stored.get(id)
        if mine is None or theirs is None:
            return None
        values = {}
        for name in ("text", "count"):
            before = getattr(base, name) if base else None
            ours, other = getattr(mine, name), getattr(theirs, name)
            if ours not in (other, before) and other != before:
                return None
            values[name] = other if ours in (other, before) else ours
        return Note(id, **values)

    def _settled(self, view, id, policy):
        """Settle a conflict; say whether the record is to be committed, None for a failure."""
        if policy == "mine":
            return True
        if policy == "theirs":
            self._take(view, id)
            return False
        merged = self._merged(view, id) if policy == "merge" else None
        if merged is None:
            return None
        if merged == self.stored[id]:
            self._take(view, id)
            return False
        view.live[id] = merged
        return True

    # --- the rules --------------------------------------------------------------------

    @rule(side=SIDES, id=IDS, text=TEXTS)
    def create(self, side, id, text):
        view = self.views[side]
        if id in view.live:
            with pytest.raises(DuplicateId):
                self.notes[side].create(id=id, text=text)
            return
        self.notes[side].create(id=id, text=text)
        view.live[id] = Note(id, text)
        view.dirty.add(id)

    @rule(side=SIDES, id=IDS, text=TEXTS)
    def update(self, side, id, text):
        view = self.views[side]
        if id in view.live:
            self.notes[side].update(id, text=text)
            view.live[id] = attrs.evolve(view.live[id], text=text)
            view.dirty.add(id)

    @rule(side=SIDES, id=IDS)
    def count(self, side, id):
        view = self.views[side]
        if id in view.live:
            self.notes[side].update(id, count=view.live[id].count + 1)
            view.live[id] = attrs.evolve(view.live[id], count=view.live[id].count + 1)
            view.dirty.add(id)

    @rule(side=SIDES, id=IDS)
    def delete(self, side, id):
        view = self.views[side]
        if id in view.live:
            self.notes[side].delete(id)
            del view.live[id]
            view.dirty.add(id)
            if id not in view.revisions:
                view.dirty.discard(id)  # it was never stored, as far as is known here

    @rule(side=SIDES, policy=st.sampled_from(["error", "mine", "theirs", "merge"]))
    def save(self, side, policy):
        view = self.views[side]
        report = self.stores[side].save_all(strict=False, on_conflict=policy)
        failed = set()
        for id in sorted(view.dirty):
            if self._is_conflict(view, id):
                commits = self._settled(view, id, policy)
                if commits is None:
                    failed.add(id)
                if not commits:
                    continue
            self._commit(view, id)
        assert {failure.key.id for failure in report.failures} == failed
        assert all(isinstance(failure.error, Conflict) for failure in report.failures)

    @rule(side=SIDES, id=IDS)
    def modify(self, side, id):
        view = self.views[side]

        def change(note):
            return attrs.evolve(note, count=note.count + 1)

        is_overtaken = view.revisions.get(id, 0) != self.revisions.get(id, 0)
        if id in view.dirty and is_overtaken:
            with pytest.raises(Conflict):
                self.notes[side].modify(id, change)
            return
        if id not in view.dirty:
            self._take(view, id)
        if id not in view.live:
            with pytest.raises(RecordNotFound):
                self.notes[side].modify(id, change)
            return
        self.notes[side].modify(id, change)
        view.live[id] = change(view.live[id])
        self._commit(view, id)

    @rule(side=SIDES, ids=st.sets(IDS, min_size=1), text=TEXTS)
    def transact(self, side, ids, text):
        view = self.views[side]
        ids = ids & view.live.keys()
        overtaken = [id for id in ids if view.revisions.get(id, 0) != self.revisions.get(id, 0)]
        if overtaken:
            with pytest.raises(TransactionFailed):
                self._update_all(side, ids, text)
            return
        self._update_all(side, ids, text)
        for id in ids:
            view.live[id] = attrs.evolve(view.live[id], text=text)
            self._commit(view, id)

    def _update_all(self, side, ids, text):
        with self.stores[side].transaction():
            for id in ids:
                self.notes[side].update(id, text=text)

    @rule(side=SIDES)
    def refresh(self, side):
        view = self.views[side]
        report = self.stores[side].refresh()
        kept = set()
        for id in "abc":
            if id in view.dirty:
                if view.revisions.get(id, 0) != self.revisions.get(id, 0):
                    kept.add(Key("notes", id))
            else:
                self._take(view, id)
        assert set(report.kept) == kept
        assert report.failures == ()

    @rule(side=SIDES)
    def reopen(self, side):
        self.stores[side].load_all(discard=True)
        self.stores[side].close()
        self._open(side)

    @rule(side=SIDES)
    def flush(self, side):
        self.stores[side].flush()

    # --- what always holds ------------------------------------------------------------

    @invariant()
    def memory_is_as_the_model_says(self):
        for notes, view in zip(self.notes, self.views, strict=True):
            assert {note.id: note for note in notes} == view.live

    @invariant()
    def store_is_as_the_model_says(self):
        for store in self.stores:
            found = {one.key.id: one for one in store.scan("notes")}
            assert {id: Note(**one.document) for id, one in found.items()} == self.stored
            assert {id: one.revision for id, one in found.items()} == self.revisions


TestSharing = Sharing.TestCase
TestSharing.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
