"""What conversations are asked: which there are, what is said in them, what they come to."""

from datetime import UTC, datetime, timedelta

import pytest

from statestore import InvalidRecord, RecordNotFound
from statestore.managers import (
    ConversationManager,
    ConversationStatistics,
    ConversationTotals,
    Message,
    text_part,
    tool_result_part,
    tool_use_part,
)

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture
def talks():
    now = [MOMENT]

    def clock():
        now[0] += timedelta(seconds=1)
        return now[0]

    talks = ConversationManager(clock=clock)
    talks.create("Failing tests", "s1", id="a", user_id="u", tags=["work"])
    talks.create("Groceries", "s1", id="b", user_id="u")
    talks.create("Große Pläne", "s2", id="c", tags=["work", "plan"], status="closed")
    talks.add_message("a", role="user", content="Why do they FAIL?", id="a0")
    talks.add_message("a", role="assistant", content=[text_part("Let me look"), "at it"], id="a1")
    talks.add_message(
        "b", role="assistant", content=[tool_use_part("1", "buy", {"what": "milk"})], id="b0"
    )
    talks.add_message(
        "b", role="user", content=[tool_result_part("1", [text_part("no milk")])], id="b1"
    )
    call = {"id": "2", "function": {"name": "look_up", "arguments": '{"q": "Milky Way"}'}}
    talks.add_message("c", role="assistant", content=None, tool_calls=[call], id="c0")
    return talks


def ids(found):
    return [one.id for one in found]


def test_conversations_are_found_by_what_they_belong_to(talks):
    assert ids(talks.by_session("s1")) == ["b", "a"]
    assert ids(talks.by_user("u")) == ["b", "a"]
    assert ids(talks.by_tag("work")) == ["c", "a"]
    assert ids(talks.by_status("open")) == ["b", "a"]
    assert talks.by_session("none") == ()
    talks.rename("a", "Passing tests")
    assert ids(talks.recent(2)) == ["a", "c"]
    assert ids(talks.recent()) == ["a", "c", "b"]


def test_titles_are_found_whatever_the_case(talks):
    assert ids(talks.find_by_title("TESTS")) == ["a"]
    assert ids(talks.find_by_title("GROSSE")) == ["c"]
    assert ids(talks.find_by_title("g")) == ["c", "b", "a"]
    assert talks.find_by_title("milk") == ()


def test_a_search_finds_titles_first_and_then_what_is_said(talks):
    talks.rename("a", "milk")
    talks.rename("b", "shopping")
    talks.set_summary("c", "About MILK.")

    assert ids(talks.search("milk")) == ["c", "a", "b"]
    assert ids(talks.search("milk", limit=1)) == ["c"]
    assert ids(talks.search("fail")) == ["a"]
    assert talks.search("nothing of the kind") == ()


def test_messages_are_found_with_where_they_stand(talks):
    hits = talks.search_messages("milk")

    assert [(hit.conversation_id, hit.index, hit.message.id) for hit in hits] == [
        ("c", 0, "c0"),
        ("b", 0, "b0"),
        ("b", 1, "b1"),
    ]
    assert [hit.message.id for hit in talks.search_messages("milk", role="user")] == ["b1"]
    assert [hit.message.id for hit in talks.search_messages("milk", session_id="s2")] == ["c0"]
    assert [hit.message.id for hit in talks.search_messages("L", conversation="a")] == ["a0", "a1"]
    assert len(talks.search_messages("milk", limit=2)) == 2
    assert talks.search_messages("milk", limit=0) == ()
    assert [hit.message.id for hit in talks.search_messages("LOOK_UP")] == ["c0"]
    with pytest.raises(RecordNotFound):
        talks.search_messages("milk", conversation="none")


def test_ids_and_data_of_messages_are_no_text(talks):
    talks.add_message(
        "a",
        role="user",
        content=[{"type": "image", "source": {"data": "needle"}}, text_part("x")],
        id="needle",
        metadata={"k": "needle"},
    )

    assert talks.search_messages("needle") == ()


@pytest.mark.parametrize("method", ["search", "search_messages", "find_by_title"])
@pytest.mark.parametrize("text", ["", None, 5])
def test_to_look_for_nothing_is_refused(talks, method, text):
    with pytest.raises(InvalidRecord) as raised:
        getattr(talks, method)(text)
    assert raised.value.field == "text"


@pytest.mark.parametrize("limit", [-1, 1.0, "1"])
def test_a_limit_that_is_none_is_refused(talks, limit):
    for operation in (talks.search, talks.search_messages):
        with pytest.raises(InvalidRecord):
            operation("milk", limit=limit)
    with pytest.raises(InvalidRecord):
        talks.recent(limit)


def test_a_conversation_is_read_as_text(talks):
    assert talks.to_text("a") == (
        "# Failing tests\n\nuser: Why do they FAIL?\n\nassistant: Let me look\nat it\n"
    )
    assert talks.to_text("b") == ("# Groceries\n\nassistant: -> buy(what=milk)\n\nuser: no milk\n")
    assert talks.to_text("c") == ('# Große Pläne\n\nassistant:\n  -> look_up({"q": "Milky Way"})\n')
    talks.create(id="d")
    assert talks.to_text("d") == ""
    talks.add_messages(
        "d", [Message(role="tool", name="ls", content=[{"type": "image", "source": {}}])]
    )
    assert talks.to_text("d") == "tool (ls): [image]\n"


def test_statistics_of_one_conversation(talks):
    talks.add_messages("a", [Message(role="user", content="x", tokens=10)])

    found = talks.conversation_statistics("a")

    first, last = (one.created_at for one in talks["a"].messages[:2])
    assert found == ConversationStatistics(
        messages=3,
        tokens=5 + 4 + 10,
        by_role={"user": 2, "assistant": 1},
        tokens_per_message=19 / 3,
        first_at=first,
        last_at=last,
        duration_s=(last - first).total_seconds(),
    )
    talks.create(id="d")
    assert talks.conversation_statistics("d") == ConversationStatistics(
        0, 0, {}, 0.0, None, None, 0.0
    )


def test_statistics_of_all_conversations(talks):
    tokens = sum(talks.tokens(one) for one in talks)

    assert talks.statistics() == ConversationTotals(
        conversations=3,
        messages=5,
        tokens=tokens,
        by_role={"user": 2, "assistant": 3},
        by_status={"open": 2, "closed": 1},
        messages_per_conversation=5 / 3,
        tokens_per_conversation=tokens / 3,
        tokens_per_message=tokens / 5,
    )
    assert ConversationManager().statistics() == ConversationTotals(0, 0, 0, {}, {}, 0.0, 0.0, 0.0)
