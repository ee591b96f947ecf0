"""Limits of conversations: exact, with the system prompt kept, and tokens counted once."""

import threading
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statestore import DuplicateId, InvalidRecord, Store, TokensNotCounted
from statestore.managers import (
    ConversationLimits,
    ConversationManager,
    Message,
    ToolCall,
    estimated_tokens,
    image_part,
    text_part,
    tool_result_part,
    tool_use_part,
)
from statestore.managers.conversations.limits import TokenCounter, cut
from statestore.managers.conversations.records import head_length
from statestore.models.keys import Key
from statestore.models.sequences import Items

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


def manager(*messages, count_tokens=estimated_tokens, **limits):
    """Return a manager with limits, and a conversation "c" in it."""
    now = [MOMENT]

    def clock():
        now[0] += timedelta(seconds=1)
        return now[0]

    talks = ConversationManager(
        clock=clock, limits=ConversationLimits(**limits), count_tokens=count_tokens
    )
    talks.create("t", id="c")
    for message in messages:
        talks.add_messages("c", [message])
    return talks


def said(role, tokens, id):
    return Message(role=role, content=id, tokens=tokens, id=id)


def ids(messages):
    return "".join(message.id for message in messages)


SYSTEM = Message(role="system", content="be brief", id="s", tokens=10)


# --- exact ----------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_there_are_never_more_messages_than_the_limit(most):
    talks = manager(max_messages=most)

    for number in range(10):
        talks.add_message("c", role="user", content=str(number))
        kept = [message.content for message in talks["c"].messages]
        assert kept == [str(one) for one in range(max(0, number + 1 - most), number + 1)]


def test_the_system_prompt_is_kept_and_counts():
    talks = manager(SYSTEM, max_messages=3)

    for number in range(5):
        talks.add_message("c", role="user", content=str(number), id=str(number))

    assert ids(talks["c"].messages) == "s34"


def test_a_system_message_that_does_not_stand_at_the_beginning_goes_like_others():
    talks = manager(said("user", 1, "u"), SYSTEM, max_messages=2)

    talks.add_messages("c", [said("user", 1, "v")])

    assert ids(talks["c"].messages) == "sv"
    talks.add_messages("c", [said("user", 1, "w")])  # by now it does
    assert ids(talks["c"].messages) == "sw"


def test_sixty_and_sixty_of_a_hundred_tokens_leave_the_newest():
    talks = manager(said("user", 60, "a"), max_tokens=100)

    talks.add_message("c", role="user", content="x", tokens=60, id="b")

    assert ids(talks["c"].messages) == "b"
    assert talks.tokens("c") == 60


def test_tokens_are_kept_within_the_limit_beside_the_system_prompt():
    talks = manager(SYSTEM, *(said("user", 30, one) for one in "abc"), max_tokens=100)
    assert ids(talks["c"].messages) == "sabc"

    talks.add_messages("c", [said("user", 31, "d")])

    assert ids(talks["c"].messages) == "scd"
    assert talks.tokens("c") == 71


@pytest.mark.parametrize(
    ("limits", "fields", "field"),
    [
        ({"max_tokens": 100}, {"tokens": 91}, "tokens"),
        ({"max_messages": 1}, {"tokens": 1}, "messages"),
    ],
)
def test_a_message_that_does_not_fit_beside_the_system_prompt_is_refused(limits, fields, field):
    talks = manager(SYSTEM, **limits)
    before = talks["c"]

    with pytest.raises(InvalidRecord) as raised:
        talks.add_message("c", role="user", content="x", **fields)

    assert raised.value.field == field
    assert talks["c"] is before
    with pytest.raises(InvalidRecord):
        talks.add_messages("c", [said("user", fields["tokens"], "big"), said("user", 1, "a")])
    assert talks["c"] is before


def test_a_system_prompt_that_grows_beyond_the_limit_is_refused():
    talks = manager(SYSTEM, max_tokens=15, max_messages=2)

    with pytest.raises(InvalidRecord, match="max_tokens"):
        talks.add_message("c", role="system", content="more", tokens=6)
    talks.add_message("c", role="system", content="more", tokens=5)
    with pytest.raises(InvalidRecord, match="max_messages"):
        talks.add_message("c", role="system", content="more", tokens=0)


def test_what_just_fits_is_taken():
    talks = manager(SYSTEM, max_tokens=100)

    talks.add_message("c", role="user", content="x", tokens=90)

    assert talks.tokens("c") == 100


