"""A manager with a store over memory, and somebody else who writes to it, against dicts."""

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from statestore import Conflict, Manager, Store
from statestore.models.changes import Delete, Put
from statestore.models.keys import Key

IDS = st.sampled_from(["a", "B", "c/d"])
TEXTS = st.sampled_from(["", "x", "y"])


@attrs.frozen
class Fixed:
    id: str
    text: str = ""


@attrs.define
class Loose:
    id: str
    text: str = ""


@attrs.define
class Known:
    """What the manager believes to be stored."""

    text: str
    revision: int


class FrozenMachine(RuleBasedStateMachine):
    record_class = Fixed

    def __init__(self):
        super().__init__()
        self.store = Store("memory:")
        self.things = self.store.register(Manager("things", self.record_class))
        self.live = {}
        self.known = {}
        self.touched = set()
        self.stored = {}
        self.highest = {}
        self.heard = []
        self.store.on_error(self.heard.append)

    # --- the model --------------------------------------------------------------------

    def is_dirty(self, id):
        if id not in self.live:
            return id in self.known
        return id in self.touched

    def dirty(self):
        return {id for id in {*self.live, *self.known} if self.is_dirty(id)}

    def write(self, id, text):
        self.highest[id] = self.highest.get(id, 0) + 1
        self.stored[id] = Known(text, self.highest[id])

    def drop(self, id):
        self.highest[id] += 1
        del self.stored[id]

    # --- what the host does -----------------------------------------------------------

    @rule(id=IDS, text=TEXTS)
    def create(self, id, text):
        if id in self.live:
            return
        self.things.create(id=id, text=text)
        self.live[id] = text
        self.touched.add(id)

    @rule(id=IDS, text=TEXTS)
    def update(self, id, text):
        if id not in self.live:
            return
        self.things.update(id, text=text)
        self.live[id] = text
        self.touched.add(id)

    @rule(id=IDS)
    def delete(self, id):
        if id not in self.live:
            return
        self.things.delete(id)
        del self.live[id]
        self.touched.discard(id)

    @rule()
    def save(self):
        self.heard.clear()
        report = self.store.save_all(strict=False)

        conflicts, written, deleted = set(), 0, 0
        for id in self.dirty():
            expected = self.known[id].revision if id in self.known else 0
            found = self.stored[id].revision if id in self.stored else 0
            if id not in self.live and not found:
                del self.known[id]  # gone already, whoever removed it
            elif expected != found:
                conflicts.add(id)
            elif id in self.live:
                written += 1
                self.write(id, self.live[id])
                self.known[id] = attrs.evolve(self.stored[id])
                self.touched.discard(id)
            else:
                deleted += 1
                self.drop(id)
                del self.known[id]
        assert {failure.key.id for failure in report.failures} == conflicts
        assert all(isinstance(failure.error, Conflict) for failure in report.failures)
        assert self.heard == list(report.failures)
        assert (report.items, report.deleted) == (written, deleted)

    @rule()
    def load(self):
        report = self.store.load_all()

        kept = self.dirty()
        assert {key.id for key in report.kept} == kept
        assert report.items == len(self.stored)
        for id in {*self.live, *self.known, *self.stored} - kept:
            self.take(id)

    @rule()
    def discard(self):
        report = self.store._engine.take_in(discard=True)

        assert report.kept == ()
        for id in {*self.live, *self.known, *self.stored}:
            self.take(id)

    def take(self, id):
        self.touched.discard(id)
        self.live.pop(id, None)
        self.known.pop(id, None)
        if id in self.stored:
            self.live[id] = self.stored[id].text
            self.known[id] = attrs.evolve(self.stored[id])

    # --- what somebody else does ------------------------------------------------------

    @rule(id=IDS, text=TEXTS)
    def foreign_write(self, id, text):
        self.store._engine.driver.commit([Put(Key("things", id), {"id": id, "text": text})], {})
        self.write(id, text)

    @rule(id=IDS)
    def foreign_delete(self, id):
        self.store._engine.driver.commit([Delete(Key("things", id))], {})
        if id in self.stored:
            self.drop(id)

    # --- what holds always ------------------------------------------------------------

    @invariant()
    def memory_is_as_the_model(self):
        assert {one.id: one.text for one in self.things} == self.live
        assert set(self.things.unsaved) == self.dirty()
        for id in self.live:
            assert self.things.revision(id) == (self.known[id].revision if id in self.known else 0)

    @invariant()
    def store_is_as_the_model(self):
        found = {one.key.id: one for one in self.store.scan("things")}
        assert {id: (one.document["text"], one.revision) for id, one in found.items()} == {
            id: (one.text, one.revision) for id, one in self.stored.items()
        }


class MutableMachine(FrozenMachine):
    record_class = Loose

    def is_dirty(self, id):
        if id not in self.live:
            return id in self.known
        return id not in self.known or self.known[id].text != self.live[id]

    @precondition(lambda self: self.live)
    @rule(id=IDS, text=TEXTS)
    def change_in_place(self, id, text):
        if id in self.live:
            self.things[id].text = text
            self.live[id] = text


_settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestFrozen = FrozenMachine.TestCase
TestFrozen.settings = _settings
TestMutable = MutableMachine.TestCase
TestMutable.settings = _settings
