"""Patches: what a save hands over of records that grow."""

from datetime import UTC, datetime, timedelta

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statestore import Manager, Store
from statestore.managers import (
    Conversation,
    ConversationManager,
    Focus,
    FocusManager,
    FrozenDict,
    Items,
    LogEntry,
    Message,
    TaskManager,
    TaskStatus,
    extra_field,
    items_field,
)
from statestore.managers.domain import DomainManager
from statestore.models.changes import Append, Delete, Patch, Put, Stored, apply_patch
from statestore.models.documents import thaw
from statestore.models.keys import Key

NOW = datetime(2026, 11, 20, 17, tzinfo=UTC)


@attrs.frozen
class Entry:
    text: str


@attrs.frozen
class Diary:
    id: str
    title: str = ""
    pages: int | None = None
    ratio: float = 0.0
    tags: tuple[str, ...] = ()
    own: FrozenDict = attrs.field(factory=FrozenDict)
    entries: Items[Entry] = items_field(Entry)


@attrs.frozen
class Grow:
    id: str
    extra: FrozenDict = extra_field()
    first: Items[int] = items_field(int)
    second: Items[str] = items_field(str)


def settle(manager, revision=1):
    """Tell a manager that all it has to save was saved, and return the changes."""
    pending, failures = manager.pending()
    assert not failures
    for one in pending:
        manager.saved(one, revision)
    return [one.change for one in pending]


def document_of(manager, id):
    """Return the whole document of a record as a manager that knows nothing would write it."""
    twin = type(manager).__new__(type(manager))
    twin.__dict__.update(manager.__dict__, _saved={}, _touched={id})
    (change,) = [one.change for one in twin.pending()[0]]
    assert isinstance(change, Put)
    return change.document


@pytest.fixture
def conversations():
    manager = ConversationManager()
    manager.create("t", id="c", session_id="s")
    manager.add_message("c", role="user", content="first")
    settle(manager)
    return manager


def test_an_added_message_is_all_that_is_handed_over(conversations):
    old = conversations["c"]
    message = conversations.add_message("c", role="user", content="hi")

    ((change,), failures) = conversations.pending()

    assert not failures
    assert change.expected == 1
    assert change.token is conversations["c"]
    assert isinstance(change.change, Patch)
    assert change.change.key == Key("conversations", "c")
    assert set(change.change.set) == {"updated_at"}
    (append,) = change.change.append
    assert (append.field, append.from_length) == ("messages", 1)
    assert [one["id"] for one in append.items] == [message.id]
    assert conversations["c"].messages.continues(old.messages)


def test_small_fields_of_a_record_with_items_are_a_patch(conversations):
    conversations.update("c", title="new", tags=["x"])

    (change,) = settle(conversations, 2)

    assert change.set.keys() == {"title", "tags", "updated_at"}
    assert (change.set["title"], list(change.set["tags"])) == ("new", ["x"])
    assert change.append == ()
    assert conversations.unsaved == ()
    assert conversations.revision("c") == 2


def test_patches_follow_each_other(conversations):
    for length in range(1, 4):
        conversations.add_message("c", role="user", content="more")
        (change,) = settle(conversations, length + 1)
        assert change.append[0].from_length == length


def test_what_was_added_since_the_change_was_handed_over_stays_to_be_saved(conversations):
    conversations.add_message("c", role="user", content="saved")
    ((change,), _) = conversations.pending()
    conversations.add_message("c", role="user", content="later")

    conversations.saved(change, 2)

    (rest,) = settle(conversations, 3)
    assert [one["content"] for one in rest.append[0].items] == ["later"]


@pytest.mark.parametrize(
    "change",
    [
        lambda c: {"messages": c.messages[1:]},
        lambda c: {"messages": [Message(role="user"), *c.messages]},
        lambda c: {"messages": ()},
        lambda c: {"messages": tuple(c.messages)},
        lambda c: {"extra": {"more": 1}},
        lambda c: {"extra": {"more": 1}, "messages": [*c.messages, Message(role="user")]},
    ],
    ids=["fewer", "in front", "none", "made anew", "extra", "extra and more"],
)
def test_whatever_else_is_handed_over_whole(change):
    conversations = DomainManager("conversations", Conversation)
    conversations.create(id="c", title="t", messages=[Message(role="user"), Message(role="user")])
    settle(conversations)

    conversations.update("c", **change(conversations["c"]))

    (handed,) = settle(conversations)

    assert isinstance(handed, Put)


