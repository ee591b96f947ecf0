"""Reading in columns: the same as value by value, or not at all."""

import copy
from datetime import UTC, datetime, timedelta

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statestore.managers import (
    Conversation,
    Focus,
    FocusChain,
    FrozenDict,
    LogEntry,
    Message,
    Progress,
    Session,
    SessionMode,
    SessionStatus,
    Task,
    TaskStatus,
)
from statestore.models.documents import thaw
from statestore.models.sequences import Items
from statestore.records.codec import Codec
from statestore.records.columns import Unusual, columns_of, read_objects
from statestore.records.misfit import Misfit

NOW = datetime(2026, 11, 20, 17, tzinfo=UTC)
CLASSES = [Session, Conversation, FocusChain, Task]
CODECS = {cls: Codec(cls) for cls in CLASSES}

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
IDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
TIMES = st.integers(-(10**11), 10**11).map(lambda n: NOW + timedelta(microseconds=n * 7919))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
MAPPINGS = st.dictionaries(TEXTS, JSON, max_size=2)


def extras(cls):
    names = {field.name for field in attrs.fields(cls)} - {"extra"}
    return st.dictionaries(TEXTS.filter(lambda name: name not in names), JSON, max_size=2)


def floats(low, high):
    return st.floats(low, high, allow_nan=False)


MESSAGES = st.builds(
    Message,
    id=IDS,
    role=TEXTS.filter(bool),
    content=st.none() | TEXTS | st.lists(TEXTS | MAPPINGS, max_size=2),
    name=st.none() | TEXTS,
    tool_calls=st.lists(MAPPINGS, max_size=2),
    tool_call_id=st.none() | TEXTS,
    tokens=st.none() | st.integers(0, 2**64 - 1),
    created_at=st.none() | TIMES,
    metadata=MAPPINGS,
    extra=extras(Message),
)
LOGS = st.builds(LogEntry, text=TEXTS, source=st.none() | TEXTS, at=TIMES, extra=extras(LogEntry))
FOCUSES = st.recursive(
    st.builds(Focus, id=IDS, target=TEXTS, expires_at=st.none() | TIMES, extra=extras(Focus)),
    lambda inner: st.builds(Focus, children=st.lists(inner, max_size=2).map(tuple)),
    max_leaves=3,
)
RECORDS = {
    Session: st.builds(
        Session,
        id=IDS,
        name=TEXTS,
        mode=st.sampled_from(SessionMode),
        status=st.sampled_from(SessionStatus),
        tags=st.lists(TEXTS, max_size=2),
        context=MAPPINGS,
        started_at=st.none() | TIMES,
        duration_s=floats(0, 1e300),
        extra=extras(Session),
    ),
    Conversation: st.builds(
        Conversation,
        id=IDS,
        session_id=st.none() | TEXTS,
        created_at=TIMES,
        extra=extras(Conversation),
        messages=st.lists(MESSAGES, max_size=3),
    ),
    FocusChain: st.builds(
        FocusChain, id=IDS, max_size=st.integers(0, 9), focuses=st.lists(FOCUSES, max_size=3)
    ),
    Task: st.builds(
        Task,
        id=IDS,
        status=st.sampled_from(TaskStatus),
        priority=st.integers(1, 20),
        progress=st.builds(
            Progress, percent=floats(0, 100), remaining_s=st.none() | floats(0, 9), extra=MAPPINGS
        ),
        result=JSON,
        confidence=st.none() | floats(0, 1),
        depends_on=st.lists(TEXTS, max_size=2),
        extra=extras(Task),
        logs=st.lists(LOGS, max_size=3),
    ),
}


def document_of(record):
    """Return the document of a record as it is read from a file."""
    return orjson.loads(orjson.dumps(CODECS[type(record)].encode(record)))


def assert_same(one, other):
    """Compare values with the types of all that is in them."""
    assert type(one) is type(other)
    if attrs.has(type(one)):
        for field in attrs.fields(type(one)):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, tuple | Items):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    elif isinstance(one, FrozenDict):
        assert list(one) == list(other)
        assert_same(tuple(one.values()), tuple(other.values()))
    else:
        assert repr(one) == repr(other)


def assert_read_alike(cls, document):
    """Check that the quick way gives what the strict one does, or nothing; say which."""
    quick = CODECS[cls].read_exact(copy.deepcopy(document))
    if quick is None:
        return False
    record, unknown = CODECS[cls].decode(copy.deepcopy(document))
    assert unknown == {}
    assert_same(quick, record)
    assert orjson.dumps(CODECS[cls].encode(quick), option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        document, option=orjson.OPT_SORT_KEYS
    )
    return True


@pytest.mark.parametrize("cls", CLASSES)
@given(st.data())
def test_records_that_were_written_here_are_read_as_they_were(cls, data):
    record = data.draw(RECORDS[cls])
    document = document_of(record)

    was_quick = assert_read_alike(cls, document)

    ids = [record.id, *(one.id for one in getattr(record, "messages", ()))]
    if cls is not FocusChain and all(id.isascii() and len(id) < 1000 for id in ids):
        assert was_quick
        assert CODECS[cls].read_exact(document) == record


