"""All managers in one store, against plain Python: saved, crashed, reloaded, in transactions."""

import copy
import shutil
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from statestore import InvalidTransition, Manager, RecordNotFound, Store
from statestore.managers import (
    ConversationManager,
    FocusManager,
    SessionManager,
    TaskManager,
    TaskStatus,
)
from statestore.managers.tasks.statuses import TASK_TRANSITIONS
from statestore.models.keys import Key

IDS = st.sampled_from(["a", "B", "c/d"])
TEXTS = st.sampled_from(["", "x", "ünï"])
SHORTEST = 2


@attrs.frozen
class Note:
    id: str
    text: str = ""


class Undone(Exception):
    pass


@attrs.define
class Model:
    """What there is, as dicts and lists."""

    sessions: dict = attrs.field(factory=dict)  # id -> status
    started: list = attrs.field(factory=list)  # ids of sessions that are active
    conversations: dict = attrs.field(factory=dict)  # id -> texts
    talking: str | None = None
    most_messages: int | None = None
    focus: dict = attrs.field(factory=dict)  # id -> targets
    focused: str | None = None
    tasks: dict = attrs.field(factory=dict)  # id -> [status, lines]
    notes: dict = attrs.field(factory=dict)  # id -> text


# --- operations: each does the same to the managers and to the model ----------------------


def end_session(kinds, model, id, verb, status):
    allowed = model.sessions.get(id) in ("paused", "active")
    if id not in model.sessions:
        with pytest.raises(RecordNotFound):
            getattr(kinds.sessions, verb)(id)
    elif not allowed:
        with pytest.raises(InvalidTransition):
            getattr(kinds.sessions, verb)(id)
    else:
        getattr(kinds.sessions, verb)(id)
        model.sessions[id] = status
        model.started = [one for one in model.started if one != id]


def create_session(kinds, model, id, text):
    if id not in model.sessions:
        kinds.sessions.create(project_id="p", name=text, id=id)
        model.sessions[id] = "paused"


def start_session(kinds, model, id, text):
    if model.sessions.get(id) == "paused":
        kinds.sessions.start(id)
        for one in model.started:
            model.sessions[one] = "paused"
        model.sessions[id] = "active"
        model.started = [id]
    elif id in model.sessions and model.sessions[id] != "active":
        with pytest.raises(InvalidTransition):
            kinds.sessions.start(id)


def pause_session(kinds, model, id, text):
    if model.sessions.get(id) == "active":
        kinds.sessions.pause(id)
        model.sessions[id] = "paused"
        model.started = []


def complete_session(kinds, model, id, text):
    end_session(kinds, model, id, "complete", "completed")


def fail_session(kinds, model, id, text):
    end_session(kinds, model, id, "fail", "failed")


def delete_session(kinds, model, id, text):
    if model.sessions.get(id, "active") != "active":
        kinds.sessions.delete(id)
        del model.sessions[id]


def create_conversation(kinds, model, id, text):
    if id not in model.conversations:
        kinds.conversations.create(text, id=id)
        model.conversations[id] = []


def add_message(kinds, model, id, text):
    if id in model.conversations:
        kinds.conversations.add_message(id, role="user", content=text or "hi")
        model.conversations[id].append(text or "hi")
        most = model.most_messages
        if most is not None:
            model.conversations[id] = model.conversations[id][-most:]


def truncate(kinds, model, id, text):
    if id in model.conversations:
        kinds.conversations.truncate(id, keep_last=1)
        model.conversations[id] = model.conversations[id][-1:]


def activate_conversation(kinds, model, id, text):
    if id in model.conversations:
        kinds.conversations.activate(id)
        model.talking = id


def delete_conversation(kinds, model, id, text):
    if id in model.conversations:
        kinds.conversations.delete(id)
        del model.conversations[id]
        if model.talking == id:
            model.talking = None


def limit_messages(kinds, model, id, text):
    most = SHORTEST if text else None
    kinds.conversations.set_limits(max_messages=most)
    model.most_messages = most


def create_chain(kinds, model, id, text):
    if id not in model.focus:
        kinds.chains.create(text or "chain", id=id, max_size=3)
        model.focus[id] = []


def push(kinds, model, id, text):
    if id in model.focus:
        kinds.chains.push(id, type="file", target=text or "x.py")
        model.focus[id] = [*model.focus[id], text or "x.py"][-3:]


def pop(kinds, model, id, text):
    if model.focus.get(id):
        assert kinds.chains.pop(id).target == model.focus[id].pop()


def activate_chain(kinds, model, id, text):
    if id in model.focus:
        kinds.chains.activate(id)
        model.focused = id


def create_task(kinds, model, id, text):
    if id not in model.tasks:
        kinds.tasks.create(text or "task", id=id, session_id="s")
        model.tasks[id] = ["pending", []]


def set_task_status(kinds, model, id, text, status):
    if id not in model.tasks:
        with pytest.raises(RecordNotFound):
            kinds.tasks.set_status(id, status)
    elif status in TASK_TRANSITIONS[TaskStatus(model.tasks[id][0])]:
        kinds.tasks.set_status(id, status)
        model.tasks[id][0] = status.value
    elif status.value != model.tasks[id][0]:
        with pytest.raises(InvalidTransition):
            kinds.tasks.set_status(id, status)


def append_output(kinds, model, id, text):
    if id in model.tasks:
        kinds.tasks.append_output(id, text)
        model.tasks[id][1].append(text)


def delete_task(kinds, model, id, text):
    if id in model.tasks:
        kinds.tasks.delete(id)
        del model.tasks[id]


