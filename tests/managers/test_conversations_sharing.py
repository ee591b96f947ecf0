"""Conversations of several hands: merging, versions, and conflicts that lose no message."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statestore import Conflict, InvalidRecord, RecordNotFound, SaveFailed, StaleRecord, Store
from statestore.managers import Conversation, ConversationManager, Message
from statestore.managers.conversations.merging import together
from statestore.models.sequences import Items

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


def at(minute, id=None, content=None, **fields):
    """Return a message of a minute; None for one without a time."""
    moment = None if minute is None else MOMENT + timedelta(minutes=minute)
    more = {} if id is None else {"id": id}
    return Message(role="user", content=content or f"{id}", created_at=moment, **more, **fields)


def ids(messages):
    return "".join(message.id for message in messages)


def merged(own, others):
    return together(Items(own, Message), others)


# --- merging messages -----------------------------------------------------------------


def test_messages_are_merged_in_the_order_of_their_times():
    own = [at(1, "a"), at(3, "b"), at(5, "c")]
    others = [at(0, "v"), at(2, "w"), at(3, "x"), at(9, "y")]

    assert ids(merged(own, others)) == "vawbxcy"


def test_no_side_changes_its_order_though_a_clock_went_back():
    own = [at(5, "a"), at(1, "b"), at(None, "c")]
    others = [at(None, "v"), at(4, "w"), at(6, "x"), at(2, "y")]

    assert ids(merged(own, others)) == "vwabcxy"
    assert ids(merged([at(5, "a"), at(1, "b")], [at(3, "w")])) == "wab"


def test_a_message_is_the_same_by_its_id():
    own = [at(1, "a", "as it is here")]

    assert merged(own, [at(2, "a", "else")]) == own


def test_a_message_is_the_same_by_who_says_what_when():
    own = [at(1, "a", "yes"), at(None, "b", "no")]

    assert merged(own, [at(1, "x", "yes"), at(None, "y", "no")]) == own
    assert ids(merged(own, [at(2, "x", "yes")])) == "abx"
    assert ids(merged(own, [at(1, "x", "yes", tool_call_id="1")])) == "abx"


def test_one_message_stands_for_one_other_only():
    own = [at(None, "a", "ok")]

    assert ids(merged(own, [at(None, "x", "ok"), at(None, "y", "ok")])) == "ay"


def test_what_comes_twice_is_there_once():
    assert ids(merged([], [at(1, "x"), at(1, "x")])) == "x"


def test_what_is_only_behind_continues_what_is_there():
    own = Items([at(1, "a")], Message)

    assert together(own, [at(1, "b"), at(2, "c")]).continues(own)
    assert together(own, own) is own


TIMED = st.lists(st.tuples(st.none() | st.integers(0, 5), st.integers(0, 8)), max_size=8).map(
    lambda rows: list({id: at(minute, str(id)) for minute, id in rows}.values())
)


@given(own=TIMED, others=TIMED)
def test_merging_loses_nothing_doubles_nothing_and_is_done_once(own, others):
    both = merged(own, others)

    assert sorted(one.id for one in both) == sorted({one.id for one in [*own, *others]})
    assert [one for one in both if one in own] == own
    mine = {one.id for one in own}
    assert [one.id for one in both if one.id not in mine] == [
        one.id for one in others if one.id not in mine
    ]
    assert together(both, others) is both


def test_merge_messages_is_one_change_and_none_where_all_are_there():
    talks = ConversationManager()
    talks.create("t", id="c", messages=[at(2, "b")])

    new = talks.merge_messages("c", [at(1, "a"), at(3, "c"), {"role": "user", "id": "d"}])

    assert ids(new.messages) == "abcd"
    assert talks.merge_messages("c", new.messages) is new


def test_a_conversation_is_merged_into_another():
    talks = ConversationManager()
    talks.create("one", id="c", messages=[at(1, "a"), at(3, "b")], tags=["x"])
    talks.create("two", id="d", messages=[at(2, "m"), at(3, "b")], tags=["y"])

    new = talks.merge("c", "d")

    assert ids(new.messages) == "amb"
    assert (new.title, new.tags, "d" in talks) == ("one", ("x",), True)
    assert talks.merge("c", "d") is new
    assert talks.merge("c", "d", delete_source=True) is new
    assert talks.ids() == ("c",)


def test_a_merge_with_the_deletion_of_its_source_is_one_commit(tmp_path):
    with Store(tmp_path, autosave="on-change") as store:
        talks = store.register(ConversationManager())
        talks.create("one", id="c", messages=[at(1, "a")])
        talks.create("two", id="d", messages=[at(0, "m")])
        saves = []
        store.on_save(saves.append)

        talks.merge("c", "d", delete_source=True)

        assert len(saves) == 1
        assert ids(talks["c"].messages) == "ma"
        with pytest.raises(RecordNotFound):
            store.raw("conversations/d")


def test_a_conversation_is_not_merged_with_itself():
    talks = ConversationManager()
    talk = talks.create("t", id="c", messages=[at(1, "a")])

    with pytest.raises(InvalidRecord):
        talks.merge("c", talk, delete_source=True)
    assert talks["c"] is talk


# --- versions -------------------------------------------------------------------------


@pytest.fixture
def hands(tmp_path):
    """Two managers of one store, which both know a conversation of one message."""
    with Store(tmp_path) as one, Store(tmp_path) as other:
        mine, theirs = (store.register(ConversationManager()) for store in (one, other))
        mine.create("t", id="c", messages=[at(0, "0")])
        one.save_all()
        other.load_all()
        yield one, mine, other, theirs
        one.save_all(on_conflict="theirs")  # what a test has left in conflict


def test_a_change_of_a_version_that_is_no_longer_there_is_refused(hands):
    one, mine, _other, theirs = hands
    version = theirs.revision("c")
    assert mine.update_with_version("c", version, title="mine").title == "mine"
    assert mine.revision("c") == version + 1

    with pytest.raises(Conflict) as raised:
        theirs.update_with_version("c", version, title="theirs")

    assert (raised.value.expected, raised.value.found) == (version, version + 1)
    assert one.raw("conversations/c")["title"] == "mine"
    assert theirs["c"].title == "mine"
    assert theirs.update_with_version("c", raised.value.found, title="theirs").title == "theirs"
    assert theirs.unsaved == ()


def test_a_version_goes_on_after_a_restart(tmp_path):
    for number in range(1, 4):
        with Store(tmp_path) as store:
            talks = store.register(ConversationManager())
            store.load_all()
            if number == 1:
                talks.create("t", id="c")
                store.save_all()
            assert talks.revision("c") == number
            with pytest.raises(Conflict):
                talks.update_with_version("c", number - 1, title="x")
            talks.update_with_version("c", number, title=str(number))


def test_a_conversation_may_be_the_version(hands):
    _one, mine, _other, _theirs = hands
    seen = mine["c"]
    mine.add_message("c", role="user", content="unsaved")

    with pytest.raises(StaleRecord):
        mine.update_with_version("c", seen, title="x")
    assert mine.update_with_version("c", mine["c"], title="x").title == "x"


def test_without_a_store_a_conversation_is_the_version():
    talks = ConversationManager()
    seen = talks.create("t", id="c")
    assert talks.update_with_version("c", 0, title="x").title == "x"

    with pytest.raises(StaleRecord):
        talks.update_with_version("c", seen, title="y")


@pytest.mark.parametrize("expected", ["1", None, True, 1.0])
def test_what_is_no_version_is_refused(expected):
    talks = ConversationManager()
    talks.create("t", id="c")

    with pytest.raises(InvalidRecord) as raised:
        talks.update_with_version("c", expected, title="x")
    assert raised.value.field == "expected"


def changed_by_both(hands):
    """Return what somebody has made of an older state than is there."""
    _one, mine, other, theirs = hands
    older = mine["c"]
    theirs.update("c", title="theirs", tags=["x"], metadata={"a": 1, "b": 1})
    theirs.add_messages("c", [at(2, "2")])
    other.save_all()
    return attrs.evolve(
        older,
        title="given",
        tags=["y"],
        metadata={"b": 2, "c": 2},
        summary="given",
        messages=[at(0, "0", "edited"), at(1, "1"), at(1, "1")],
    )


def test_overwriting_takes_the_fields_and_keeps_the_messages_of_both(hands):
    given = changed_by_both(hands)
    one, mine, _other, _theirs = hands

    new = mine.resolve("c", given, strategy="overwrite")

    assert (new.title, new.tags, new.metadata, new.summary) == (
        "given",
        ("y",),
        {"b": 2, "c": 2},
        "given",
    )
    assert ids(new.messages) == "012"
    assert new.messages[0].content == "edited"
    assert mine.unsaved == ()
    assert len(one.raw("conversations/c")["messages"]) == 3
    assert mine.resolve("c", given, strategy="overwrite") is new


def test_merging_fills_up_what_is_stored(hands):
    given = changed_by_both(hands)
    _one, mine, _other, _theirs = hands

    new = mine.resolve("c", given)

    assert (new.title, new.tags, new.metadata, new.summary) == (
        "theirs",
        ("x", "y"),
        {"a": 1, "b": 1, "c": 2},
        "given",
    )
    assert ids(new.messages) == "012"
    assert new.messages[0].content == "0"
    assert mine.resolve("c", given) is new


def test_what_cannot_be_resolved_is_refused(hands):
    _one, mine, _other, _theirs = hands
    talk = mine["c"]

    with pytest.raises(InvalidRecord) as raised:
        mine.resolve("c", talk, strategy="guess")
    assert raised.value.allowed == ("overwrite", "merge")
    with pytest.raises(InvalidRecord):
        mine.resolve("c", attrs.evolve(talk, id="d"))
    with pytest.raises(InvalidRecord):
        mine.resolve("c", "c")
    with pytest.raises(RecordNotFound):
        mine.resolve("d", Conversation("d"))
    assert mine["c"] is talk


# --- conflicts ------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["error", "mine", "theirs", "merge"])
def test_messages_that_both_have_added_are_all_there(hands, policy):
    one, mine, other, theirs = hands
    theirs.add_messages("c", [at(1, "1")])
    other.save_all()
    mine.add_messages("c", [at(2, "2")])

    one.save_all(on_conflict=policy)

    assert ids(mine["c"].messages) == "012"


MINE = {
    "title": lambda talks: talks.rename("c", "mine"),
    "title and message": lambda talks: (
        talks.rename("c", "mine"),
        talks.add_messages("c", [at(3, "3")]),
    ),
    "cleared": lambda talks: talks.clear_messages("c"),
    "cut": lambda talks: talks.truncate("c", keep_last=0),
    "edited": lambda talks: talks.edit_message("c", "0", content="mine"),
    "merged": lambda talks: talks.merge_messages("c", [at(-1, "9")]),
    "activated": lambda talks: talks.activate("c"),
}


@pytest.mark.parametrize("policy", ["error", "mine", "theirs", "merge"])
@pytest.mark.parametrize("change", MINE.values(), ids=MINE)
def test_no_policy_loses_a_message_that_others_have_added(hands, policy, change):
    one, mine, other, theirs = hands
    theirs.rename("c", "theirs")
    theirs.add_messages("c", [at(1, "1"), at(2, "2")])
    other.save_all()
    change(mine)
    asked = mine["c"]

    try:
        one.save_all(on_conflict=policy)
    except SaveFailed as error:
        (failure,) = error.report.failures
        assert isinstance(failure.error, Conflict)
        assert mine["c"] is asked  # it says so, and changes nothing
        assert policy in ("error", "merge")
    stored = [one["id"] for one in one.raw("conversations/c")["messages"]]

    assert stored[-2:] == ["1", "2"] or set(stored) >= {"1", "2"}
    if policy == "mine":
        assert set(stored) == {*(one.id for one in asked.messages), "1", "2"}
        assert one.raw("conversations/c")["title"] == asked.title


def test_a_message_that_both_have_edited_is_mine_where_mine_counts(hands):
    one, mine, other, theirs = hands
    theirs.edit_message("c", "0", content="theirs")
    theirs.add_messages("c", [at(1, "1")])
    other.save_all()
    mine.edit_message("c", "0", content="mine")

    one.save_all(on_conflict="mine")

    assert [one.content for one in mine["c"].messages] == ["mine", "1"]


def test_what_others_have_dropped_stays_dropped_where_mine_counts(hands):
    one, mine, other, theirs = hands
    theirs.clear_messages("c")
    other.save_all()
    mine.rename("c", "mine")

    one.save_all(on_conflict="mine")

    assert (mine["c"].title, mine["c"].messages) == ("mine", ())


def test_a_conversation_that_two_have_made_has_the_messages_of_both(hands):
    one, mine, other, theirs = hands
    theirs.create("theirs", id="d", messages=[at(1, "1")])
    other.save_all()
    mine.create("mine", id="d", messages=[at(2, "2")])

    one.save_all(on_conflict="mine")

    assert mine["d"].title == "mine"
    assert sorted(ids(mine["d"].messages)) == ["1", "2"]


def test_a_merge_of_the_hosts_that_loses_a_message_is_a_conflict(tmp_path):
    with Store(tmp_path) as one, Store(tmp_path) as other:
        mine = one.register(ConversationManager(merge=lambda base, mine, theirs: mine))
        theirs = other.register(ConversationManager())
        mine.create("t", id="c", messages=[at(0, "0")])
        one.save_all()
        other.load_all()
        theirs.add_messages("c", [at(1, "1")])
        other.save_all()
        mine.rename("c", "mine")

        with pytest.raises(SaveFailed):
            one.save_all(on_conflict="merge")
        assert len(one.raw("conversations/c")["messages"]) == 2
        one.save_all(on_conflict="theirs")


def test_a_transaction_that_was_overtaken_loses_no_message(hands):
    one, mine, other, theirs = hands
    with one.transaction(on_conflict="mine"):
        mine.rename("c", "mine")
        theirs.rename("c", "theirs")
        theirs.add_messages("c", [at(1, "1")])
        other.save_all()

    assert (mine["c"].title, ids(mine["c"].messages)) == ("mine", "01")


# --- the active one -------------------------------------------------------------------


def test_both_may_activate_the_same_conversation(tmp_path):
    with Store(tmp_path / "s") as here, Store(tmp_path / "s") as there:
        mine = here.register(ConversationManager(clock=lambda: MOMENT))
        other = there.register(ConversationManager(clock=lambda: MOMENT + timedelta(hours=1)))
        mine.create("Talk", id="c")
        here.save_all()
        there.refresh()

        other.activate("c")
        there.save_all()
        mine.activate("c")
        mine.add_message("c", role="user", content="hi")
        here.save_all(on_conflict="merge")

        there.refresh()
        assert mine["c"] == other["c"]
        assert mine.active is mine["c"]
        assert mine["c"].activated_at == MOMENT + timedelta(hours=1)
        assert [one.content for one in mine["c"].messages] == ["hi"]


def test_activating_again_counts_more_than_that_others_have_ended_it(tmp_path):
    with Store(tmp_path / "s") as here, Store(tmp_path / "s") as there:
        mine = here.register(ConversationManager())
        other = there.register(ConversationManager())
        mine.create("Talk", id="c")
        mine.activate("c")
        here.save_all()
        there.refresh()

        other.deactivate()
        there.save_all()
        mine.deactivate()
        again = mine.activate("c")
        here.save_all(on_conflict="merge")

        assert mine["c"].activated_at == again.activated_at
        assert mine.active is mine["c"]
