"""Sessions through many openings of a store, closed or lost, against plain dicts."""

import contextlib
import copy
import shutil
import tempfile
import warnings
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from statestore import InvalidTransition, SessionActive, Store
from statestore.managers import FocusManager, SessionLimits, SessionManager

IDS = st.sampled_from(["a", "B", "c/d"])
TAGS = st.sampled_from(["x", "y"])
STEPS_S = st.sampled_from([0, 0.000001, 1, 59.999999, 86_400])
MICROSECOND = timedelta(microseconds=1)
NEXT = {
    "paused": {"active", "completed", "failed"},
    "active": {"paused", "completed", "failed"},
    "completed": set(),
    "failed": set(),
}


@attrs.define
class Known:
    """A session as the model has it. Durations in microseconds, times in those since the start."""

    created: int
    updated: int
    status: str = "paused"
    spent: int = 0
    began: int | None = None
    ended: int | None = None
    alive: int | None = None
    run: int | None = None
    reason: str | None = None
    tags: tuple = ()
    context: dict = attrs.field(factory=dict)
    name: str = ""
    chain: str | None = None


class SessionMachine(RuleBasedStateMachine):
    autosave = "manual"

    def __init__(self):
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.start_of_time = datetime(2026, 1, 1, tzinfo=UTC)
        self.now = 0
        self.run = 0
        self.live, self.stored = {}, {}
        self.chains, self.stored_chains = {}, {}
        self.most = self.stored_most = None
        self.written_limit = False
        self.written, self.written_chains = set(), set()
        self.open()

    def open(self):
        self.run += 1
        self.store = Store(self.folder, autosave=self.autosave)
        self.sessions = self.store.register(SessionManager(clock=self.clock))
        self.focus = self.store.register(FocusManager(clock=self.clock))
        self.store.load_all(strict=True)

    def clock(self):
        return self.start_of_time + timedelta(microseconds=self.now)

    def teardown(self):
        self.kill_store()
        shutil.rmtree(self.folder)

    def kill_store(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.store.__exit__(ZeroDivisionError, ZeroDivisionError(), None)

    # --- the model --------------------------------------------------------------------

    def done(self):
        """An operation outside of transactions is over."""
        if self.autosave == "on-change":
            self.note_saved()

    def note_saved(self):
        self.stored, self.stored_chains = copy.deepcopy(self.live), dict(self.chains)
        self.stored_most = self.most

    def change(self, id):
        """Note that an operation has changed a session: a sign of life, if it is of this run."""
        known = self.live[id]
        self.written.add(id)
        known.updated = max(self.now, known.updated + 1)
        if known.status == "active" and known.run == self.run:
            known.alive = self.now

    def close_span(self, known):
        end = self.now if known.run == self.run else known.alive
        known.spent += end - known.began
        known.run = known.alive = None

    def leave(self, id, status):
        known = self.live[id]
        if known.status == "active":
            self.close_span(known)
        known.status = status
        if status != "paused":
            known.ended = self.now
        self.change(id)

    def trim(self):
        if self.most is None:
            return
        ended = [(one.ended, id) for id, one in self.live.items() if one.ended is not None]
        for _, id in sorted(ended)[: max(0, len(ended) - self.most)]:
            self.drop(id)

    def drop(self, id):
        self.written.add(id)
        del self.live[id]

    def spent(self, id):
        known = self.live[id]
        if known.status != "active":
            return known.spent
        return known.spent + (self.now if known.run == self.run else known.alive) - known.began

    # --- operations, each of which the model does after the manager -------------------

    def do_create(self, id, tag):
        if id in self.live:
            return
        self.sessions.create(id=id, tags=[tag])
        self.live[id] = Known(self.now, self.now, tags=(tag,))
        self.written.add(id)

    def do_start(self, id, _):
        self.begin(id, lambda: self.sessions.start(id), pause_others=True)

    def do_start_beside(self, id, _):
        self.begin(id, lambda: self.sessions.start(id, pause_others=False), pause_others=False)

    def do_resume(self, id, _):
        self.begin(id, lambda: self.sessions.resume(id), pause_others=True)

    def begin(self, id, operation, *, pause_others):
        if id not in self.live:
            return
        known = self.live[id]
        taken_over = known.status == "active" and known.run != self.run
        if known.status != "paused" and not taken_over:
            self.refused(InvalidTransition, operation)
            return
        operation()
        for other, one in self.live.items():
            if pause_others and other != id and one.status == "active":
                self.leave(other, "paused")
        if taken_over:
            self.close_span(known)
        known.status, known.run, known.began = "active", self.run, self.now
        self.change(id)

    def do_pause(self, id, _):
        self.move(id, "paused", lambda: self.sessions.pause(id))

    def do_complete(self, id, _):
        if self.move(id, "completed", lambda: self.sessions.complete(id)):
            self.trim()

    def do_fail(self, id, reason):
        if self.move(id, "failed", lambda: self.sessions.fail(id, reason), reason):
            self.trim()

    def do_set_status(self, id, _):
        """What a host does that knows nothing of complete()."""
        if id in self.live and self.live[id].status != "completed":
            self.move(id, "completed", lambda: self.sessions.update(id, status="completed"))

    def move(self, id, status, operation, reason=None):
        if id not in self.live:
            return False
        if status not in NEXT[self.live[id].status]:
            self.refused(InvalidTransition, operation)
            return False
        operation()
        self.live[id].reason = reason
        self.leave(id, status)
        return True

    def do_delete(self, id, _):
        if id not in self.live:
            return
        if self.live[id].status == "active":
            self.refused(SessionActive, lambda: self.sessions.delete(id))
            return
        self.sessions.delete(id)
        self.drop(id)

    def do_delete_with_chain(self, id, _):
        if id not in self.live:
            return
        self.sessions.delete(id, force=True, with_chain=True)
        if self.chains.pop(f"session-{id}", None):
            self.written_chains.add(f"session-{id}")
        self.drop(id)

    def do_touch(self, id, _):
        if id in self.live:
            self.sessions.touch(id)
            self.change(id)

    def do_add_tag(self, id, tag):
        if id in self.live:
            self.sessions.add_tag(id, tag)
            if tag not in self.live[id].tags:
                self.live[id].tags += (tag,)
                self.change(id)

    def do_remove_tag(self, id, tag):
        if id in self.live:
            self.sessions.remove_tag(id, tag)
            if tag in self.live[id].tags:
                self.live[id].tags = tuple(one for one in self.live[id].tags if one != tag)
                self.change(id)

    def do_set_context(self, id, key):
        if id in self.live:
            self.sessions.set_context(id, key, {"at": self.now})
            self.live[id].context[key] = {"at": self.now}
            self.change(id)

    def do_rename(self, id, name):
        if id in self.live:
            self.sessions.update(id, name=name)
            self.live[id].name = name
            self.change(id)

    def do_ask_for_chain(self, id, _):
        if id not in self.live:
            return
        chain = self.sessions.focus_chain(id)
        assert chain.id == f"session-{id}"
        if chain.id not in self.chains:
            self.chains[chain.id] = id
            self.written_chains.add(chain.id)
        if self.live[id].chain is None:
            self.live[id].chain = chain.id
            self.change(id)

    def do_limit(self, id, _):
        self.most = "aBc".index(id[0])
        self.sessions.set_limits(max_history=self.most)
        self.written_limit = True

    def do_trim(self, _, __):
        self.sessions.trim()
        self.trim()

    def do_carry_back(self, id, _):
        """An import of what was just exported changes nothing."""
        if id in self.live:
            before = self.sessions[id]
            document = self.sessions.export_document(id)
            assert self.sessions.import_document(document, replace=True) is before

    OPERATIONS = tuple(name for name in dir() if name.startswith("do_"))

    def refused(self, error, operation):
        before = {one.id: one for one in self.sessions}
        with pytest.raises(error):
            operation()
        assert all(self.sessions[id] is one for id, one in before.items())
        assert len(self.sessions) == len(before)

    # --- what happens -----------------------------------------------------------------

    @rule(operation=st.sampled_from(OPERATIONS), id=IDS, text=TAGS)
    def operate(self, operation, id, text):
        getattr(self, operation)(id, text)
        self.done()

    @rule(id=IDS, text=TAGS)
    def work(self, id, text):
        """The way that is taken most."""
        self.do_create(id, text)
        if self.live[id].status == "paused":
            self.do_start(id, text)
        self.done()

    @rule()
    def go_on(self):
        """What a host does after a restart."""
        active = self.sessions.active
        if active is not None and self.live[active.id].run != self.run:
            self.do_resume(active.id, None)
            self.done()

    @rule(seconds=STEPS_S)
    def pass_time(self, seconds):
        self.now += round(seconds * 1_000_000)

    @rule(
        steps=st.lists(st.tuples(st.sampled_from(OPERATIONS), IDS, TAGS), max_size=4),
        fails=st.booleans(),
    )
    def transact(self, steps, fails):
        live, chains = copy.deepcopy(self.live), dict(self.chains)
        self.written, self.written_chains, self.written_limit = set(), set(), False
        most = self.most
        with contextlib.suppress(ZeroDivisionError), self.store.transaction():
            for operation, id, text in steps:
                getattr(self, operation)(id, text)
            if fails:
                raise ZeroDivisionError
        if fails:
            self.live, self.chains, self.most = live, chains, most
            return
        if self.written_limit:
            self.stored_most = self.most
        self.note_written(self.stored, self.live, self.written)
        self.note_written(self.stored_chains, self.chains, self.written_chains)

    def note_written(self, stored, live, written):
        for id in written:
            if id in live:
                stored[id] = copy.deepcopy(live[id])
            else:
                stored.pop(id, None)

    @rule()
    def save(self):
        self.store.save_all()
        self.note_saved()

    @rule()
    def close_and_open(self):
        self.store.close()
        self.note_saved()
        self.open()

    @rule()
    def lose_and_open(self):
        self.kill_store()
        self.live, self.chains = copy.deepcopy(self.stored), dict(self.stored_chains)
        self.most = self.stored_most
        self.open()

    @rule()
    def load_again(self):
        self.store.load_all(discard=True)
        self.live, self.chains = copy.deepcopy(self.stored), dict(self.stored_chains)
        self.most = self.stored_most

    # --- what is to be seen -----------------------------------------------------------

    def time(self, microseconds):
        if microseconds is None:
            return None
        return self.start_of_time + timedelta(microseconds=microseconds)

    @invariant()
    def every_session_is_as_the_model_has_it(self):
        assert {one.id for one in self.sessions} == set(self.live)
        for id, known in self.live.items():
            one = self.sessions[id]
            assert (one.status, one.failure_reason) == (known.status, known.reason)
            assert round(one.duration_s * 1_000_000) == known.spent
            assert round(self.sessions.duration_s(id) * 1_000_000) == self.spent(id)
            assert one.created_at == self.time(known.created)
            assert one.updated_at == self.time(known.updated)
            assert one.started_at == self.time(known.began)
            assert one.ended_at == self.time(known.ended)
            assert one.alive_at == self.time(known.alive)
            assert (one.run == self.store._engine.run) == (known.run == self.run)
            assert (one.run is None) == (known.run is None)
            assert (one.tags, one.context, one.name) == (known.tags, known.context, known.name)
            assert one.focus_chain_id == known.chain

    @invariant()
    def every_chain_is_there_once(self):
        assert {one.id: one.session_id for one in self.focus} == self.chains

    @invariant()
    def what_is_found_follows(self):
        running = [(one.began, id) for id, one in self.live.items() if one.status == "active"]
        active = self.sessions.active
        assert (active and active.id) == (max(running)[1] if running else None)
        newest = sorted(self.live, key=lambda id: (self.live[id].updated, id), reverse=True)
        assert [one.id for one in self.sessions.recent(2)] == newest[:2]
        for tag in "xy":
            assert {one.id for one in self.sessions.by_tag(tag)} == {
                id for id, one in self.live.items() if tag in one.tags
            }
        assert self.sessions.limits == SessionLimits(max_history=self.most)
        figures = self.sessions.statistics()
        assert figures.total == len(self.live)
        assert round(figures.active_s * 1_000_000) == sum(self.spent(id) for id in self.live)


class DurableSessionMachine(SessionMachine):
    autosave = "on-change"


BOUNDED = settings(
    max_examples=40,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class TestSessions(SessionMachine.TestCase):
    settings = BOUNDED


class TestDurableSessions(DurableSessionMachine.TestCase):
    settings = BOUNDED