def test_a_record_without_items_is_handed_over_whole():
    conversations = ConversationManager()
    conversations.create("t", id="c")
    settle(conversations)

    conversations.add_message("c", role="user", content="1")

    assert isinstance(settle(conversations)[0], Put)
    conversations.add_message("c", role="user", content="2")
    assert isinstance(settle(conversations)[0], Patch)


def test_a_class_without_growing_fields_is_handed_over_whole():
    @attrs.frozen
    class Note:
        id: str
        texts: tuple[str, ...] = ()

    notes = Manager("notes", Note)
    notes.add(Note("a", ("x",)))
    settle(notes)

    notes.update("a", texts=("x", "y"))

    assert isinstance(settle(notes)[0], Put)


def test_a_record_that_was_deleted_and_made_anew_is_handed_over_whole(conversations):
    conversations.delete("c")
    settle(conversations)
    conversations.create("t", id="c", messages=[Message(role="user")])

    assert isinstance(settle(conversations)[0], Put)


def test_logs_of_tasks_and_focuses_of_chains_grow_too():
    tasks, chains = TaskManager(), FocusManager()
    tasks.create("t", id="t", logs=[LogEntry(text="1")])
    chains.create("f", id="f")
    chains.push("f", target="1")
    settle(tasks)
    settle(chains)

    tasks.update("t", logs=tasks["t"].logs.extended([LogEntry(text="2")]), status="running")
    chains.push("f", target="2")

    (of_task,), (of_chain,) = settle(tasks), settle(chains)
    assert of_task.set["status"] == TaskStatus.RUNNING.value
    assert type(of_task.set["status"]) is str
    assert of_task.append[0].items[0]["text"] == "2"
    assert of_chain.set["current_id"] == chains["f"].current_id
    assert of_chain.append[0].items[0]["target"] == "2"


def test_a_chain_that_is_full_is_handed_over_whole():
    chains = FocusManager()
    chains.create("f", id="f", max_size=1)
    chains.push("f", target="1")
    settle(chains)

    chains.push("f", target="2")

    assert isinstance(settle(chains)[0], Put)
    assert chains["f"].focuses[0].target == "2"
    assert isinstance(chains["f"].focuses, Items)
    assert chains["f"].focuses.item_class is Focus


# --- what must survive ----------------------------------------------------------------


def stored(document, *, schema=1, revision=1):
    return Stored(Key("diaries", "d"), document, schema, revision, NOW)


WHOLE = {
    "id": "d",
    "title": "t",
    "pages": None,
    "ratio": 0.0,
    "tags": [],
    "own": {},
    "entries": [{"text": "1"}],
}


def adopted(document, **of_stored):
    manager = Manager("diaries", Diary, schema=2)
    loaded = manager.decode(stored(document, **of_stored))
    manager.adopt({"d": loaded}, unread=set(), discard=False)
    manager.update("d", entries=manager["d"].entries.extended([Entry("2")]))
    return manager


@pytest.mark.parametrize(
    ("document", "schema"),
    [
        (WHOLE, 1),
        ({"id": "d", "entries": [{"text": "1"}]}, 2),
        ({**WHOLE, "ratio": 0}, 2),
    ],
    ids=["older schema", "fields missing", "written by another hand"],
)
def test_what_this_version_would_write_otherwise_is_handed_over_whole(document, schema):
    manager = adopted(document, schema=schema)

    (change,) = settle(manager, 2)

    assert isinstance(change, Put)
    assert change.schema == 2
    manager.update("d", title="now it is known")
    assert isinstance(settle(manager, 3)[0], Patch)