def test_many_at_once_leave_the_newest():
    talks = manager(SYSTEM, max_messages=3)

    talks.add_messages("c", [said("user", 1, one) for one in "abcdef"])

    assert ids(talks["c"].messages) == "sef"


def test_messages_that_a_conversation_begins_with_are_cut_too():
    talks = manager(max_messages=2)

    talk = talks.create("d", messages=[said("user", 1, one) for one in "abc"])

    assert ids(talk.messages) == "bc"


def test_merged_messages_are_cut_too():
    talks = manager(said("user", 1, "a"), max_messages=2)
    talks.create("d", id="d", messages=[said("user", 1, one) for one in "xy"])

    assert len(talks.merge_messages("c", [said("user", 1, one) for one in "bcd"]).messages) == 2
    assert len(talks.merge("c", "d").messages) == 2


# --- calls and answers ----------------------------------------------------------------

CALL = Message(role="assistant", content=None, tool_calls=[{"id": "1"}], id="c")
ANSWER = Message(role="tool", content="4", tool_call_id="1", id="t")
BARE_ANSWER = Message(role="tool", content="4", id="t")
USE = Message(role="assistant", content=[tool_use_part("1", "ls", {})], id="c")
RESULT = Message(role="user", content=[tool_result_part("1", "x")], id="t")


@pytest.mark.parametrize(
    ("call", "answer"), [(CALL, ANSWER), (CALL, BARE_ANSWER), (USE, RESULT)], ids=["id", "", "part"]
)
def test_an_answer_whose_call_goes_goes_with_it(call, answer):
    other = attrs.evolve(answer, id="o")
    talks = manager(SYSTEM, call, answer, other, max_messages=4)

    talks.add_messages("c", [said("user", 1, "u")])

    assert ids(talks["c"].messages) == "su"


def test_answers_stay_where_there_is_nothing_behind_them():
    talks = manager(CALL, ANSWER, max_messages=2)

    talks.add_messages("c", [attrs.evolve(ANSWER, id="o")])
    assert ids(talks["c"].messages) == "to"
    talks.add_messages("c", [said("assistant", 1, "a")])

    assert ids(talks["c"].messages) == "a"


def test_what_a_tool_says_unasked_is_no_orphan():
    tools = [Message(role="tool", content="4", id=one) for one in "abc"]
    talks = manager(*tools, max_messages=3)

    talks.add_messages("c", [said("user", 1, "u")])

    assert ids(talks["c"].messages) == "bcu"


def test_tokens_of_dropped_answers_are_not_counted():
    talks = manager(attrs.evolve(CALL, tokens=50), attrs.evolve(ANSWER, tokens=30), max_tokens=100)

    talks.add_messages("c", [said("user", 21, "u")])

    assert ids(talks["c"].messages) == "u"
    assert talks.tokens("c") == 21


# --- in general -----------------------------------------------------------------------

MESSAGES = st.lists(
    st.builds(
        Message,
        role=st.sampled_from(["system", "user", "assistant", "tool"]),
        tokens=st.integers(0, 9),
        tool_calls=st.sampled_from([(), (ToolCall({"id": "1"}),)]),
        tool_call_id=st.sampled_from([None, "1"]),
    ),
    max_size=12,
)
LIMITS = st.builds(
    ConversationLimits,
    max_messages=st.none() | st.integers(1, 12),
    max_tokens=st.none() | st.integers(1, 60),
    trim_to=st.sampled_from([1.0, 0.75, 0.5, 0.01]),
)


@given(messages=MESSAGES, limits=LIMITS)
def test_what_is_kept_is_the_system_prompt_and_a_tail_within_the_limits(messages, limits):
    everything = Items(messages, Message)
    total = sum(one.tokens for one in messages)
    head = head_length(messages)

    found = cut(everything, limits, lambda one: one.tokens, total)
    kept = list(found.of(everything))

    assert kept[:head] == messages[:head]
    assert kept[head:] == messages[len(messages) - (len(kept) - head) :]
    tokens = sum(one.tokens for one in kept)
    assert found.tokens == (None if limits.max_tokens is None else tokens)
    prompt_tokens = sum(one.tokens for one in messages[:head])
    if limits.allow(len(messages), total):
        assert kept == messages
    elif limits.allow(head, prompt_tokens):
        assert limits.allow(len(kept), tokens)
    else:
        assert len(kept) == head
    newest = messages[-1:] if len(messages) > head else []
    if newest and limits.allow(head + 1, prompt_tokens + newest[0].tokens):
        assert kept[-1] is newest[0]
    if limits.trim_to == 1.0 and kept != messages and len(kept) < len(messages):
        behind = messages[len(messages) - (len(kept) - head) - 1]
        too_many = not limits.allow(len(kept) + 1, tokens + behind.tokens)
        assert too_many or behind.role == "tool"


