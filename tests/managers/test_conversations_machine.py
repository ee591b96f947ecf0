"""A manager of conversations, in a store on the disk, against lists and dicts."""

import copy
import shutil
import tempfile
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from statestore import (
    DuplicateId,
    InvalidRecord,
    MessageNotFound,
    NothingActive,
    RecordNotFound,
    Store,
    WouldShrink,
)
from statestore.managers import ConversationLimits, ConversationManager, Message

IDS = st.sampled_from("abcd")
MESSAGE_IDS = st.integers(0, 30).map(str)
SPEAKERS = st.sampled_from(["system", "user", "caller", "tool"])
TOKENS = st.integers(0, 6)
SAYINGS = st.lists(st.tuples(SPEAKERS, TOKENS), min_size=1, max_size=3)


@attrs.define
class Said:
    """A message of the model."""

    id: str
    speaker: str
    tokens: int
    minute: int


@attrs.define
class Talk:
    """A conversation of the model."""

    said: list[Said] = attrs.field(factory=list)
    status: str = "open"
    summary: str = ""
    stamp: int = 0


class ConversationMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.ticks = 0
        self.stamps = 0
        self.messages = 0
        self.limits = ConversationLimits()
        self.talks = {}
        self.active = None
        self.before = None
        self.open()

    def open(self):
        self.store = Store(self.folder)
        self.manager = self.store.register(
            ConversationManager(clock=self.clock, count_tokens=lambda _: 0)
        )

    def clock(self):
        self.ticks += 1
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.ticks)

    def teardown(self):
        if self.before is not None:
            self.undo()
        self.store.close()
        shutil.rmtree(self.folder)

    # --- the model --------------------------------------------------------------------

    def touch(self, id):
        self.stamps += 1
        self.talks[id].stamp = self.stamps

    def heads(self, said):
        return next((at for at, one in enumerate(said) if one.speaker != "system"), len(said))

    def fits(self, said):
        most, largest = self.limits.max_messages, self.limits.max_tokens
        return (most is None or len(said) <= most) and (
            largest is None or sum(one.tokens for one in said) <= largest
        )

    def cut(self, said):
        """Return what limits leave, tried out length by length; None where nothing fits."""
        head = self.heads(said)
        if self.fits(said):
            return said
        if not self.fits(said[:head]):
            return None
        start = next(at for at in range(head, len(said) + 1) if self.fits(said[:head] + said[at:]))
        return said[:head] + self.unorphaned(said, head, start)

    def unorphaned(self, said, head, start):
        if start == head:
            return said[start:]
        before = [one for one in said[head:start] if one.speaker != "tool"]
        orphaned = not before or before[-1].speaker == "caller"
        behind = start
        while orphaned and behind < len(said) and said[behind].speaker == "tool":
            behind += 1
        return said[start:] if behind == len(said) else said[behind:]

    def has_room(self, said, new):
        """Say whether each new message fits beside the system prompt."""
        if self.fits(said):
            return True
        head = self.heads(said)
        return self.fits(said[:head]) and all(
            self.fits([*said[:head], one]) for one in new if one not in said[:head]
        )

    def spoken(self, sayings):
        said = []
        for speaker, tokens in sayings:
            self.messages += 1
            said.append(Said(str(self.messages), speaker, tokens, self.messages))
        return said

    def as_messages(self, said):
        return [
            Message(
                id=one.id,
                role={"caller": "assistant"}.get(one.speaker, one.speaker),
                content="x",
                tokens=one.tokens,
                tool_calls=[{"id": "1"}] if one.speaker == "caller" else (),
                tool_call_id="1" if one.speaker == "tool" else None,
                created_at=datetime(2026, 1, 1, 0, one.minute % 60, tzinfo=UTC),
            )
            for one in said
        ]

    # --- what the host does -----------------------------------------------------------

    @rule(id=IDS, sayings=st.just([]) | SAYINGS)
    def create(self, id, sayings):
        said = self.spoken(sayings)
        cut = self.cut(said)
        others = [one for one in self.talks if one != self.active]
        most = self.limits.max_conversations
        over = 0 if most is None else max(0, len(self.talks) + 1 - most)
        operation = lambda: self.manager.create(  # noqa: E731
            id, id=id, messages=self.as_messages(said)
        )
        if cut is None or (id not in self.talks and over > len(others)):
            with pytest.raises(InvalidRecord):
                operation()
        elif id in self.talks:
            with pytest.raises(DuplicateId):
                operation()
        else:
            operation()
            others.sort(key=lambda one: self.talks[one].stamp)
            for one in others[:over]:
                del self.talks[one]
            self.talks[id] = Talk(list(cut))
            self.touch(id)

    @rule(id=IDS, sayings=SAYINGS, together=st.booleans())
    def add(self, id, sayings, together):
        said = self.spoken(sayings if together else sayings[:1])
        if id not in self.talks:
            with pytest.raises(RecordNotFound):
                self.manager.add_messages(id, self.as_messages(said))
            return
        longer = self.talks[id].said + said
        if not self.has_room(longer, said):
            with pytest.raises(InvalidRecord):
                self.manager.add_messages(id, self.as_messages(said))
            return
        self.manager.add_messages(id, self.as_messages(said))
        self.talks[id].said = self.cut(longer)
        self.touch(id)

    @rule(tokens=TOKENS)
    def add_to_active(self, tokens):
        (said,) = self.spoken([("user", tokens)])
        say = lambda: self.manager.add_message_to_active(  # noqa: E731
            role="user", content="x", id=said.id, tokens=tokens
        )
        if self.active is None:
            with pytest.raises(NothingActive):
                say()
            return
        longer = [*self.talks[self.active].said, said]
        if not self.has_room(longer, [said]):
            with pytest.raises(InvalidRecord):
                say()
            return
        say()
        self.talks[self.active].said = self.cut(longer)
        self.touch(self.active)

    @rule(id=IDS, message=MESSAGE_IDS, tokens=TOKENS)
    def edit(self, id, message, tokens):
        said = [one for one in self.talks.get(id, Talk()).said if one.id == message]
        if not said:
            with pytest.raises(RecordNotFound if id not in self.talks else MessageNotFound):
                self.manager.edit_message(id, message, tokens=tokens)
        else:
            self.manager.edit_message(id, message, tokens=tokens)
            if said[0].tokens != tokens:
                said[0].tokens = tokens
                self.touch(id)

    @precondition(lambda self: self.talks)
    @rule(data=st.data())
    def remove(self, data):
        id = data.draw(st.sampled_from(sorted(self.talks)))
        said = self.talks[id].said
        if said:
            at = data.draw(st.integers(0, len(said) - 1))
            self.manager.remove_message(id, said.pop(at).id)
            self.touch(id)

    @rule(id=IDS, count=st.integers(0, 4))
    def truncate(self, id, count):
        if id not in self.talks:
            return
        self.manager.truncate(id, keep_last=count)
        said = self.talks[id].said
        head = self.heads(said)
        start = max(head, len(said) - count)
        if start > head:
            self.talks[id].said = said[:head] + self.unorphaned(said, head, start)
            self.touch(id)

    @rule(id=IDS, keep=st.booleans())
    def clear(self, id, keep):
        if id not in self.talks:
            return
        self.manager.clear_messages(id, keep_system=keep)
        left = self.heads(self.talks[id].said) if keep else 0
        if left < len(self.talks[id].said):
            self.talks[id].said = self.talks[id].said[:left]
            self.touch(id)

    @rule(to=IDS, source=IDS, delete=st.booleans())
    def merge(self, to, source, delete):
        if to == source or to not in self.talks or source not in self.talks:
            return
        own, others = self.talks[to].said, self.talks[source].said
        ids = {one.id for one in own}
        key = lambda one: one.minute % 60  # noqa: E731
        timed = []
        for side, rows in ((0, own), (1, [one for one in others if one.id not in ids])):
            minute = 0
            for at, one in enumerate(rows):
                minute = max(minute, key(one))
                timed.append((minute, side, at, one))
        both = self.cut([copy.copy(one) for *_, one in sorted(timed, key=lambda row: row[:3])])
        if both is None:
            with pytest.raises(InvalidRecord):
                self.manager.merge(to, source, delete_source=delete)
            return
        self.manager.merge(to, source, delete_source=delete)
        if both != own:
            self.talks[to].said = both
            self.touch(to)
        if delete:
            self.drop(source)

    @rule(id=IDS)
    def delete(self, id):
        if id in self.talks:
            self.manager.delete(id)
            self.drop(id)

    def drop(self, id):
        del self.talks[id]
        self.active = None if self.active == id else self.active

    @rule(id=IDS)
    def activate(self, id):
        if id not in self.talks:
            with pytest.raises(RecordNotFound):
                self.manager.activate(id)
            return
        self.manager.activate(id)
        if self.active != id:
            if self.active is not None:
                self.touch(self.active)
            self.touch(id)
            self.active = id

    @rule()
    def deactivate(self):
        self.manager.deactivate()
        if self.active is not None:
            self.touch(self.active)
            self.active = None

    @rule(id=IDS, status=st.sampled_from(["open", "closed"]), summary=st.sampled_from(["", "s"]))
    def describe(self, id, status, summary):
        if id not in self.talks:
            return
        talk = self.talks[id]
        self.manager.update(id, status=status, summary=summary)
        talk.status, talk.summary = status, summary
        self.touch(id)

    @rule(id=IDS, left=st.integers(0, 3))
    def shrink(self, id, left):
        if id in self.talks and len(self.talks[id].said) > left:
            with pytest.raises(WouldShrink):
                self.manager.update(id, messages=self.manager[id].messages[:left])

    @rule(
        messages=st.none() | st.integers(1, 6),
        tokens=st.none() | st.integers(1, 15),
        conversations=st.none() | st.integers(1, 4),
    )
    def set_limits(self, messages, tokens, conversations):
        limits = {
            "max_messages": messages,
            "max_tokens": tokens,
            "max_conversations": conversations,
        }
        self.limits = self.manager.set_limits(**limits)
        assert self.limits == ConversationLimits(**limits)

    @rule()
    def trim_all(self):
        cut = {id: self.cut(talk.said) for id, talk in self.talks.items()}
        if None in cut.values():
            with pytest.raises(InvalidRecord):
                self.manager.trim_all()
            return
        trimmed = self.manager.trim_all()
        most = self.limits.max_conversations
        over = 0 if most is None else max(0, len(self.talks) - most)
        others = [one for one in self.talks if one != self.active]
        others.sort(key=lambda one: self.talks[one].stamp)
        for one in others[:over]:
            del self.talks[one]
        dropped = 0
        for id, talk in self.talks.items():
            dropped += len(talk.said) - len(cut[id])
            if cut[id] != talk.said:
                talk.said = cut[id]
                self.touch(id)
        assert (trimmed.messages, trimmed.conversations) == (dropped, over)

    # --- the store --------------------------------------------------------------------

    @precondition(lambda self: self.before is None)
    @rule()
    def save(self):
        self.store.save_all()
        assert self.manager.unsaved == ()

    @precondition(lambda self: self.before is None)
    @rule()
    def reload(self):
        self.store.close()
        self.open()
        self.store.load_all(strict=True)
        assert self.manager.limits == self.limits

    @precondition(lambda self: self.before is None)
    @rule()
    def begin(self):
        self.before = copy.deepcopy((self.talks, self.active, self.limits)), self.manager.all()
        self.transaction = self.store.transaction()
        self.transaction.__enter__()

    @precondition(lambda self: self.before is not None)
    @rule()
    def commit(self):
        self.before = None
        self.transaction.__exit__(None, None, None)

    @precondition(lambda self: self.before is not None)
    @rule()
    def undo(self):
        error = ZeroDivisionError()
        self.transaction.__exit__(ZeroDivisionError, error, None)
        (self.talks, self.active, self.limits), records = self.before
        self.before = None
        assert self.manager.all() == records
        assert self.manager.limits == self.limits

    # --- what holds always ------------------------------------------------------------

    @invariant()
    def memory_is_as_the_model(self):
        found = {one.id: one for one in self.manager}
        assert found.keys() == self.talks.keys()
        for id, talk in self.talks.items():
            assert [(one.id, one.tokens) for one in found[id].messages] == [
                (one.id, one.tokens) for one in talk.said
            ]
            assert (found[id].status, found[id].summary) == (talk.status, talk.summary)
            assert self.manager.tokens(id) == sum(one.tokens for one in talk.said)
        active = self.manager.active
        assert (active.id if active else None) == self.active
        by_stamp = sorted(self.talks, key=lambda id: self.talks[id].stamp, reverse=True)
        assert [one.id for one in self.manager.recent()] == by_stamp


TestConversations = ConversationMachine.TestCase
TestConversations.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