def test_unknown_fields_stay_with_a_patch():
    manager = adopted({**WHOLE, "newer": [1]}, schema=2)
    (whole,) = settle(manager, 2)
    manager.update("d", title="new")

    (patch,) = settle(manager, 3)

    assert whole.document["newer"] == (1,)
    after = apply_patch(whole.document, patch)
    assert (after["newer"], after["title"]) == ((1,), "new")


def test_a_record_made_anew_in_one_step_does_not_keep_unknown_fields():
    manager = adopted({**WHOLE, "newer": [1]}, schema=2)
    settle(manager, 2)
    record = manager.delete("d")
    manager.add(attrs.evolve(record, title="same items, another record"))

    (change,) = settle(manager, 3)

    assert isinstance(change, Put)
    assert "newer" not in change.document


def test_a_store_gives_back_what_was_added(tmp_path):
    with Store(tmp_path / "s") as store:
        conversations = store.register(ConversationManager())
        conversations.create("t", id="c", extra={"own": 1})
        for number in range(5):
            conversations.add_message("c", role="user", content=str(number), more=number)
            report = store.save_all()
            assert report.items == 1
        conversations.update("c", title="u")
        store.save_all()
        assert conversations.revision("c") == 6
    with Store(tmp_path / "s") as store:
        again = store.register(ConversationManager())
        store.load_all()
        assert again["c"] == conversations["c"]
        again.add_message("c", role="user", content="5")
        store.save_all()
        assert [one.content for one in again["c"].messages] == list("012345")


def test_what_is_added_to_a_loaded_record_is_a_patch(tmp_path):
    with Store(tmp_path / "s") as store:
        conversations = store.register(ConversationManager())
        conversations.create("t", id="c", extra={"own": 1}, metadata={"a": [1]})
        conversations.add_message("c", role="user", content=["x", {"type": "t"}], more=[1])
        store.save_all()
    with Store(tmp_path / "s") as store:
        again = store.register(ConversationManager())
        store.load_all()
        again.add_message("c", role="user", content="5")

        ((one,), _) = again.pending()

        assert isinstance(one.change, Patch)


# --- any change at all ----------------------------------------------------------------

MOMENTS = st.integers(-(10**12), 10**12).map(
    lambda number: NOW + timedelta(microseconds=number * 7919)
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)
MAPPINGS = st.dictionaries(st.text("xyz", min_size=1, max_size=2), JSON, max_size=3)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["user", "tool"]),
    content=st.none() | TEXTS | st.lists(TEXTS | MAPPINGS, max_size=2),
    tool_calls=st.lists(MAPPINGS, max_size=1),
    tokens=st.none() | st.integers(0, 9),
    created_at=st.none() | MOMENTS,
    metadata=MAPPINGS,
    extra=MAPPINGS,
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "title": TEXTS,
        "session_id": st.none() | TEXTS,
        "tags": st.lists(TEXTS, max_size=2),
        "metadata": MAPPINGS,
        "created_at": MOMENTS,
        "extra": MAPPINGS,
        "messages": st.lists(MESSAGES, max_size=2),
    },
)


@given(
    start=st.lists(MESSAGES, max_size=3),
    steps=st.lists(
        st.tuples(CHANGES, st.lists(st.lists(MESSAGES, max_size=2), max_size=2)), max_size=4
    ),
)
def test_a_patch_gives_the_document_that_the_record_would_be_written_as(start, steps):
    manager = DomainManager("conversations", Conversation)
    manager.create(id="c", title="t", messages=start)
    (first,) = settle(manager)
    document = first.document

    for revision, (fields, added) in enumerate(steps, 2):
        manager.update("c", **fields)
        for messages in added:
            manager.update("c", messages=manager["c"].messages.extended(messages))
        (change,) = settle(manager, revision)
        patched = isinstance(change, Patch)
        document = apply_patch(document, change) if patched else change.document
        whole = document_of(manager, "c")
        assert orjson.dumps(document) == orjson.dumps(whole)
        assert not patched or "messages" not in fields
        document = thaw(document)