@given(messages=MESSAGES, limits=LIMITS)
def test_after_every_added_message_the_limits_hold(messages, limits):
    talks = ConversationManager(limits=limits)
    talks.create("t", id="c")
    for message in messages:
        before = talks["c"]
        try:
            talks.add_messages("c", [message])
        except InvalidRecord:
            assert talks["c"] is before
        else:
            assert talks["c"].messages[-1] is message
        now = talks["c"].messages
        assert limits.allow(len(now), sum(one.tokens for one in now))
        assert talks.tokens("c") == sum(one.tokens for one in now)


# --- the share that is kept -----------------------------------------------------------


def test_a_share_lets_many_messages_be_added_before_the_next_cut():
    talks = manager(SYSTEM, max_messages=8, trim_to=0.5)

    lengths = []
    for number in range(12):
        talks.add_message("c", role="user", content=str(number))
        lengths.append(len(talks["c"].messages))

    assert lengths == [2, 3, 4, 5, 6, 7, 8, 4, 5, 6, 7, 8]


def test_a_share_drops_no_newest_message():
    talks = manager(SYSTEM, said("user", 1, "a"), max_tokens=100, max_messages=2, trim_to=0.01)

    talks.add_messages("c", [said("user", 90, "b")])

    assert ids(talks["c"].messages) == "sb"


# --- counting -------------------------------------------------------------------------


def test_the_estimate_is_a_quarter_of_all_text_rounded_up():
    assert estimated_tokens(Message(role="user", content="")) == 0
    assert estimated_tokens(Message(role="user", content="12345")) == 2
    parts = [text_part("1234"), "5678", image_part("image/png", "A" * 4000)]
    assert estimated_tokens(Message(role="user", content=parts)) == 2
    call = {"id": "x" * 99, "function": {"name": "run", "arguments": '{"a":1}'}}
    assert estimated_tokens(Message(role="assistant", content=None, tool_calls=[call])) == 3
    use = tool_use_part("x" * 99, "run", {"path": "/tmp", "n": 12})
    assert estimated_tokens(Message(role="assistant", content=[use])) == 4
    result = tool_result_part("x" * 99, [text_part("12345678")])
    assert estimated_tokens(Message(role="user", content=[result])) == 2


def test_the_hosts_counter_counts_and_a_message_may_know_better():
    talks = manager(max_tokens=10, count_tokens=lambda message: len(message.text))

    talks.add_message("c", role="user", content="123456")
    talks.add_message("c", role="user", content="123456789", tokens=4)

    assert talks.tokens("c") == 10
    assert ConversationManager().limits.max_tokens is None


@pytest.mark.parametrize(
    "count", [lambda _: 1 / 0, lambda _: -1, lambda _: 1.0, lambda _: None, lambda _: True]
)
def test_a_counter_that_fails_adds_nothing(count):
    talks = manager(max_tokens=100, count_tokens=count)
    before = talks["c"]

    for operation in (
        lambda: talks.add_message("c", role="user", content="secret"),
        lambda: talks.merge_messages("c", [Message(role="user", content="secret")]),
        lambda: talks.create("d", messages=[Message(role="user", content="secret")]),
    ):
        with pytest.raises(TokensNotCounted) as raised:
            operation()
        assert "secret" not in str(raised.value)
    assert talks.all() == (before,)


def test_without_a_limit_nobody_counts():
    talks = manager(max_messages=2, count_tokens=lambda _: 1 / 0)

    for _ in range(4):
        talks.add_message("c", role="user", content="x")

    with pytest.raises(TokensNotCounted):
        talks.tokens("c")


def test_the_counter_is_called_outside_of_the_lock():
    seen = []

    def count(message):
        thread = threading.Thread(target=lambda: seen.append(talks.all()))
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        return 1

    talks = manager(max_tokens=2, count_tokens=count)
    for _ in range(4):
        talks.add_message("c", role="user", content="x")
    talks.trim("c")
    talks.trim_all()
    talks.statistics()

    assert seen


