"""Conversations: messages, the active one, status and summary, what must not shrink, events."""

import threading
from datetime import UTC, datetime, timedelta

import attrs
import orjson
import pytest

from statestore import (
    InvalidRecord,
    MessageNotFound,
    NothingActive,
    RecordNotFound,
    StaleRecord,
    Store,
    WouldShrink,
)
from statestore.managers import (
    Conversation,
    ConversationLimits,
    ConversationManager,
    Items,
    Message,
    estimated_tokens,
    text_part,
    tool_result_part,
    tool_use_part,
)
from tests.bench.counting import Counted

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.now = MOMENT

    def __call__(self):
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def talks():
    return ConversationManager(clock=Clock())


@pytest.fixture
def talk(talks):
    """A conversation of a system prompt and six messages: u0 a1 u2 a3 u4 a5."""
    talks.create("Talk", id="c")
    talks.add_message("c", role="system", content="be brief", id="s")
    for number in range(6):
        role = "assistant" if number % 2 else "user"
        talks.add_message("c", role=role, content=f"m{number}", id=f"{role[0]}{number}")
    return talks["c"]


def ids(messages):
    return [message.id for message in messages]


def refused(talks, error, operation):
    """See an operation refused that leaves all as it was; return the error."""
    before = talks.all()
    with pytest.raises(error) as raised:
        operation()
    assert len(talks) == len(before)
    assert all(now is then for now, then in zip(talks.all(), before, strict=True))
    return raised.value


# --- adding ---------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["user", "system", "developer", "assistant"])
@pytest.mark.parametrize("content", ["", None, [], [""]], ids=repr)
def test_a_message_in_which_nobody_says_anything_is_refused(talks, talk, role, content):
    error = refused(
        talks, InvalidRecord, lambda: talks.add_message("c", role=role, content=content)
    )

    assert error.field == "content"


def test_what_may_be_silent(talks, talk):
    talks.add_message("c", role="tool", content="", tool_call_id="1")
    talks.add_message("c", role="assistant", content=None, tool_calls=[{"id": "1"}])
    talks.add_message("c", role="assistant", content=None, refusal="No.")
    talks.add_message("c", role="narrator")
    talks.add_messages("c", [Message(role="user"), {"role": "assistant", "content": None}])

    assert len(talks["c"].messages) == len(talk.messages) + 6


def test_mappings_are_messages_as_providers_write_them(talks, talk):
    new = talks.add_messages(
        "c", [{"role": "user", "content": "hi", "cache": True}, Message(role="tool", id="t")]
    )

    first, second = new.messages[-2:]
    assert (first.content, first.extra, second.id) == ("hi", {"cache": True}, "t")
    assert first.created_at is not None


@pytest.mark.parametrize(
    "more",
    [
        "text",
        {"role": "user"},
        5,
        [5],
        [None],
        [{"content": "no role"}],
        [{"role": "user", 5: "x"}],
        [{"role": "user", "extra": 5, "more": 1}],
        [Message(role="user"), "text"],
    ],
)
def test_what_is_no_list_of_messages_is_refused(talks, talk, more):
    refused(talks, InvalidRecord, lambda: talks.add_messages("c", more))


def test_nothing_added_is_no_change(talks, talk):
    assert talks.add_messages("c", []) is talk


# --- reading --------------------------------------------------------------------------


def test_messages_are_read_by_id_role_position_and_time(talks, talk):
    assert talks.get_message("c", "u2").content == "m2"
    assert ids(talks.messages_by_role("c", "user")) == ["u0", "u2", "u4"]
    assert ids(talks.page("c", 1, 3)) == ["u0", "a1"]
    assert ids(talks.page("c", -2)) == ["u4", "a5"]
    assert talks.page("c", 90, 99) == ()
    assert ids(talks.page("c")) == ids(talk.messages)
    assert ids(talks.tail("c", 2)) == ["u4", "a5"]
    assert ids(talks.tail("c", 2, role="user")) == ["u2", "u4"]
    assert talks.tail("c", 0) == talks.tail("c", 0, role="user") == ()
    assert len(talks.tail("c", 99)) == 7
    since = talks.get_message("c", "a3").created_at
    assert ids(talks.messages_since("c", since)) == ["a3", "u4", "a5"]
    assert talks.last_message("c").id == "a5"
    assert talks.last_message("c", "user").id == "u4"
    assert talks.last_message("c", "tool") is None