def write_note(kinds, model, id, text):
    if id in model.notes:
        kinds.notes.update(id, text=text)
    else:
        kinds.notes.create(id=id, text=text)
    model.notes[id] = text


def set_status_to(status):
    def set_status(kinds, model, id, text):
        set_task_status(kinds, model, id, text, status)

    return set_status


OPERATIONS = st.sampled_from(
    [
        *(create_session, start_session, pause_session, complete_session, fail_session),
        *(delete_session, create_conversation, add_message, add_message, truncate),
        *(activate_conversation, delete_conversation, limit_messages),
        *(create_chain, push, push, pop, activate_chain),
        *(create_task, append_output, append_output, delete_task, write_note),
        *map(set_status_to, TaskStatus),
    ]
)
STEPS = st.lists(st.tuples(OPERATIONS, IDS, TEXTS), min_size=1, max_size=4)


def undone_if(fails):
    if fails:
        raise Undone


class Kinds:
    """The managers of one opening of a store."""

    def __init__(self, store, clock):
        self.sessions = store.register(SessionManager(clock=clock))
        self.conversations = store.register(ConversationManager(clock=clock))
        self.chains = store.register(FocusManager(clock=clock))
        self.tasks = store.register(TaskManager(clock=clock))
        self.notes = store.register(Manager("notes", Note))

    def as_model(self):
        """Return what the managers show, in the form of the model."""

        def id_of(record):
            return None if record is None else record.id

        return Model(
            sessions={one.id: one.status.value for one in self.sessions},
            started=[one.id for one in self.sessions if one.status.value == "active"],
            conversations={
                one.id: [message.text for message in one.messages] for one in self.conversations
            },
            talking=id_of(self.conversations.active),
            most_messages=self.conversations.limits.max_messages,
            focus={one.id: [focus.target for focus in one.focuses] for one in self.chains},
            focused=id_of(self.chains.active),
            tasks={
                one.id: [one.status.value, [line.text for line in one.logs]] for one in self.tasks
            },
            notes={one.id: one.text for one in self.notes},
        )

    def records(self):
        managers = (self.sessions, self.conversations, self.chains, self.tasks, self.notes)
        return {Key(one.kind, record.id): record for one in managers for record in one}


class AllKindsMachine(RuleBasedStateMachine):
    autosave = "manual"

    def __init__(self):
        super().__init__()
        self.stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp())
        self.stack.callback(shutil.rmtree, self.folder)
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.model, self.durable = Model(), Model()

    @initialize()
    def begin(self):
        self.open()

    def clock(self):
        self.now += timedelta(seconds=1)
        return self.now

    def open(self):
        self.store = Store(self.folder / "state", self.autosave, clock=self.clock)
        self.kinds = Kinds(self.store, self.clock)
        assert not self.store.load_all().failures

    def done(self):
        if self.autosave == "on-change":
            self.durable = copy.deepcopy(self.model)

    # --- what the host does -----------------------------------------------------------

    @rule(steps=STEPS)
    def work(self, steps):
        for operation, id, text in steps:
            operation(self.kinds, self.model, id, text)
        self.done()

    @rule(steps=STEPS, inner=STEPS, fails=st.booleans(), inner_fails=st.booleans())
    def transaction(self, steps, inner, fails, inner_fails):
        shown = self.kinds.records()
        if not self.within(steps, fails, lambda: self.within(inner, inner_fails)):
            assert self.kinds.records() == shown
        else:
            # What was written in it is durable, with what was unsaved of the same records; to keep
            # the model plain, the rest is saved, too.
            self.save()

    def within(self, steps, fails, inner=lambda: None):
        """Do steps, and what is within, in a transaction; say whether it was made."""
        before = copy.deepcopy(self.model)
        try:
            with self.store.transaction():
                for operation, id, text in steps:
                    operation(self.kinds, self.model, id, text)
                inner()
                undone_if(fails)
        except Undone:
            self.model = before
        return not fails

    @rule()
    def save(self):
        self.store.save_all()
        self.durable = copy.deepcopy(self.model)

    @rule()
    def drop(self):
        self.store.load_all(discard=True)
        self.model = copy.deepcopy(self.durable)

    @rule()
    def crash(self):
        """Nothing in memory is left; what was durable is."""
        self.leave()
        self.model = copy.deepcopy(self.durable)
        self.open()

    @rule(format=st.sampled_from(["json", "yaml", "gzip"]))
    def end_and_begin_again(self, format):
        records = self.kinds.records()
        self.store.close()
        self.durable = copy.deepcopy(self.model)
        self.open()
        assert self.kinds.records() == records
        self.store.set_serializer(format)

    def leave(self):
        unsaved = self.store.unsaved
        leave = self.store.__exit__
        if unsaved:
            with pytest.warns(RuntimeWarning, match="unsaved"):
                leave(Undone, Undone(), None)
        else:
            leave(Undone, Undone(), None)

    # --- what holds after every step --------------------------------------------------

    @invariant()
    def shows_what_was_done(self):
        assert self.kinds.as_model() == self.model

    @invariant()
    def stores_what_is_durable(self):
        with Store(self.folder / "state", read_only=True) as store:
            kinds = Kinds(store, self.clock)
            assert not store.load_all().failures
            assert kinds.as_model() == self.durable

    def teardown(self):
        with self.stack:
            self.leave()


class OnChangeMachine(AllKindsMachine):
    autosave = "on-change"


LIMITS = settings(
    max_examples=25,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestAllKinds = AllKindsMachine.TestCase
TestAllKinds.settings = LIMITS
TestAllKindsOnChange = OnChangeMachine.TestCase
TestAllKindsOnChange.settings = LIMITS
