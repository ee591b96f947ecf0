"""Transactions over two managers against plain dicts: nested blocks, exceptions, crashes."""

import copy

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from statestore import Manager, Store
from statestore.engine.engine import Engine

KINDS = st.sampled_from(["notes", "tasks"])
IDS = st.sampled_from(["a", "B", "c/d"])
TEXTS = st.sampled_from(["", "x", "y"])


@attrs.frozen
class Note:
    id: str
    text: str = ""


class Undone(Exception):
    pass


class Machine(RuleBasedStateMachine):
    """`levels` are what memory shows: first to everybody, then in each open block."""

    def __init__(self):
        super().__init__()
        self.store = Store("memory:")
        self.driver = self.store._engine.driver
        self.stored = {"notes": {}, "tasks": {}}
        self.unsaved = set()
        self.blocks = []
        self.written = []
        self.levels = [{"notes": {}, "tasks": {}}]
        self.attach()

    def attach(self):
        self.managers = {
            kind: self.store.register(Manager(kind, Note)) for kind in ("notes", "tasks")
        }
        self.store.load_all(strict=True)

    def note(self, kind, id):
        (self.written[-1] if self.blocks else self.unsaved).add((kind, id))

    # --- records ----------------------------------------------------------------------

    @rule(kind=KINDS, id=IDS, text=TEXTS)
    def create(self, kind, id, text):
        if id in self.levels[-1][kind]:
            return
        self.managers[kind].create(id=id, text=text)
        self.levels[-1][kind][id] = text
        self.note(kind, id)

    @rule(kind=KINDS, id=IDS, text=TEXTS)
    def update(self, kind, id, text):
        if id not in self.levels[-1][kind]:
            return
        self.managers[kind].update(id, text=text)
        self.levels[-1][kind][id] = text
        self.note(kind, id)

    @rule(kind=KINDS, id=IDS)
    def delete(self, kind, id):
        if id not in self.levels[-1][kind]:
            return
        self.managers[kind].delete(id)
        del self.levels[-1][kind][id]
        self.note(kind, id)

    @rule(kind=KINDS)
    def delete_all(self, kind):
        for id in self.levels[-1][kind]:
            self.note(kind, id)
        assert self.managers[kind].delete_all() == len(self.levels[-1][kind])
        self.levels[-1][kind] = {}

    # --- blocks -----------------------------------------------------------------------

    @rule()
    def begin(self):
        if len(self.blocks) == 3:
            return
        # A stack of blocks cannot be written as `with` over several rules: entered by hand.
        block = self.store.transaction()
        block.__enter__()
        self.blocks.append(block)
        self.written.append(set())
        self.levels.append(copy.deepcopy(self.levels[-1]))

    @precondition(lambda self: self.blocks)
    @rule()
    def end(self):
        before = self.driver.sequence
        self.blocks.pop().leave()
        old, new, written = self.levels[-2], self.levels.pop(), self.written.pop()
        self.levels[-1] = new
        if self.blocks:
            self.written[-1] |= written
            assert self.driver.sequence == before
            return
        for kind, id in written:
            text = new[kind].get(id)
            if text is None and id not in old[kind]:
                continue  # it came and went: nothing was changed
            self.unsaved.discard((kind, id))
            self.stored[kind].pop(id, None)
            if text is not None:
                self.stored[kind][id] = text
        assert self.driver.sequence <= before + 1

    @precondition(lambda self: self.blocks)
    @rule()
    def undo(self):
        before = self.driver.sequence
        error = Undone()
        self.blocks.pop().leave(type(error), error, None)
        self.levels.pop()
        self.written.pop()
        assert self.driver.sequence == before

    # --- the store --------------------------------------------------------------------

    @precondition(lambda self: not self.blocks)
    @rule()
    def save(self):
        self.store.save_all()
        self.stored = copy.deepcopy(self.levels[0])
        self.unsaved.clear()

    def drop_blocks(self):
        while self.blocks:
            self.blocks.pop().leave(Undone, Undone(), None)
        self.written.clear()

    def teardown(self):
        self.drop_blocks()

    @rule()
    def crash(self):
        self.drop_blocks()
        self.levels = [copy.deepcopy(self.stored)]
        self.unsaved.clear()
        self.store = Store("memory:")
        self.store._engine = Engine(self.driver)
        self.attach()

    # --- what holds always ------------------------------------------------------------

    def found(self, kind):
        return {one.key.id: one.document["text"] for one in self.driver.scan(kind)}

    @invariant()
    def memory_is_as_the_model(self):
        for kind, manager in self.managers.items():
            shown = self.levels[-1][kind]
            assert {one.id: one.text for one in manager} == shown
            assert len(manager) == len(shown)
            assert sorted(manager.ids()) == sorted(shown)
            for id in ("a", "B", "c/d"):
                assert (id in manager) == (id in shown)
                assert getattr(manager.get(id), "text", None) == shown.get(id)

    @invariant()
    def store_is_as_the_model(self):
        for kind in self.managers:
            assert self.found(kind) == self.stored[kind]

    @invariant()
    def unsaved_is_as_the_model(self):
        unsaved = {(key.kind, key.id) for key in self.store.unsaved}
        differ = {
            (kind, id)
            for kind in self.managers
            for id in ("a", "B", "c/d")
            if self.levels[0][kind].get(id) != self.stored[kind].get(id)
        }
        assert differ <= unsaved <= self.unsaved


TestTransactions = Machine.TestCase
TestTransactions.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
