"""The built-in records: every field of every class survives a save and a load."""

import enum
import itertools
import typing
from datetime import UTC, datetime

import attrs
import pytest

from statestore import InvalidRecord, StaleRecord, Store
from statestore.managers import (
    Conversation,
    ConversationManager,
    FocusChain,
    FocusManager,
    FrozenDict,
    Message,
    Part,
    Session,
    SessionManager,
    SessionMode,
    SessionStatus,
    Task,
    TaskManager,
    TaskStatus,
    ToolCall,
)
from statestore.managers.conversations.message import Content
from statestore.models.sequences import Items
from statestore.records.codec import Codec
from statestore.records.shapes import EXTRA

MANAGERS = [SessionManager, ConversationManager, FocusManager, TaskManager]
CLASSES = [Session, Conversation, FocusChain, Task]
NAMES = ["sessions", "conversations", "focus", "tasks"]
MOMENT = datetime(2026, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)

CONTENT = (
    "bare text",
    Part({"type": "text", "text": "é \U0001f600", "cache_control": {"type": "ephemeral"}}),
    Part({"type": "image", "source": FrozenDict({"type": "base64", "data": "AA=="})}),
)


def field_values(cls, depth=0):
    """Return a value for each field of a class, found by its type; none is the default."""
    hints = typing.get_type_hints(cls)
    values = {}
    for number, field in enumerate(attrs.fields(cls)):
        if field.metadata.get(EXTRA):
            values[field.name] = {"unknown_to_us": {"k": [1, {"deep": None}]}, "extra": "this too"}
        else:
            values[field.name] = value_for(cls, field.name, hints[field.name], number, depth)
    if "created_at" in values and "updated_at" in values:
        values["updated_at"] = MOMENT.replace(year=2027)
    return values


def value_for(cls, name, type_, number, depth):
    plain = {
        str: f"{name} of {cls.__name__} é\n",
        bool: True,
        int: 7 + number % 3,
        float: 0.5,
        datetime: MOMENT,
        FrozenDict: {"big": 2**63, "float": 1.0, "list": [1, [2.5, None]], "yes": True},
        typing.Any: {"answer": [1, 2.5, None, {"x": 2**53 + 1}]},
        Content: CONTENT,
        tuple[str, ...]: (f"{name} 1", f"{name} 2"),
        tuple[ToolCall, ...]: (ToolCall({"id": "c1", "name": "run", "arguments": "{}", "n": 0}),),
    }
    if type_ not in plain and type(None) in typing.get_args(type_):
        type_ = typing.get_args(type_)[0]
    if type_ in plain:
        return plain[type_]
    if typing.get_origin(type_) in (tuple, Items):
        item = typing.get_args(type_)[0]
        count = 0 if depth > 2 else 2
        return tuple(item(**field_values(item, depth + 1)) for _ in range(count))
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return list(type_)[-1]
    if attrs.has(type_):
        return type_(**field_values(type_, depth + 1))
    pytest.fail(f"teach this test what {cls.__name__}.{name} of type {type_} may hold")


def attrs_classes_in(cls, seen=None):
    seen = set() if seen is None else seen
    if cls in seen:
        return seen
    if attrs.has(cls):
        seen.add(cls)
        for hint in typing.get_type_hints(cls).values():
            attrs_classes_in(hint, seen)
    for arg in typing.get_args(cls):
        attrs_classes_in(arg, seen)
    return seen


def all_classes():
    found = set()
    for cls in CLASSES:
        attrs_classes_in(cls, found)
    return sorted(found, key=lambda cls: cls.__name__)


@pytest.fixture(params=[*zip(MANAGERS, CLASSES, NAMES, strict=True)], ids=NAMES)
def kind(request):
    return request.param


def created(manager, record_class):
    values = field_values(record_class)
    if record_class is FocusChain:
        values["focuses"] = with_ids_of_their_own(values["focuses"])
        values["current_id"] = values["focuses"][0].id
    # Operations refuse what only the store itself, or an import, brings: an ended task, say.
    return manager.add(record_class(**values)), values


def made(manager, **fields):
    """Create a record of any kind. A task has to have a title."""
    if manager.record_class is Task:
        fields.setdefault("title", "t")
    return manager.create(**fields)


def with_ids_of_their_own(focuses, above=""):
    ids = [f"{above}{number} é\n" for number in range(len(focuses))]
    return tuple(
        attrs.evolve(one, id=id, children=with_ids_of_their_own(one.children, id))
        for id, one in zip(ids, focuses, strict=True)
    )


# --- every field ----------------------------------------------------------------------


@pytest.mark.parametrize("cls", all_classes(), ids=lambda cls: cls.__name__)
def test_sample_sets_every_field_to_something_else_than_its_default(cls):
    values = field_values(cls)
    record = cls(**values)

    for field in attrs.fields(cls):
        default = field.default
        if isinstance(default, attrs.Factory):
            default = default.factory()
        assert getattr(record, field.name) != default, field.name
    assert set(values) == {field.name for field in attrs.fields(cls)}