def test_a_remembered_sum_is_taken_only_for_what_continues_it():
    counted = []
    counter = TokenCounter(lambda message: counted.append(message) or 1)
    base = Items([Message(role="user") for _ in range(3)], Message)
    longer = base.extended([Message(role="user")])
    fork = base.extended([Message(role="user"), Message(role="user")])

    def cost(messages):
        counted.clear()
        return counter.total("c", messages), len(counted)

    assert cost(base) == (3, 3)
    assert cost(base) == (3, 0)
    assert cost(longer) == (4, 1)
    assert cost(base) == (3, 3)  # undone
    assert cost(fork) == (5, 5)  # on a list of its own
    assert cost(longer) == (4, 4)


def test_sums_of_what_is_gone_are_forgotten():
    counter = TokenCounter()
    for number in range(1000):
        counter.total(str(number), Items([], Message))
        counter.forget(besides={"7"})

    assert len(counter._sums) < 100


def test_sums_are_right_after_a_transaction_that_failed_and_after_others(tmp_path):
    limits = ConversationLimits(max_tokens=100)
    with Store(tmp_path) as one, Store(tmp_path) as other:
        mine, theirs = (
            store.register(ConversationManager(limits=limits)) for store in (one, other)
        )
        mine.create("t", id="c")
        mine.add_message("c", role="user", content="x", tokens=40)

        def fail():
            with one.transaction():
                mine.add_message("c", role="user", content="x", tokens=50)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        mine.add_message("c", role="user", content="x", tokens=20)
        assert mine.tokens("c") == 60
        one.save_all()
        other.load_all()
        theirs.add_message("c", role="user", content="x", tokens=30)
        other.save_all()
        one.refresh()

        mine.add_message("c", role="user", content="x", tokens=11)

        assert [message.tokens for message in mine["c"].messages] == [20, 30, 11]
        assert mine.tokens("c") == 61


def overtaken(operation, meanwhile, **limits):
    """Do an operation in which the counter lets `meanwhile` happen, once, as another would."""
    once = [meanwhile]

    def count(message):
        if message.id == "slow" and once:
            once.pop()(talks)
        return 1

    talks = manager(said("user", 1, "a"), said("user", 1, "b"), count_tokens=count)
    talks.create("d", id="d", messages=[said("user", 1, one) for one in "xy"])
    talks.create("e", id="e", messages=[Message(role="user", content="slow", id="slow")])
    talks.set_limits(max_tokens=3, **limits)
    operation(talks)
    assert not once
    return talks


SLOW = Message(role="user", content="slow", id="slow")


def test_what_is_added_while_somebody_counts_counts():
    talks = overtaken(
        lambda talks: talks.add_messages("c", [SLOW]),
        lambda talks: talks.add_messages("c", [said("user", 1, "m")]),
    )

    assert [one.id for one in talks["c"].messages] == ["b", "m", "slow"]
    assert talks.tokens("c") == 3


def test_what_is_added_while_somebody_counts_what_is_there_counts_too():
    talks = overtaken(
        lambda talks: (
            talks.set_limits(max_tokens=2),
            talks.add_messages("e", [said("user", 1, "n")]),
        ),
        lambda talks: talks.add_messages("e", [said("user", 1, "m")]),
    )

    assert ids(talks["e"].messages) == "mn"


def test_what_is_added_while_a_conversation_is_merged_is_merged_too():
    talks = overtaken(
        lambda talks: talks.merge("c", "e", delete_source=True),
        lambda talks: talks.add_messages("e", [said("user", 1, "m")]),
    )

    assert [one.id for one in talks["c"].messages] == ["b", "slow", "m"]
    assert "e" not in talks


def test_what_is_added_while_all_are_trimmed_is_not_lost():
    talks = overtaken(
        lambda talks: (talks.set_limits(max_tokens=1), talks.trim_all()),
        lambda talks: talks.add_messages("d", [said("user", 1, "m")]),
    )

    assert [ids(talks[id].messages) for id in "cd"] == ["b", "m"]


@pytest.mark.parametrize("limits", [{"max_messages": 20}, {"max_tokens": 20}])
def test_threads_that_add_together_stay_within_the_limit(limits):
    talks = manager(SYSTEM, **limits, count_tokens=lambda _: 1)
    talks.edit_message("c", "s", tokens=1)
    seen = []

    def add(number):
        for step in range(40):
            talks.add_message("c", role="user", content=f"{number}.{step}")
            seen.append(len(talks["c"].messages))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert max(seen) == 20
    assert talks["c"].messages[0].id == "s"
    by_thread = [message.content.split(".") for message in talks["c"].messages[1:]]
    for number in range(4):
        steps = [int(step) for one, step in by_thread if one == str(number)]
        assert steps == list(range(40 - len(steps), 40))