@given(
    texts=st.lists(st.lists(TEXTS, max_size=2), min_size=1, max_size=5),
    fields=st.fixed_dictionaries(
        {},
        optional={
            "title": TEXTS,
            "pages": st.none() | st.integers(-1, 1),
            "ratio": st.sampled_from([0.0, -0.0, 1.0, 1]),
            "own": MAPPINGS.map(FrozenDict),
        },
    ),
)
def test_a_patch_of_a_class_of_the_host_gives_its_document_too(texts, fields):
    manager = Manager("diaries", Diary)
    manager.add(Diary("d", entries=[Entry("0")]))
    document = settle(manager)[0].document

    for number, more in enumerate(texts):
        entries = manager["d"].entries.extended([Entry(text) for text in more])
        manager.update("d", entries=entries, **(fields if number % 2 else {}))
        pending, failures = manager.pending()
        if failures:  # a list in a field that is frozen, a 1 where a float belongs
            return
        (one,) = pending
        manager.saved(one, number + 2)
        patched = isinstance(one.change, Patch)
        document = apply_patch(document, one.change) if patched else one.change.document
        assert orjson.dumps(document) == orjson.dumps(document_of(manager, "d"))


def test_two_growing_fields_are_two_appends():
    manager = Manager("grows", Grow)
    manager.add(Grow("g", first=[1]))
    document = settle(manager)[0].document
    grown = manager["g"]

    manager.update("g", first=grown.first.extended([2]), second=grown.second.extended(["x"]))

    (patch,) = settle(manager)
    assert patch.append == (Append("first", 1, (2,)), Append("second", 0, ("x",)))
    assert apply_patch(document, patch)["second"] == ["x"]


def test_what_cannot_be_stored_is_told_as_for_the_whole_record():
    manager = Manager("grows", Grow)
    manager.add(Grow("g", first=[1]))
    settle(manager)

    manager.update("g", first=manager["g"].first.extended([2**64]))

    (changes, (failure,)) = manager.pending()
    assert not changes
    assert failure.error.where == "$.first[1]"


def test_what_a_patch_would_not_read_back_is_not_saved():
    @attrs.frozen
    class Odd:
        id: str
        text: str = attrs.field(default="", converter=str.strip)
        entries: Items[Entry] = items_field(Entry)

    manager = Manager("odds", Odd)
    manager.add(Odd("o", entries=[Entry("1")]))
    settle(manager)
    odd = attrs.evolve(manager["o"], entries=manager["o"].entries.extended([Entry("2")]))
    object.__setattr__(odd, "text", "\ud800")
    manager.replace(odd)

    (changes, (failure,)) = manager.pending()
    assert not changes
    assert failure.error.where == "$.text"


def test_deleting_is_still_a_delete(conversations):
    conversations.delete("c")

    assert settle(conversations) == [Delete(Key("conversations", "c"))]


# --- cost -----------------------------------------------------------------------------


@pytest.mark.parametrize("manager_of", ["built-in", "host"])
def test_one_more_item_costs_one_item_whatever_is_there(manager_of, monkeypatch):
    looked_at = []
    if manager_of == "built-in":
        manager = ConversationManager(clock=lambda: NOW + timedelta(seconds=len(looked_at)))
        messages = [Message(role="user", content=str(n)) for n in range(10_000)]
        manager.create("t", id="x", messages=messages)
        add = lambda: manager.add_message("x", role="user", content="more")  # noqa: E731
    else:
        manager = Manager("diaries", Diary)
        manager.add(Diary("x", entries=[Entry(str(n)) for n in range(10_000)]))
        add = lambda: manager.update(  # noqa: E731
            "x", entries=manager["x"].entries.extended([Entry("more")])
        )
    settle(manager)
    through = Items.__iter__
    monkeypatch.setattr(Items, "__iter__", lambda self: looked_at.append(self) or through(self))
    whole = []
    encode = manager._codec.encode
    monkeypatch.setattr(manager._codec, "encode", lambda one: whole.append(one) or encode(one))

    for revision in range(2, 12):
        add()
        (change,) = settle(manager, revision)
        assert isinstance(change, Patch)
        assert len(change.append[0].items) == 1

    assert not looked_at
    assert not whole