@pytest.mark.parametrize("format", ["json", "compact", "gzip", "yaml"])
def test_record_with_all_fields_set_survives_a_restart(kind, tmp_path, format):
    make, record_class, _ = kind
    with Store(tmp_path, format=format) as store:
        record, values = created(store.register(make()), record_class)
        store.save_all()
    for field in values:
        if field not in ("extra", "context", "metadata", "result"):
            assert getattr(record, field) == values[field], field

    with Store(tmp_path) as store:
        manager = store.register(make())
        report = store.load_all(strict=True)
        assert report.failures == ()
        again = manager[record.id]

        for field in attrs.fields(record_class):
            mine, theirs = getattr(record, field.name), getattr(again, field.name)
            assert theirs == mine, field.name
            assert type(theirs) is type(mine), field.name
        assert again == record
        assert store.unsaved == ()


def test_record_with_all_fields_set_is_written_back_unchanged(kind, tmp_path):
    make, record_class, name = kind
    with Store(tmp_path) as store:
        record, _ = created(store.register(make()), record_class)
        store.save_all()
        before = store.raw(f"{name}/{record.id}")

    with Store(tmp_path) as store:
        manager = store.register(make())
        store.load_all()
        manager.update(record.id, updated_at=MOMENT.replace(year=2028))
        store.save_all()
        after = dict(store.raw(f"{name}/{record.id}"))

    assert after.pop("updated_at").startswith("2028")
    assert after == {key: value for key, value in before.items() if key != "updated_at"}
    assert list(before)[-1] == list(after)[-1]


def test_unknown_fields_stand_in_the_document_at_every_depth(kind, tmp_path):
    make, record_class, name = kind
    with Store(tmp_path) as store:
        record, _ = created(store.register(make()), record_class)
        store.save_all()
        document = store.raw(f"{name}/{record.id}")

    def check(node, cls):
        assert node["unknown_to_us"] == {"k": [1, {"deep": None}]}
        assert node["extra"] == "this too"
        for field, hint in typing.get_type_hints(cls).items():
            for inner in (hint, *typing.get_args(hint)):
                if isinstance(inner, type) and attrs.has(inner):
                    nodes = node[field] if isinstance(node[field], list) else [node[field]]
                    for one in nodes:
                        check(one, inner)

    check(document, record_class)


def test_record_with_only_an_id_survives_too(kind):
    _, record_class, _ = kind
    codec = Codec(record_class)
    record = record_class(id="only")

    again, unknown = codec.decode(codec.encode(record))

    assert (again, unknown) == (record, {})
    assert list(codec.encode(record)) == [
        field.name for field in attrs.fields(record_class) if field.name != "extra"
    ]


# --- nothing changes unseen -----------------------------------------------------------


def test_class_is_immutable_so_that_identity_tells_what_changed(kind):
    _, record_class, _ = kind

    assert Codec(record_class).is_immutable


@pytest.mark.parametrize("cls", all_classes(), ids=lambda cls: cls.__name__)
def test_field_cannot_be_set(cls):
    record = cls(**field_values(cls))

    for field in attrs.fields(cls):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(record, field.name, None)


@pytest.mark.parametrize("cls", all_classes(), ids=lambda cls: cls.__name__)
def test_growing_field_is_the_last_one_and_free_fields_are_frozen_copies(cls):
    source = {"list": [1, {"deep": [2]}]}
    for field in attrs.fields(cls):
        if field.name in ("context", "metadata", "result", "extra"):
            values = {**field_values(cls), field.name: source}
            kept = getattr(cls(**values), field.name)
            with pytest.raises(TypeError, match="cannot be changed"):
                kept["new"] = 1
            with pytest.raises(TypeError, match="cannot be changed"):
                kept["list"][1]["deep"] = 3
            assert kept == {"list": (1, {"deep": (2,)})}
    last = attrs.fields(cls)[-1].name
    growing = {"messages", "focuses", "children", "logs"}.intersection(attrs.fields_dict(cls))
    assert growing <= {last}


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.__setitem__("a", 2),
        lambda d: d.__delitem__("a"),
        lambda d: d.clear(),
        lambda d: d.pop("a"),
        lambda d: d.popitem(),
        lambda d: d.setdefault("b", 1),
        lambda d: d.update(b=1),
        lambda d: d.__ior__({"b": 1}),
    ],
    ids=["set", "del", "clear", "pop", "popitem", "setdefault", "update", "ior"],
)
def test_mapping_of_a_record_refuses_every_change(change):
    session = SessionManager().create(context={"a": 1})

    with pytest.raises(TypeError, match="belongs to a record"):
        change(session.context)

    assert session.context == {"a": 1}


def test_mapping_given_is_copied_so_that_its_owner_may_go_on(kind):
    make, _, _ = kind
    given = {"a": [1]}
    record = made(make(), metadata=given)

    given["a"].append(2)
    given["b"] = 3

    assert record.metadata == {"a": (1,)}