HOSTILE = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, 5, 2**64, 0.0, -0.0, 1.0, 1e400, float("nan"), "", "x"),
        *("active", "planning", "pending", "\0", "\ud800", "é", "1" * 1025, b"x", (), ("x",)),
        *([], [[]], [None], [1], ["x"], "[]", {}, {"id": "x"}, [{}], [{"role": "user"}], {"a": 1}),
        *("2026-11-20T17:00:00.123456Z", "2026-11-20T17:00:00Z", "2026-11-20 17:00:00.123456Z"),
        *("2026-11-20T17:00:00.123456+00:00", "2026-11-20T19:00:00.123456+02:00", "2026-W47-5"),
        *("2026-W47-5T17:00:00.123456Z", "2026-11-20T17:00:00,123456Z", "2026-11-20T24:00:00Z"),
        *("0000-11-20T17:00:00.123456Z", "2026-11-20T170000.12345678Z", [["x"]], {"text": []}),
        *("2026-11-20T17:00:00.12345٦Z", "2026-02-30T17:00:00.123456Z", FrozenDict(), frozenset()),
    ]
)


def places(value, path=()):
    """Yield the way to each value in a document."""
    yield path
    inner = value.items() if isinstance(value, dict) else ()
    for key, one in enumerate(value) if isinstance(value, list) else inner:
        yield from places(one, (*path, key))


def damaged(document, path, value, how):
    """Return a document with another value at a place, or without it, or with one more."""
    changed = copy.deepcopy(document)
    holder = changed
    for step in path[:-1]:
        holder = holder[step]
    if how == "replace":
        holder[path[-1]] = value
    elif how == "remove":
        del holder[path[-1]]
    elif isinstance(holder, dict):
        holder["extra" if how == "extra" else "new"] = value
    else:
        holder.append(value)
    return changed


@pytest.mark.parametrize("cls", CLASSES)
@given(st.data())
def test_what_is_damaged_anywhere_is_read_as_value_by_value_or_not_at_all(cls, data):
    document = document_of(data.draw(RECORDS[cls]))
    path = data.draw(st.sampled_from(list(places(document))[1:]))
    how = data.draw(st.sampled_from(["replace", "replace", "remove", "add", "extra"]))

    changed = damaged(document, path, data.draw(HOSTILE), how)

    try:
        CODECS[cls].decode(copy.deepcopy(changed))
    except Misfit:
        assert CODECS[cls].read_exact(changed) is None or not is_plain(changed)
    else:
        if CODECS[cls].read_exact(copy.deepcopy(changed)) is not None and is_plain(changed):
            assert_read_alike(cls, changed)


def is_plain(value):
    """Say whether a document is one that a driver could have read."""
    try:
        return orjson.loads(orjson.dumps(value)) == value
    except orjson.JSONEncodeError:
        return False


def test_every_kind_of_field_of_a_message_is_refused_where_it_is_wrong():
    good = document_of(Conversation("c", messages=[Message(role="user"), Message(role="user")]))
    assert CODECS[Conversation].read_exact(good) is not None
    wrong = {
        "id": [1, "", "a\0b", "a" * 1025, None],
        "role": ["", None, 1],
        "content": [1, {"type": "text"}, [1], True, [["x"]]],
        "name": [1, [], False],
        "tool_calls": [None, ["x"], {}, "x", [1]],
        "tool_call_id": [1],
        "tokens": [-1, 1.0, True, "1"],
        "created_at": ["now", 1, "2026-11-20", "2026-W47-5T17:00:00.123456Z"],
        "metadata": [None, [], "x"],
    }

    for name, values in wrong.items():
        for value in values:
            changed = damaged(good, ("messages", 1, name), value, "replace")
            assert CODECS[Conversation].read_exact(changed) is None, (name, value)
        assert (
            CODECS[Conversation].read_exact(damaged(good, ("messages", 1, name), 0, "remove"))
            is None
        )


def test_objects_made_in_columns_are_frozen_and_whole():
    (message,) = read_objects(Message, [thaw(document_of_message())])

    assert all(hasattr(message, field.name) for field in attrs.fields(Message))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        message.role = "tool"
    assert attrs.evolve(message, role="tool").role == "tool"
    assert hash(message) == hash(Message(id="m", role="user", content="hi"))


def document_of_message():
    message = Message(id="m", role="user", content="hi")
    return CODECS[Conversation].encode(Conversation("c", messages=[message]))["messages"][0]


def test_a_class_of_the_host_is_not_read_in_columns():
    @attrs.frozen
    class Mine(Session):
        def __attrs_post_init__(self):
            raise ValueError

    assert columns_of(Mine) is None
    assert Codec(Mine).read_exact(document_of(Session("s"))) is None
    with pytest.raises(Unusual):
        read_objects(Mine, [])


def test_trees_of_focuses_are_read_in_columns():
    chain = FocusChain("f", focuses=[Focus(children=(Focus(), Focus(children=(Focus(),))))])

    assert CODECS[FocusChain].read_exact(document_of(chain)) == chain