def test_partial_reads_are_plain_tuples(talks, talk):
    for part in (talks.tail("c", 2), talks.page("c", 1), talks.messages_by_role("c", "user")):
        assert type(part) is tuple


def test_of_messages_with_one_id_the_last_is_meant(talks, talk):
    talks.add_message("c", role="user", content="again", id="u0")

    assert talks.get_message("c", "u0").content == "again"
    talks.remove_message("c", "u0")
    assert talks.get_message("c", "u0").content == "m0"


@pytest.mark.parametrize(
    ("operation", "field"),
    [
        (lambda talks: talks.tail("c", -1), "count"),
        (lambda talks: talks.tail("c", True), "count"),
        (lambda talks: talks.page("c", "1"), "start"),
        (lambda talks: talks.page("c", 1, 2.0), "stop"),
        (lambda talks: talks.messages_since("c", MOMENT.replace(tzinfo=None)), "time"),
        (lambda talks: talks.messages_since("c", 5), "time"),
        (lambda talks: talks.truncate("c", keep_last=-1), "keep_last"),
        (lambda talks: talks.truncate("c", keep_last=None), "keep_last"),
        (lambda talks: talks.edit_message("c", "u0", nonsense=1), "nonsense"),
        (lambda talks: talks.edit_message("c", "u0", id="other"), "id"),
        (lambda talks: talks.edit_message("c", "u0", content=""), "content"),
        (lambda talks: talks.edit_message("c", "u0", tokens=-1), "tokens"),
        (lambda talks: talks.add_message("c", role=""), "role"),
        (lambda talks: talks.add_message("c", role="user", content=5), "content"),
        (lambda talks: talks.add_message("c", role="user", content="x", name=1), "name"),
        (lambda talks: talks.add_message("c", role="user", content="x", extra=5), "extra"),
        (lambda talks: talks.update("c", user_id=5), "user_id"),
        (lambda talks: talks.set_status("c", ""), "status"),
        (lambda talks: talks.set_status("c", 5), "status"),
        (lambda talks: talks.set_summary("c", None), "summary"),
        (lambda talks: talks.rename("c", "x" * 1001), "title"),
        (lambda talks: talks.rename("c", None), "title"),
        (lambda talks: talks.update("c", nonsense=1), "nonsense"),
        (lambda talks: talks.add_tags("c", "x" * 101), "tags"),
        (lambda talks: talks.add_tags("c", ""), "tags"),
        (lambda talks: talks.update("c", tags="text"), "tags"),
        (lambda talks: talks.create("x" * 1001), "title"),
        (lambda talks: talks.create("x", nonsense=1), "nonsense"),
        (lambda talks: talks.create("x", messages="text"), "messages"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(talks, talk, operation, field):
    assert refused(talks, InvalidRecord, lambda: operation(talks)).field == field


def test_what_is_not_there_is_not_found(talks, talk):
    for operation in (
        lambda id: talks.tail(id),
        lambda id: talks.page(id),
        lambda id: talks.get_message(id, "u0"),
        lambda id: talks.add_message(id, role="user"),
        lambda id: talks.merge_messages(id, []),
        lambda id: talks.truncate(id, keep_last=1),
        lambda id: talks.clear_messages(id),
        lambda id: talks.activate(id),
        lambda id: talks.merge("c", id),
        lambda id: talks.merge(id, "c"),
        lambda id: talks.close(id),
        lambda id: talks.set_summary(id, "s"),
        lambda id: talks.trim(id),
        lambda id: talks.to_text(id),
        lambda id: talks.update_with_version(id, 0, title="x"),
    ):
        assert refused(talks, RecordNotFound, lambda op=operation: op("none")).id == "none"
    for operation in (
        lambda: talks.get_message("c", "none"),
        lambda: talks.remove_message("c", "none"),
        lambda: talks.edit_message("c", "none", content="x"),
        lambda: talks.set_summary("c", "s", upto="none"),
    ):
        assert refused(talks, MessageNotFound, operation).message_id == "none"


# --- editing and dropping -------------------------------------------------------------


def test_a_message_is_edited_where_it_stands(talks, talk):
    new = talks.edit_message("c", "a1", content="better", tokens=1)

    assert (new.id, new.content, new.tokens, new.role) == ("a1", "better", 1, "assistant")
    assert ids(talks["c"].messages) == ids(talk.messages)
    assert talks["c"].messages[2] is new
    assert talk.messages[2].content == "m1"


def test_an_edit_of_what_is_said_forgets_how_many_tokens_that_was(talks):
    talks.create(id="c")
    talks.add_message("c", role="user", content="four", id="m", tokens=9)

    assert talks.edit_message("c", "m", content="four").tokens == 9
    assert talks.edit_message("c", "m", name="x").tokens == 9
    assert talks.edit_message("c", "m", content="x" * 400).tokens is None
    assert talks.tokens("c") == 100
    assert talks.edit_message("c", "m", content="y", tokens=7).tokens == 7
    assert talks.edit_message("c", "m", tool_calls=[{"id": "1", "name": "f"}]).tokens is None


def test_an_edit_that_changes_nothing_is_no_change(talks, talk):
    talks.edit_message("c", "a1", content="m1")

    assert talks["c"] is talk


def test_an_edit_that_a_message_does_not_take_is_refused(talks, talk):
    refused(talks, InvalidRecord, lambda: talks.edit_message("c", "a1", tokens=-1))


def test_a_message_is_removed(talks, talk):
    assert talks.remove_message("c", "a1").content == "m1"

    assert ids(talks["c"].messages) == ["s", "u0", "u2", "a3", "u4", "a5"]


@pytest.mark.parametrize(("count", "kept"), [(0, []), (2, ["u4", "a5"]), (6, None), (99, None)])
def test_truncate_keeps_the_system_prompt_and_the_last(talks, talk, count, kept):
    new = talks.truncate("c", keep_last=count)

    if kept is None:
        assert new is talk
    else:
        assert ids(new.messages) == ["s", *kept]


def test_clear_drops_all_or_all_but_the_system_prompt(talks, talk):
    assert ids(talks.clear_messages("c", keep_system=True).messages) == ["s"]
    cleared = talks.clear_messages("c")
    assert cleared.messages == ()
    assert talks.clear_messages("c") is cleared


def test_truncate_leaves_no_answer_of_a_tool_without_its_call(talks):
    talks.create("t", id="c")
    talks.add_messages(
        "c",
        [
            Message(role="user", content="1", id="1"),
            Message(role="assistant", content=[tool_use_part("a", "ls", {})], id="2"),
            Message(role="user", content=[tool_result_part("a", "x")], id="3"),
            Message(role="assistant", content="done", id="4"),
        ],
    )

    assert ids(talks.truncate("c", keep_last=2).messages) == ["4"]


# --- nothing shrinks unmeant ----------------------------------------------------------


SHORTER = {
    "none": lambda messages: (),
    "fewer": lambda messages: messages[:-1],
    "the last ones": lambda messages: messages[-2:],
    "as many others": lambda messages: [*messages[:-1], Message(role="user", content="else")],
    "more, one edited": lambda messages: [
        attrs.evolve(messages[0], content="else"),
        *messages[1:],
        Message(role="user"),
    ],
    "in another order": lambda messages: list(reversed(messages)),
}


@pytest.mark.parametrize("make", SHORTER.values(), ids=SHORTER)
@pytest.mark.parametrize("stored", [False, True])
def test_a_conversation_that_lost_messages_takes_no_place(tmp_path, make, stored):
    with Store(tmp_path) as store:
        talks = ConversationManager()
        if stored:
            store.register(talks)
        talks.create("t", id="c", messages=[Message(role="user", content=str(n)) for n in "123"])
        store.save_all()
        messages = make(talks["c"].messages)

        for operation in (
            lambda: talks.update("c", messages=messages),
            lambda: talks.replace(attrs.evolve(talks["c"], messages=messages)),
            lambda: talks.modify("c", lambda one: attrs.evolve(one, messages=messages)),
            lambda: talks.update_with_version("c", talks["c"], messages=messages),
            lambda: talks.import_document(
                {
                    **talks.export_document("c"),
                    "data": {**talks.export_document("c")["data"], "messages": []},
                },
                replace=True,
            ),
        ):
            error = refused(talks, WouldShrink, operation)
            assert (error.kind, error.id, error.there) == ("conversations", "c", 3)
        assert talks.unsaved == (() if stored else ("c",))


def test_a_stub_that_was_made_of_its_metadata_alone_is_refused(talks, talk):
    stub = Conversation("c", title="renamed", created_at=talk.created_at)

    error = refused(talks, WouldShrink, lambda: talks.replace(attrs.evolve(stub, tags=["x"])))
    assert (error.there, error.given, error.field) == (7, 0, "messages")


def test_messages_behind_those_that_are_there_may_come(talks, talk):
    equal = [*map(attrs.evolve, talk.messages), Message(role="user", content="more")]

    assert len(talks.update("c", messages=equal).messages) == 8
    assert talks.update("c", title="x").title == "x"


def test_a_stale_conversation_is_told_as_stale(talks, talk):
    talks.add_message("c", role="user", content="more")

    refused(talks, StaleRecord, lambda: talks.replace(talk))


def test_what_modify_meets_again_may_not_shrink_either(tmp_path):
    with Store(tmp_path) as one, Store(tmp_path) as other:
        mine, theirs = (store.register(ConversationManager()) for store in (one, other))
        mine.create("t", id="c", messages=[Message(role="user", content="1")])
        one.save_all()
        other.load_all()
        seen = []

        def change(current):
            if not seen:
                theirs.modify("c", lambda there: attrs.evolve(there, title="faster"))
                theirs.add_message("c", role="user", content="2")
                other.save_all()
            seen.append(current)
            return attrs.evolve(current, messages=seen[0].messages, title="mine")

        with pytest.raises(WouldShrink):
            mine.modify("c", change)
        assert len(seen) == 2
        assert len(one.raw("conversations/c")["messages"]) == 2


def test_an_operation_that_drops_messages_lets_nobody_else_do_so(talks, talk):
    started, done = threading.Event(), threading.Event()
    errors = []

    def shrink():
        started.wait()
        try:
            talks.update("c", messages=())
        except WouldShrink as error:
            errors.append(error)
        done.set()

    thread = threading.Thread(target=shrink)
    thread.start()

    def cut(current):
        started.set()
        done.wait()
        return talks._with_messages(current, current.messages.__class__(current.messages[:1]))

    talks._exchange("c", cut)
    thread.join()

    assert len(errors) == 1
    assert ids(talks["c"].messages) == ["s"]


# --- the active one -------------------------------------------------------------------


def test_one_conversation_is_active_and_survives_a_reload(tmp_path):
    with Store(tmp_path) as store:
        talks = store.register(ConversationManager())
        for id in "abc":
            talks.create(id, id=id)
        assert talks.active is None
        before = talks["a"]
        assert talks.activate("a") is talks.active is talks["a"]
        assert talks["a"].updated_at > before.updated_at
        talks.activate("b")
        assert talks["a"].activated_at is None
        assert talks.activate("b") is talks["b"]
        store.save_all()
    with Store(tmp_path) as store:
        talks = store.register(ConversationManager())
        store.load_all(strict=True)
        assert talks.active is talks["b"]
        assert talks.add_message_to_active(role="user", content="hi") is talks["b"].messages[0]
        assert talks.deactivate() is talks["b"]
        assert talks.active is None
        assert talks.deactivate() is None


def test_without_an_active_one_nobody_is_talked_to(talks, talk):
    error = refused(
        talks, NothingActive, lambda: talks.add_message_to_active(role="user", content="hi")
    )
    assert error.kind == "conversations"
    talks.activate("c")
    talks.delete("c")

    assert talks.active is None


def test_activation_is_one_commit_and_undone_with_its_transaction(tmp_path):
    with Store(tmp_path, autosave="on-change") as store:
        talks = store.register(ConversationManager())
        for id in "ab":
            talks.create(id, id=id)
        talks.activate("a")
        saves = []
        store.on_save(saves.append)
        talks.activate("b")
        assert len(saves) == 1

        def fail():
            with store.transaction():
                talks.activate("a")
                assert talks.active is talks["a"]
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert talks.active is talks["b"]


def test_of_two_that_processes_have_activated_the_later_counts(tmp_path):
    with Store(tmp_path) as one, Store(tmp_path) as other:
        clock = Clock()
        mine, theirs = (store.register(ConversationManager(clock=clock)) for store in (one, other))
        for id in "ab":
            mine.create(id, id=id)
        one.save_all()
        other.load_all()
        mine.activate("a")
        theirs.activate("b")
        one.save_all()
        other.save_all()
        one.refresh()
        other.refresh()

        assert mine.active.id == theirs.active.id == "b"
        mine.activate("a")
        assert mine["b"].activated_at is None


# --- small changes --------------------------------------------------------------------


def test_status_tags_title_and_summary_persist(tmp_path):
    with Store(tmp_path) as store:
        talks = store.register(ConversationManager())
        talks.create("t", id="c")
        assert talks.close("c").status == "closed"
        assert talks.reopen("c").status == "open"
        assert talks.archive("c") is talks.archive("c")
        talks.add_tags("c", "x", "y", "x")
        assert talks.add_tags("c", "y") is talks.remove_tags("c", "none")
        talks.remove_tags("c", "x")
        talks.rename("c", "other")
        first = talks.add_message("c", role="user", content="1")
        second = talks.add_message("c", role="user", content="2")
        talks.set_summary("c", "one", upto=first.id)
        assert talks.unsummarised("c") == (second,)
        talks.set_summary("c", "both")
        assert talks.unsummarised("c") == ()
        store.save_all()
        kept = talks["c"]
    with Store(tmp_path) as store:
        talks = store.register(ConversationManager())
        store.load_all(strict=True)
        assert talks["c"] == kept
        assert (kept.status, kept.tags, kept.title) == ("archived", ("y",), "other")
        assert (kept.summary, kept.summary_upto) == ("both", second.id)
        talks.remove_message("c", second.id)
        assert talks.unsummarised("c") == (first,)
        assert talks.set_summary("c", "").summary_upto is None


def test_every_field_survives_a_reload_and_an_export(tmp_path):
    message = Message(
        id="m",
        role="assistant",
        content=[text_part("x"), "y"],
        name="n",
        tool_calls=[{"id": "1", "name": "f", "arguments": "{}"}],
        tool_call_id="0",
        tokens=7,
        created_at=MOMENT,
        metadata={"k": [1]},
        extra={"own": 1},
    )
    whole = Conversation(
        "c",
        title="t",
        session_id="s",
        user_id="u",
        status="open",
        summary="sum",
        summary_upto="m",
        tags=["a", "b"],
        metadata={"character_id": "x"},
        created_at=MOMENT,
        updated_at=MOMENT,
        activated_at=MOMENT,
        extra={"more": None},
        messages=[message],
    )
    values = attrs.asdict(whole, recurse=False)
    assert all(values.values())
    with Store(tmp_path) as store:
        talks = store.register(ConversationManager())
        talks.add(whole)
        store.save_all()
    with Store(tmp_path) as store:
        talks = store.register(ConversationManager())
        store.load_all(strict=True)
        assert talks["c"] == whole
        again = ConversationManager().import_document(talks.export_document("c"))
        assert again == attrs.evolve(whole, activated_at=None)


def test_files_of_before_have_no_active_one(tmp_path):
    with Store(tmp_path) as store:
        talks = store.register(ConversationManager())
        talks.create("t", id="c")
        document = talks.export_document("c")
    for field in ("activated_at", "summary_upto"):
        del document["data"][field]
    talks = ConversationManager()

    assert talks.import_document(document).activated_at is None


def test_an_imported_conversation_is_not_the_active_one(talks, talk):
    talks.activate("c")
    document = talks.export_document("c")

    assert talks.import_document(document, id="d").activated_at is None
    assert talks.import_document(document, replace=True).activated_at is not None
    assert talks.active is talks["c"]


# --- cost -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits", [None, ConversationLimits(max_messages=20_000, max_tokens=1_000_000)], ids=bool
)
def test_each_of_ten_thousand_messages_costs_what_it_holds(limits, monkeypatch):
    counted, looked_at, changes = [], [], []
    talks = ConversationManager(
        clock=Clock(),
        limits=limits,
        count_tokens=lambda message: counted.append(message) or estimated_tokens(message),
    )
    talks.create("t", id="c", messages=[Message(role="user", content="first")])

    def save(ids):
        pending, failures = talks.pending(ids)
        assert not failures
        for one in pending:
            changes.append(one.change)
            talks.saved(one, len(changes))

    talks.attach(object(), save)
    talks.add_message("c", role="user", content="second")
    through = Items.__iter__
    monkeypatch.setattr(Items, "__iter__", lambda self: looked_at.append(self) or through(self))
    counted.clear()
    changes.clear()

    for number in range(10_000):
        talks.add_message("c", role="user", content=f"{number:05}")

    assert len(talks["c"].messages) == 10_002
    assert len(changes) == 10_000
    assert {len(one.append[0].items) for one in changes} == {1}
    assert len({len(orjson.dumps([one.set, one.append[0].items])) for one in changes}) == 1
    assert looked_at == []
    assert len(counted) == (0 if limits is None else 10_000)


def test_the_journal_grows_by_a_message_however_many_there_are(tmp_path):
    def written(length):
        with Store(tmp_path / str(length), autosave="on-change") as store:
            talks = store.register(ConversationManager(clock=Clock()))
            first = [Message(role="user", content=str(n)) for n in range(length)]
            talks.create("t", id="c", messages=first)
            counted = Counted()
            with counted.watching(journal=True):
                for number in range(20):
                    talks.add_message("c", role="user", content=f"{number:05}")
            store.flush()
        return counted.journal_writes

    few, many = written(1), written(2_000)
    assert len(few) == len(many) == 20
    assert abs(sum(many) - sum(few)) < 20 * 10  # positions have more digits


# --- events ---------------------------------------------------------------------------


def test_what_became_of_a_conversation_is_told_by_name(talks, talk):
    told = []
    talks.on("*", lambda event: told.append((event.name, dict(event.details))))

    def names(operation):
        told.clear()
        operation()
        return [one for one in told if one[0] not in ("updated", "created", "deleted")]

    assert names(lambda: talks.add_messages("c", [Message(role="tool", id=id) for id in "xy"])) == [
        ("message_added", {"count": 2, "index": 7})
    ]
    assert names(lambda: talks.edit_message("c", "x", content="1")) == [
        ("message_edited", {"ids": ("x",)})
    ]
    assert names(lambda: talks.remove_message("c", "x")) == [("messages_removed", {"count": 1})]
    assert names(lambda: talks.set_summary("c", "s")) == [("summarised", {"upto": "y"})]
    assert names(lambda: talks.close("c")) == [
        ("status_changed", {"before": "open", "after": "closed"})
    ]
    assert names(lambda: talks.truncate("c", keep_last=0)) == [
        ("messages_removed", {"count": 7}),
        ("cleared", {"count": 7}),
    ]
    talks.create("d", id="d")
    assert names(lambda: talks.activate("c")) == [("activated", {})]
    assert names(lambda: talks.activate("d")) == [("deactivated", {}), ("activated", {})]
    assert names(talks.deactivate) == [("deactivated", {})]
    talks.add_message("d", role="user", content="from d")
    assert names(lambda: talks.merge("c", "d", delete_source=True)) == [
        ("message_added", {"count": 1, "index": 1}),
        ("merged", {"source": "d", "count": 1}),
    ]
    assert names(lambda: talks.create("e", messages=[text_message("x")])) == []


def text_message(text):
    return Message(role="user", content=[text_part(text)])


def test_messages_of_others_are_told_too(tmp_path):
    with Store(tmp_path) as one, Store(tmp_path) as other:
        mine, theirs = (store.register(ConversationManager()) for store in (one, other))
        mine.create("t", id="c")
        one.save_all()
        other.load_all()
        told = []
        theirs.on("message_added", told.append)
        mine.add_message("c", role="user", content="hi")
        one.save_all()
        other.refresh()

        (event,) = told
        assert (event.details, event.after.messages[0].content) == ({"count": 1, "index": 0}, "hi")
        assert event.theirs is not None


def test_what_comes_once_one_by_one_is_all_taken(talks):
    made = talks.create("Talk", id="c", tags=iter(["a", "b", "a"]))
    assert made.tags == ("a", "b")
    assert talks.update("c", tags=iter(["x", "y"])).tags == ("x", "y")
    assert talks.update_with_version("c", talks["c"], tags=iter("z")).tags == ("z",)

    message = talks.add_message("c", role="assistant", tool_calls=iter([{"id": "1", "name": "f"}]))
    assert [call.name for call in message.tool_calls] == ["f"]
