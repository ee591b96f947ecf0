"""Drivers against a dict, over whatever sequence of operations hypothesis thinks of."""

import shutil
import tempfile

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from statestore.drivers.directory import DirectoryDriver
from statestore.drivers.memory import MemoryDriver
from statestore.errors import CommitRefused, Conflict, RecordNotFound
from statestore.models.changes import Append, Delete, Patch, Put
from statestore.models.documents import INT_MAX, INT_MIN
from statestore.models.keys import SETTINGS_ID
from statestore.serializers import get
from statestore.testing.driver import SteppedClock, contents, key

IDS = ("a", "A", "a.json", "../a", ".tmp", "con", "\u00e9", "e\u0301", "x" * 130, "\n", SETTINGS_ID)
FORMATS = ("json", "compact", "gzip", "yaml", "yaml+gzip")

ids = st.sampled_from(IDS)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(INT_MIN, INT_MAX),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
values = st.one_of(scalars, st.lists(scalars, max_size=3))
documents = st.fixed_dictionaries(
    {"log": st.lists(scalars, max_size=2)}, optional={"text": values, "n": st.integers(0, 9)}
)
operations = st.lists(
    st.tuples(st.sampled_from(["put", "patch", "delete"]), ids, documents), min_size=1, max_size=5
)


def whole(id, document):
    """Return what is stored under an id; what a manager remembers has none inside."""
    return dict(document) if id == SETTINGS_ID else {"id": id, **document}


class DriverMachine(RuleBasedStateMachine):
    """A driver beside `kept` (id → document) and `revisions` (id → the highest ever)."""

    def __init__(self):
        super().__init__()
        self.clock = SteppedClock()
        self.kept, self.revisions, self.last = {}, {}, None
        self.driver = self.open()

    def open(self):
        raise NotImplementedError

    def teardown(self):
        self.driver.close()

    def revision(self, id):
        return self.revisions[id] if id in self.kept else 0

    def expect(self, ids):
        return {key(id): self.revision(id) for id in ids}

    def commit(self, changes, outcome, *, told):
        """Commit, and note what must have come of it: `outcome` is id → document or None."""
        commit = self.driver.commit(changes, self.expect(outcome) if told else {})
        for id, document in outcome.items():
            if document is None and id not in self.kept:
                assert key(id) not in commit.revisions
                continue
            self.revisions[id] = self.revisions.get(id, 0) + 1
            assert commit.revisions[key(id)] == self.revisions[id]
            if document is None:
                del self.kept[id]
            else:
                self.kept[id] = document
        if commit.revisions:
            assert self.last is None or commit.committed_at >= self.last
            self.last = commit.committed_at

    @rule(id=ids, document=documents, told=st.booleans())
    def put(self, id, document, told):
        document = whole(id, document)
        self.commit([Put(key(id), document)], {id: document}, told=told)

    @precondition(lambda self: self.kept)
    @rule(data=st.data(), text=values, items=st.lists(scalars, max_size=2), told=st.booleans())
    def patch(self, data, text, items, told):
        id = data.draw(st.sampled_from(sorted(self.kept)))
        before = self.kept[id]
        append = Append("log", len(before["log"]), tuple(items))
        after = {**before, "text": text, "log": [*before["log"], *items]}
        self.commit([Patch(key(id), {"text": text}, (append,))], {id: after}, told=told)

    @rule(id=ids, told=st.booleans())
    def delete(self, id, told):
        self.commit([Delete(key(id))], {id: None}, told=told)

    @rule(operations=operations, told=st.booleans())
    def batch(self, operations, told):
        changes, outcome = [], {}
        for what, id, document in operations:
            before = outcome.get(id, self.kept.get(id))
            if what == "delete":
                changes.append(Delete(key(id)))
                outcome[id] = None
            elif what == "patch" and before is not None:
                changes.append(Patch(key(id), document))
                outcome[id] = {**before, **document}
            else:
                changes.append(Put(key(id), whole(id, document)))
                outcome[id] = whole(id, document)
        self.commit(changes, outcome, told=told)

    @rule(id=ids, other=ids, wrong=st.integers(0, 50))
    def wrong_expectation(self, id, other, wrong):
        found = self.revision(id)
        if wrong == found:
            wrong += 1
        changes = [Put(key(id), whole(id, {})), Delete(key(other)), Put(key("new"), {"id": "new"})]
        with pytest.raises(CommitRefused) as raised:
            self.driver.commit(changes, {key(id): wrong})
        if other != id:
            [failure] = raised.value.failures
            assert isinstance(failure.error, Conflict)
            assert (failure.key, failure.error.found) == (key(id), found)

    @rule(id=ids)
    def refused_value(self, id):
        with pytest.raises(CommitRefused):
            self.driver.commit([Delete(key(id)), Put(key("x"), {"id": "x", "n": float("nan")})], {})

    @rule(hours=st.integers(-100, 100))
    def clock_jumps(self, hours):
        self.clock.move(hours=hours)

    @rule(id=ids)
    def read(self, id):
        if id not in self.kept:
            with pytest.raises(RecordNotFound):
                self.driver.read(key(id))
            return
        stored = self.driver.read(key(id))
        assert repr(dict(sorted(stored.document.items()))) == repr(
            dict(sorted(self.kept[id].items()))
        )
        assert stored.revision == self.revisions[id]

    @invariant()
    def holds_what_the_dict_holds(self):
        assert contents(self.driver) == self.kept


class MemoryMachine(DriverMachine):
    def open(self):
        return MemoryDriver(clock=self.clock)


class DirectoryMachine(DriverMachine):
    def __init__(self):
        self.root = tempfile.mkdtemp()
        super().__init__()

    def open(self, format=None):
        return DirectoryDriver(self.root, format=format, clock=self.clock)

    def teardown(self):
        super().teardown()
        shutil.rmtree(self.root)

    @initialize(format=st.sampled_from(FORMATS))
    def begins_in_some_format(self, format):
        self.driver.use(get(format), remember=True)

    @rule(format=st.sampled_from((None, *FORMATS)))
    def reopen(self, format):
        self.driver.close()
        self.driver = self.open(format)
        contents(self.driver)

    @rule(format=st.sampled_from(FORMATS))
    def rewrite(self, format):
        done = self.driver.rewrite("notes", get(format))
        assert (done.items + done.unchanged, done.failures) == (len(self.kept), ())


@pytest.mark.parametrize("machine", [MemoryMachine, DirectoryMachine])
def test_driver_holds_what_a_dict_holds(machine):
    limits = settings(
        max_examples=60,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(machine, settings=limits)