# --- what the classes refuse ----------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "fields"),
    [
        (SessionManager, {"mode": "sleeping"}),
        (SessionManager, {"status": "odd"}),
        (SessionManager, {"tags": "one"}),
        (SessionManager, {"tags": [1]}),
        (SessionManager, {"name": None}),
        (SessionManager, {"context": [1]}),
        (SessionManager, {"duration_s": -1.0}),
        (SessionManager, {"duration_s": float("nan")}),
        (SessionManager, {"started_at": datetime(2026, 1, 1)}),  # noqa: DTZ001
        (SessionManager, {"unknown": 1}),
        (ConversationManager, {"title": 5}),
        (ConversationManager, {"messages": ["text"]}),
        (ConversationManager, {"messages": 5}),
        (FocusManager, {"max_size": -1}),
        (FocusManager, {"focuses": [{}]}),
        (TaskManager, {"priority": 0}),
        (TaskManager, {"priority": 21}),
        (TaskManager, {"priority": 5.0}),
        (TaskManager, {"priority": True}),
        (TaskManager, {"status": "odd"}),
        (TaskManager, {"progress": {"percent": 5}}),
        (TaskManager, {"confidence": 1.5}),
        (TaskManager, {"depends_on": "other"}),
        (TaskManager, {"logs": ["line"]}),
    ],
    ids=str,
)
def test_value_that_a_class_does_not_take_is_refused(make, fields):
    manager = make()

    with pytest.raises(InvalidRecord):
        made(manager, id="a", **fields)
    made(manager, id="b")
    with pytest.raises(InvalidRecord):
        manager.update("b", **fields)

    assert manager.ids() == ("b",)


def test_enum_fields_take_members_and_their_values():
    sessions, tasks = SessionManager(), TaskManager()

    assert sessions.create(mode="planning").mode is SessionMode.PLANNING
    assert sessions.create(mode=SessionMode.TESTING).mode is SessionMode.TESTING
    assert sessions.create().status is SessionStatus.PAUSED
    assert tasks.create("t", status="running").status is TaskStatus.RUNNING


# --- times ----------------------------------------------------------------------------


class Clock:
    def __init__(self, *moments):
        self.moments = list(moments)

    def __call__(self):
        return self.moments.pop(0) if len(self.moments) > 1 else self.moments[0]


def test_new_record_was_made_and_changed_now(kind):
    make, _, _ = kind

    record = made(make(clock=lambda: MOMENT))

    assert (record.created_at, record.updated_at) == (MOMENT, MOMENT)


def test_given_time_of_making_is_that_of_the_last_change_too(kind):
    make, _, _ = kind

    record = made(make(), created_at=MOMENT)

    assert (record.created_at, record.updated_at) == (MOMENT, MOMENT)


@pytest.mark.parametrize(
    "moments",
    [[MOMENT], [MOMENT, MOMENT.replace(year=2020)]],
    ids=["stands still", "goes back"],
)
def test_time_of_change_grows_whatever_the_clock_does(kind, moments):
    make, _, _ = kind
    manager = make(clock=Clock(*moments))
    record = made(manager, id="a")
    seen = [record.updated_at]

    for number in range(5):
        seen.append(manager.update("a", metadata={"n": number}).updated_at)
        changed = attrs.evolve(manager["a"], metadata={"r": number})
        seen.append(manager.replace(changed).updated_at)

    assert all(earlier < later for earlier, later in itertools.pairwise(seen))
    assert manager["a"].created_at == MOMENT


def test_time_of_change_is_the_clock_where_that_goes_on(kind):
    make, _, _ = kind
    later = MOMENT.replace(year=2030)
    manager = make(clock=Clock(MOMENT, later))
    made(manager, id="a")

    assert manager.update("a", metadata={"x": 1}).updated_at == later


def test_record_made_from_an_older_one_is_refused(kind):
    make, _, _ = kind
    manager = make(clock=lambda: MOMENT)
    first = made(manager, id="a")
    second = manager.update("a", metadata={"n": 2})

    with pytest.raises(StaleRecord, match="a"):
        manager.replace(attrs.evolve(first, metadata={"n": 3}))

    assert manager["a"] is second


def test_only_one_of_two_successors_of_a_record_is_taken(kind):
    make, _, _ = kind
    manager = make(clock=lambda: MOMENT)
    base = made(manager, id="a")

    taken = manager.replace(attrs.evolve(base, metadata={"n": 1}))
    with pytest.raises(StaleRecord):
        manager.replace(attrs.evolve(base, metadata={"n": 2}))

    assert manager["a"] is taken


# --- messages -------------------------------------------------------------------------


def test_message_wants_a_role_and_a_content_it_can_hold():
    for fields in (
        {},
        {"role": ""},
        {"role": None},
        {"role": "user", "content": 5},
        {"role": "user", "content": b"bytes"},
        {"role": "user", "content": [5]},
        {"role": "user", "tool_calls": "x"},
        {"role": "user", "tool_calls": [5]},
        {"role": "user", "tokens": -1},
    ):
        with pytest.raises((TypeError, ValueError)):
            Message(**fields)
