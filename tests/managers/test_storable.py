"""What cannot be stored is refused by the operation, so that nothing else is kept from a save."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from statestore import InvalidRecord, Store
from statestore.managers import (
    ConversationManager,
    FocusManager,
    LogManager,
    ReportManager,
    SessionManager,
    TaskManager,
)

HALF = "half \ud83d"


def deep(levels):
    value = "x"
    for _ in range(levels):
        value = [value]
    return value


UNSTORABLE = {
    "half a character": HALF,
    "not a number": float("nan"),
    "an infinity": float("inf"),
    "a long integer": 2**64,
    "bytes": b"x",
    "an object": object(),
    "a set": {1},
    "an empty set": set(),
    "keys that are numbers": {5: 1},
    "half a key": {HALF: 1},
    "very deep": deep(200),
    "deeper than the interpreter looks": deep(100_000),
}


class World:
    def __init__(self, place):
        self.store = Store(place)
        self.sessions = self.store.register(SessionManager())
        self.talks = self.store.register(ConversationManager())
        self.chains = self.store.register(FocusManager())
        self.tasks = self.store.register(TaskManager())
        self.logs = self.store.register(LogManager())
        self.reports = self.store.register(ReportManager())
        self.sessions.create(id="s")
        self.talks.create("Talk", id="c")
        self.talks.add_message("c", role="user", content="one", id="m")
        self.chains.create("Chain", id="f")
        self.tasks.create("Task", id="t")
        self.logs.append("s", "one")
        self.store.save_all()

    @property
    def records(self):
        return {kind: manager.all() for kind, manager in self.store.managers.items()}


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "s")
    yield made
    made.store.close()


VALUES = {
    "a session's context": (lambda w, x: w.sessions.create(context={"k": x}), "context"),
    "a session's own fields": (lambda w, x: w.sessions.create(extra={"k": x}), "extra"),
    "a change": (lambda w, x: w.sessions.update("s", metadata={"k": [x]}), "metadata"),
    "a message's metadata": (
        lambda w, x: w.talks.add_message("c", role="user", content="x", metadata={"k": x}),
        "metadata",
    ),
    "a field of a message that is not known": (
        lambda w, x: w.talks.add_message("c", role="user", content="x", k=x),
        "extra",
    ),
    "a part": (
        lambda w, x: w.talks.add_message("c", role="user", content=[{"type": "t", "k": x}]),
        "content",
    ),
    "a call": (
        lambda w, x: w.talks.add_message("c", role="assistant", tool_calls=[{"k": x}]),
        "tool_calls",
    ),
    "an edit": (lambda w, x: w.talks.edit_message("c", "m", metadata={"k": x}), "metadata"),
    "a conversation's metadata": (lambda w, x: w.talks.update("c", metadata={"k": x}), "metadata"),
    "a line's metadata": (lambda w, x: w.logs.append("s", "x", metadata={"k": x}), "metadata"),
    "a report's data": (lambda w, x: w.reports.create("t", {"k": x}), "data"),
    "a report's metadata": (lambda w, x: w.reports.create("t", metadata={"k": x}), "metadata"),
    "a task's metadata": (lambda w, x: w.tasks.create("x", metadata={"k": x}), "metadata"),
    "a chain's metadata": (lambda w, x: w.chains.create("x", metadata={"k": x}), "metadata"),
}


@pytest.mark.parametrize("value", UNSTORABLE)
@pytest.mark.parametrize("place", VALUES)
def test_value_that_no_format_holds_is_refused_before_anything_changes(world, place, value):
    act, field = VALUES[place]
    before = world.records

    with pytest.raises(InvalidRecord) as refused:
        act(world, UNSTORABLE[value])

    assert refused.value.field == field
    assert world.records == before
    assert not world.store.unsaved


TEXTS = {
    "a session's name": (lambda w, x: w.sessions.create(name=x), "name"),
    "another name": (lambda w, x: w.sessions.update("s", name=x), "name"),
    "tags": (lambda w, x: w.sessions.create(tags=["a", x]), "tags"),
    "another tag": (lambda w, x: w.sessions.add_tag("s", x), "tags"),
    "a reason": (lambda w, x: w.sessions.fail("s", x), "failure_reason"),
    "a title": (lambda w, x: w.talks.create(x), "title"),
    "a summary": (lambda w, x: w.talks.set_summary("c", x), "summary"),
    "a role": (lambda w, x: w.talks.add_message("c", role=x, content="x"), "role"),
    "what is said": (lambda w, x: w.talks.add_message("c", role="user", content=x), "content"),
    "what was said": (lambda w, x: w.talks.edit_message("c", "m", content=x), "content"),
    "a part that is a text": (
        lambda w, x: w.talks.add_message("c", role="user", content=[x]),
        "content",
    ),
    "a name of who speaks": (
        lambda w, x: w.talks.add_message("c", role="user", content="x", name=x),
        "name",
    ),
    "a line": (lambda w, x: w.logs.append("s", x), "text"),
    "a source": (lambda w, x: w.logs.append("s", "x", source=x), "source"),
    "one of many lines": (lambda w, x: w.logs.append_many("s", ["x", x]), "text"),
    "a type": (lambda w, x: w.reports.create(x), "type"),
    "a task": (lambda w, x: w.tasks.create(x), "title"),
    "a chain": (lambda w, x: w.chains.create(x), "name"),
}


@pytest.mark.parametrize("place", TEXTS)
def test_text_with_half_a_character_is_refused_before_anything_changes(world, place):
    act, field = TEXTS[place]
    before = world.records

    with pytest.raises(InvalidRecord, match="surrogate") as refused:
        act(world, HALF)

    assert refused.value.field == field
    assert world.records == before
    assert not world.store.unsaved
    act(world, "whole 😀")  # nothing else was wrong with it
    world.store.save_all()


def test_message_that_was_refused_keeps_none_behind_it_from_being_saved(tmp_path):
    with Store(tmp_path / "s", autosave="on-change") as store:
        talks = store.register(ConversationManager())
        talks.create("Talk", id="c")
        talks.add_message("c", role="user", content="one")
        with pytest.raises(InvalidRecord):
            talks.add_message("c", role="user", content=HALF)
        talks.add_message("c", role="user", content="two")
    with Store(tmp_path / "s") as store:
        talks = store.register(ConversationManager())
        store.load_all(strict=True)
        assert [one.content for one in talks["c"].messages] == ["one", "two"]


def test_number_and_time_that_no_format_holds_are_refused(world):
    for wrong in (2**64, 2**70, -1):
        with pytest.raises(InvalidRecord) as refused:
            world.talks.add_message("c", role="user", content="x", tokens=wrong)
        assert refused.value.field == "tokens"
    east, west = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
    for moment in (datetime(1, 1, 1, tzinfo=east), datetime(9999, 12, 31, 23, tzinfo=west)):
        with pytest.raises(InvalidRecord) as refused:
            world.talks.add_message("c", role="user", content="x", created_at=moment)
        assert refused.value.field == "created_at"
    world.talks.add_message("c", role="user", content="x", tokens=2**64 - 1)
    world.talks.add_message("c", role="user", content="x", created_at=datetime(1, 1, 1, tzinfo=UTC))
    world.store.save_all()


def test_extra_fields_that_the_class_has_itself_are_refused(world):
    for act in (
        lambda: world.sessions.create(extra={"name": "x"}),
        lambda: world.sessions.update("s", extra={"more": 1, "id": "x"}),
        lambda: world.talks.add_message("c", role="user", content="x", extra={"role": "tool"}),
        lambda: world.logs.append("s", "x", extra={"text": "y"}),
    ):
        with pytest.raises(InvalidRecord, match="is a field") as refused:
            act()
        assert refused.value.field == "extra"
    assert not world.store.unsaved


def test_fields_that_are_not_known_stay_where_extra_is_none(world):
    message = world.talks.add_message("c", role="user", content="x", extra=None, seed=7)
    entry = world.logs.append("s", "x", extra=None, level=3)

    assert message.extra == {"seed": 7}
    assert entry.extra == {"level": 3}


def test_range_that_has_one_end_is_told_with_it(world):
    with pytest.raises(InvalidRecord, match=r"takes a number from 0\.0 on$"):
        world.sessions.create(duration_s=-1)


def test_task_whose_work_raises_half_a_character_has_failed(world):
    world.tasks.create("Work", id="w", session_id="s")

    def work(task):
        raise OSError(HALF)

    report = world.tasks.run_all("s", work, worker="me")

    assert [task.id for task in report.failed] == ["w"]
    assert "\\ud83d" in world.tasks["w"].error
    world.store.save_all()