# --- conversations --------------------------------------------------------------------


def test_conversations_that_are_too_many_go_with_the_one_that_comes():
    talks = manager(max_conversations=3)
    told = []
    talks.on("trimmed", lambda event: told.append((event.id, dict(event.details))))
    talks.create("b", id="b")
    talks.create("a", id="a")
    talks.update("c", title="newer")
    talks.activate("b")  # which is a change, too
    talks.create("d", id="d")
    talks.create("e", id="e")

    assert talks.ids() == ("b", "d", "e")
    talks.create("f", id="f")
    assert talks.ids() == ("b", "e", "f")  # not the active one, older as it is
    assert [id for id, _ in told] == ["a", "c", "d"]
    assert told[0][1] == {"max_conversations": 3}


def test_a_new_conversation_stays_whatever_time_it_has():
    talks = manager(max_conversations=1)

    talks.create("old", id="old", created_at=MOMENT - timedelta(days=9))

    assert talks.ids() == ("old",)


def test_the_active_conversation_leaves_no_room_for_one_alone():
    talks = manager(max_conversations=1)
    talks.activate("c")

    with pytest.raises(InvalidRecord) as raised:
        talks.create("d", id="d")

    assert raised.value.field == "max_conversations"
    assert talks.ids() == ("c",)


def test_a_conversation_that_is_refused_drives_nobody_out():
    talks = manager(max_conversations=1)
    for operation in (
        lambda: talks.create("t", id="c"),
        lambda: talks.import_document(talks.export_document("c")),
    ):
        with pytest.raises(DuplicateId):
            operation()

    assert talks.ids() == ("c",)


def test_imported_conversations_are_not_too_many_either():
    talks = manager(max_conversations=2)
    talks.create("d", id="d")
    document = talks.export_document("c")

    assert talks.import_document(document, id="x").title == "t"
    assert talks.ids() == ("d", "x")
    assert talks.import_document(document, id="x", replace=True) is talks["x"]
    assert talks.ids() == ("d", "x")


def test_what_goes_and_what_comes_is_one_commit_and_kept_by_the_history(tmp_path):
    limits = ConversationLimits(max_conversations=1)
    with Store(tmp_path, autosave="on-change") as store:
        talks = store.register(ConversationManager(limits=limits))
        saves = []
        talks.create("first", id="a")
        store.on_save(saves.append)
        talks.create("second", id="b")

        assert len(saves) == 1
        assert store.kinds() == ["conversations"]
        assert [one.key.id for one in store.scan("conversations")] == ["b"]
        gone = [Key("conversations", id) for id in "ab"]
        assert [sorted(one.revisions) for one in store.history()] == [gone[:1], gone]


# --- trimming -------------------------------------------------------------------------


def test_limits_that_are_set_later_are_applied_by_trimming():
    talks = manager(SYSTEM, *(said("user", 10, one) for one in "abcd"))
    talks.create("d", id="d", messages=[said("user", 10, one) for one in "xyz"])
    talks.create("e", id="e")
    talks.activate("c")
    talks.set_limits(max_messages=3)
    assert len(talks["c"].messages) == 5

    assert ids(talks.trim("c").messages) == "scd"
    assert talks.trim("c") is talks["c"]
    talks.set_limits(max_tokens=15, max_conversations=2)
    talks.edit_message("c", "s", tokens=16)
    with pytest.raises(InvalidRecord, match="conversations/c"):
        talks.trim_all()
    assert ids(talks["d"].messages) == "xyz"
    talks.edit_message("c", "s", tokens=10)

    trimmed = talks.trim_all()

    assert (trimmed.messages, trimmed.conversations) == (2, 1)
    assert ids(talks["c"].messages) == "s"
    assert talks.ids() == ("c", "e")
    assert talks.trim_all() == attrs.evolve(trimmed, messages=0, conversations=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_messages": 0},
        {"max_tokens": -1},
        {"max_conversations": 1.5},
        {"trim_to": 0},
        {"trim_to": 2},
        {"nonsense": 1},
    ],
)
def test_limits_that_cannot_be_are_refused(wrong):
    talks = manager(max_messages=5)

    with pytest.raises(InvalidRecord):
        talks.set_limits(**wrong)
    assert talks.limits == ConversationLimits(max_messages=5)
