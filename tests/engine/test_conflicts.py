"""Conflicts: two openings of one store change the same records."""

# ruff: noqa: PT012 -- the whole block is what raises
import attrs
import pytest

from statestore import (
    ConfigurationError,
    Conflict,
    EncodeError,
    HistoryPruned,
    InvalidRecord,
    Manager,
    NewerSchema,
    SaveFailed,
    StaleRecord,
    Store,
    TransactionFailed,
)
from statestore.managers import ConversationManager, TaskManager
from statestore.models.keys import Key


@attrs.frozen
class Note:
    id: str
    text: str = ""
    more: str = ""


@attrs.define
class Board:
    id: str
    text: str = ""


A = Key("notes", "a")


@attrs.define
class Side:
    """One opening, with its managers loaded."""

    store: Store
    notes: Manager
    conversations: ConversationManager
    tasks: TaskManager


@pytest.fixture
def side(tmp_path):
    """Open the store once more."""
    opened = []

    def open_(merge=None, schema=1, **options):
        store = Store(tmp_path / "store", **options)
        opened.append(store)
        side = Side(
            store,
            store.register(Manager("notes", Note, merge=merge, schema=schema)),
            store.register(ConversationManager()),
            store.register(TaskManager()),
        )
        store.load_all()
        return side

    yield open_
    for store in reversed(opened):
        store.load_all(discard=True)
        store.close()


@pytest.fixture
def two(side):
    """Two openings which both have the note a, and hold different unsaved and saved changes."""

    def make(text="mine", theirs="theirs", **options):
        one = side(**options)
        one.notes.create(id="a", text="base")
        one.store.save_all()
        other = side()
        if theirs is None:
            other.notes.delete("a")
        else:
            other.notes.update("a", text=theirs)
        other.store.save_all()
        if text is None:
            one.notes.delete("a")
        else:
            one.notes.update("a", text=text)
        return one, other

    return make


def stored(side):
    return {one.key.id: one.document["text"] for one in side.store.scan("notes")}


def resolved(report):
    return {one.key: one.how for one in report.resolved}


# --- policies -------------------------------------------------------------------------


def test_stale_write_is_refused_with_both_revisions(two):
    one, _ = two()

    with pytest.raises(SaveFailed) as raised:
        one.store.save_all()

    error = raised.value.report.failures[0].error
    assert isinstance(error, Conflict)
    assert (error.kind, error.id, error.expected, error.found) == ("notes", "a", 1, 2)
    assert one.store.raw(error.key)["text"] == "theirs"
    assert stored(one) == {"a": "theirs"}
    assert one.store.unsaved == (A,)


def test_mine_is_saved_over_theirs(two):
    one, other = two()

    report = one.store.save_all(on_conflict="mine")

    assert resolved(report) == {A: "mine"}
    assert (report.items, stored(one), one.notes.revision("a")) == (1, {"a": "mine"}, 3)
    assert one.store.unsaved == ()
    other.store.refresh()
    assert other.notes["a"].text == "mine"


def test_theirs_takes_the_place_of_mine(two):
    one, _ = two()

    report = one.store.save_all(on_conflict="theirs")

    assert resolved(report) == {A: "theirs"}
    assert (report.items, one.notes["a"].text) == (0, "theirs")
    assert one.store.unsaved == ()
    one.notes.update("a", text="after")
    one.store.save_all()
    assert stored(one) == {"a": "after"}


def test_merge_keeps_both_changes(two):
    one, other = two(text="base")
    one.notes.update("a", more="mine")

    report = one.store.save_all(on_conflict="merge")

    assert resolved(report) == {A: "merged"}
    assert one.notes["a"] == Note("a", "theirs", "mine")
    other.store.refresh()
    assert other.notes["a"] == Note("a", "theirs", "mine")


def test_merge_leaves_what_contradicts_unsaved_and_names_it(two):
    one, _ = two()
    one.notes.create(id="b", text="free")

    report = one.store.save_all(on_conflict="merge", strict=False)

    assert report.failures[0].error.fields == ("text",)
    assert "text" in str(report.failures[0].error)
    assert (report.items, report.resolved) == (1, ())
    assert stored(one) == {"a": "theirs", "b": "free"}
    assert one.notes["a"].text == "mine"


@pytest.mark.parametrize(
    ("policy", "text"), [("mine", {"a": "mine"}), ("theirs", {}), ("error", None), ("merge", None)]
)
def test_record_that_others_have_deleted(two, policy, text):
    one, _ = two(theirs=None)

    report = one.store.save_all(on_conflict=policy, strict=False)

    if text is None:
        assert report.failures[0].error.found == 0
        assert one.store.unsaved == (A,)
    else:
        assert report.failures == ()
        assert stored(one) == text == {note.id: note.text for note in one.notes}
        assert one.store.unsaved == ()


def test_record_that_is_made_again_over_a_deletion_uses_no_revision_twice(two):
    one, _ = two(theirs=None)

    one.store.save_all(on_conflict="mine")

    assert one.notes.revision("a") == 3  # the deletion took 2


@pytest.mark.parametrize(
    ("policy", "text"),
    [("mine", {}), ("theirs", {"a": "theirs"}), ("error", None), ("merge", None)],
)
def test_deletion_of_what_others_have_changed(two, policy, text):
    one, _ = two(text=None)

    report = one.store.save_all(on_conflict=policy, strict=False)

    if text is None:
        assert isinstance(report.failures[0].error, Conflict)
        assert stored(one) == {"a": "theirs"}
        assert one.store.unsaved == (A,)
    else:
        assert stored(one) == text == {note.id: note.text for note in one.notes}
        assert one.store.unsaved == ()


@pytest.mark.parametrize(("policy", "text"), [("mine", "mine"), ("theirs", "theirs")])
def test_record_that_both_have_made(side, policy, text):
    one, other = side(), side()
    other.notes.create(id="a", text="theirs")
    other.store.save_all()
    one.notes.create(id="a", text="mine")

    with pytest.raises(SaveFailed) as raised:
        one.store.save_all()
    assert raised.value.report.failures[0].error.expected == 0

    one.store.save_all(on_conflict=policy)
    assert stored(one) == {"a": text}


def test_policy_of_the_store_holds_where_a_call_says_nothing(two):
    one, _ = two(on_conflict="mine")

    with pytest.raises(SaveFailed):
        one.store.save_all(on_conflict="error")
    one.store.save("notes")

    assert stored(one) == {"a": "mine"}


def test_policy_is_a_setting_of_the_deployment(two, tmp_path):
    (tmp_path / "store").mkdir(mode=0o700)
    (tmp_path / "store" / "statestore.toml").write_text('on_conflict = "mine"\n')
    one, _ = two()

    one.store.save_all()

    assert stored(one) == {"a": "mine"}


def test_policy_holds_for_changes_that_are_saved_at_once(side):
    one, other = side(autosave="on-change", on_conflict="mine"), side()
    one.notes.create(id="a", text="base")
    other.store.refresh()
    other.notes.update("a", text="theirs")
    other.store.save_all()

    one.notes.update("a", text="mine")

    assert stored(one) == {"a": "mine"}


@pytest.mark.parametrize("call", ["save_all", "save", "transaction", "Store"])
def test_policy_that_is_none_is_refused(side, tmp_path, call):
    one = side()

    with pytest.raises(ConfigurationError, match="error, mine, theirs, merge"):
        if call == "Store":
            Store(tmp_path / "new", on_conflict="ours")
        elif call == "save":
            one.store.save("notes", on_conflict="ours")
        else:
            getattr(one.store, call)(on_conflict="ours")
    assert not (tmp_path / "new").exists()


def test_newer_schema_is_never_overwritten(side):
    one = side()
    one.notes.create(id="a", text="base")
    one.store.save_all()
    newer = side(schema=2)
    newer.notes.update("a", text="new form")
    newer.store.save_all()
    one.notes.update("a", text="old form")

    report = one.store.save_all(on_conflict="mine", strict=False)

    assert isinstance(report.failures[0].error, NewerSchema)
    assert stored(newer) == {"a": "new form"}


def test_unknown_fields_of_theirs_stay(side, tmp_path):
    @attrs.frozen
    class Longer:
        id: str
        text: str = ""
        more: str = ""
        newer: str = ""

    one = side()
    one.notes.create(id="a", text="base")
    one.store.save_all()
    with Store(tmp_path / "store") as store:
        longer = store.register(Manager("notes", Longer))
        store.load_all()
        longer.update("a", newer="kept")
    one.notes.update("a", text="mine")

    one.store.save_all(on_conflict="mine")

    assert one.store.raw("notes/a") == {"id": "a", "text": "mine", "more": "", "newer": "kept"}


@pytest.mark.parametrize("policy", ["error", "mine", "theirs", "merge"])
def test_store_that_is_older_than_what_was_known_is_a_conflict_and_no_loop(side, policy):
    """As after a copy of older files, with their times, while a process had them in memory."""
    one = side()
    one.notes.create(id="a", text="base")
    one.store.save_all()
    one.notes._saved["a"] = attrs.evolve(one.notes._saved["a"], revision=9)
    one.notes.update("a", text="mine")

    report = one.store.save_all(on_conflict=policy, strict=False)

    error = report.failures[0].error
    assert (error.expected, error.found) == (9, 1)
    one.store.load_all(discard=True)
    one.notes.update("a", text="mine")
    one.store.save_all()


# --- the host's own merge -------------------------------------------------------------


def test_function_of_the_host_merges(two):
    calls = []

    def merge(base, mine, theirs):
        calls.append((base.text, mine.text, theirs.text))
        return attrs.evolve(theirs, text=f"{mine.text} and {theirs.text}")

    one, _ = two(merge=merge)

    one.store.save_all(on_conflict="merge")

    assert calls == [("base", "mine", "theirs")]
    assert stored(one) == {"a": "mine and theirs"}


def test_function_is_told_where_nothing_is_common(side):
    def merge(base, mine, theirs):
        assert base is None
        return mine

    one, other = side(merge=merge), side()
    other.notes.create(id="a", text="theirs")
    other.store.save_all()
    one.notes.create(id="a", text="mine")

    one.store.save_all(on_conflict="merge")

    assert stored(one) == {"a": "mine"}


def test_function_that_raises_leaves_the_conflict_and_everything_as_it_was(two):
    def merge(base, mine, theirs):
        raise ZeroDivisionError

    one, _ = two(merge=merge)

    report = one.store.save_all(on_conflict="merge", strict=False)

    error = report.failures[0].error
    assert isinstance(error, Conflict)
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert (one.notes["a"].text, stored(one)) == ("mine", {"a": "theirs"})


@pytest.mark.parametrize("made", [Board("a"), Note("b"), None])
def test_function_that_returns_no_such_record_is_told(two, made):
    one, _ = two(merge=lambda base, mine, theirs: made)

    report = one.store.save_all(on_conflict="merge", strict=False)

    assert isinstance(report.failures[0].error, InvalidRecord)
    assert (one.notes["a"].text, stored(one)) == ("mine", {"a": "theirs"})


def test_function_may_use_the_store(two):
    """It runs outside of all locks."""

    def merge(base, mine, theirs):
        one.notes.create(id="log", text="merged")
        return mine

    one, _ = two(merge=merge)

    one.store.save_all(on_conflict="merge")

    assert stored(one)["a"] == "mine"
    assert "log" in one.notes


def test_change_made_while_the_function_merges_is_merged_too(two):
    def merge(base, mine, theirs):
        if mine.text == "mine":
            one.notes.update("a", text="newer")
        return attrs.evolve(theirs, text=f"{mine.text} and {theirs.text}")

    one, _ = two(merge=merge)

    one.store.save_all(on_conflict="merge")

    assert stored(one) == {"a": "newer and theirs"}


def test_conflict_that_is_settled_twice_is_reported_once(two):
    def merge(base, mine, theirs):
        if theirs.more != "again":
            other.notes.modify("a", lambda note: attrs.evolve(note, more="again"))
        return attrs.evolve(theirs, text=mine.text)

    one, other = two(merge=merge)

    report = one.store.save_all(on_conflict="merge")

    assert [(str(done.key), done.how) for done in report.resolved] == [("notes/a", "merged")]
    assert one.store.raw("notes/a") == {"id": "a", "text": "mine", "more": "again"}


def test_conflict_that_was_settled_and_cannot_be_stored_is_not_resolved(two):
    one, _ = two(merge=lambda base, mine, theirs: attrs.evolve(mine, text="\ud800"))

    report = one.store.save_all(on_conflict="merge", strict=False)

    assert [type(failure.error) for failure in report.failures] == [EncodeError]
    assert report.resolved == ()


def test_record_that_raises_when_it_is_compared_leaves_the_conflict(tmp_path):
    @attrs.frozen(eq=False)
    class Part:
        text: str

        def __eq__(self, other):
            raise ZeroDivisionError

        __hash__ = None

    @attrs.frozen(eq=False)
    class Whole:
        id: str
        part: Part
        count: int = 0

    with Store(tmp_path / "store") as one, Store(tmp_path / "store") as other:
        wholes, theirs = (store.register(Manager("wholes", Whole)) for store in (one, other))
        wholes.create(id="a", part=Part("old"))
        wholes.create(id="b", part=Part("old"))
        one.save_all()
        other.load_all()
        theirs.update("a", count=1)
        other.save_all()
        wholes.update("a", part=Part("new"))
        wholes.update("b", count=1)

        report = one.save_all(strict=False)

        assert [(one.key.id, type(one.error)) for one in report.failures] == [("a", Conflict)]
        assert (one.raw("wholes/a")["count"], one.raw("wholes/b")["count"]) == (1, 1)
        one.load_all(discard=True)


def test_record_that_was_met_in_the_store_before_its_commit_was_told_is_clean(two):
    """One thread settles a conflict with what another one has just saved."""
    one, other = two()
    notes, driver = one.notes, one.store._engine.driver
    one.store.save_all(on_conflict="mine")
    one.notes.update("a", text="again")
    ((pending,), _) = notes.pending()
    commit = driver.commit([pending.change], {A: pending.expected})
    notes.settle("a", notes.decode(driver.read(A)), "theirs")

    notes.saved(pending, commit.revisions[A])

    assert one.store.unsaved == ()
    other.store.refresh()
    other.notes.update("a", text="last")
    other.store.save_all()
    assert one.store.refresh().kept == ()
    assert notes["a"].text == "last"


def test_conflict_is_not_settled_with_what_is_older_than_memory(two):
    one, _ = two()
    older = one.notes.decode(one.store.stored("notes/a"))
    one.store.save_all(on_conflict="mine")

    assert one.notes.settle("a", older, "theirs") == ""
    assert one.notes["a"].text == "mine"
    assert one.notes.revision("a") == 3


def test_records_of_a_class_that_can_change_are_settled_too(tmp_path):
    with Store(tmp_path / "s") as one, Store(tmp_path / "s") as other:
        mine, theirs = (
            one.register(Manager("boards", Board)),
            other.register(Manager("boards", Board)),
        )
        mine.create(id="a", text="base")
        one.save_all()
        other.load_all()
        theirs["a"].text = "theirs"
        other.save_all()
        mine["a"].text = "mine"

        with pytest.raises(SaveFailed):
            one.save_all()
        one.save_all(on_conflict="mine")

        assert one.raw("boards/a")["text"] == "mine"
        assert other.refresh().items == 1
        assert theirs["a"].text == "mine"


# --- what only adds -------------------------------------------------------------------


def talk(side):
    return [message.content for message in side.conversations["c"].messages]


@pytest.fixture
def talking(side):
    one = side()
    one.conversations.create("talk", id="c")
    one.conversations.add_message("c", role="user", content="first")
    one.store.save_all()
    return one, side()


@pytest.mark.parametrize("policy", ["error", "mine", "theirs", "merge"])
def test_messages_that_two_have_added_are_both_there(talking, policy):
    one, other = talking
    one.conversations.add_message("c", role="user", content="one")
    other.conversations.add_message("c", role="user", content="other")

    one.store.save_all()
    report = other.store.save_all(on_conflict=policy)

    assert resolved(report) == {Key("conversations", "c"): "added"}
    assert talk(other) == ["first", "one", "other"]
    one.store.refresh()
    assert talk(one) == ["first", "one", "other"]
    assert one.conversations["c"] == other.conversations["c"]


def test_messages_join_those_of_others_without_all_being_read(talking, monkeypatch):
    one, other = talking
    read = []
    monkeypatch.setattr(other.conversations, "decode", read.append)

    for number in range(3):
        one.conversations.add_message("c", role="user", content=f"one {number}")
        one.store.save_all()
        other.conversations.add_message("c", role="user", content=f"other {number}")
        assert other.store.save_all().resolved
        one.store.refresh()

    assert talk(one) == talk(other)
    assert talk(one)[1:] == [f"{who} {n}" for n in range(3) for who in ("one", "other")]
    assert read == []


def test_conflict_is_settled_though_the_history_is_forgotten(two, monkeypatch):
    one, _ = two()

    def pruned(after):
        raise HistoryPruned(one.store.path, after, 2)

    monkeypatch.setattr(one.store._engine.driver, "changes", pruned)

    report = one.store.save_all(on_conflict="mine")

    assert resolved(report) == {A: "mine"}
    assert stored(one) == {"a": "mine"}


def test_message_that_two_have_added_is_there_once(talking):
    one, other = talking
    message = one.conversations.add_message("c", role="user", content="same")
    one.store.save_all()
    other.conversations.add_messages("c", [message])
    other.conversations.add_message("c", role="user", content="more")

    other.store.save_all()

    assert talk(other) == ["first", "same", "more"]


def test_messages_added_to_a_changed_conversation(talking):
    one, other = talking
    one.conversations.update("c", title="renamed")
    one.store.save_all()
    other.conversations.add_message("c", role="user", content="more")

    other.store.save_all()

    assert (other.conversations["c"].title, talk(other)) == ("renamed", ["first", "more"])


def test_message_is_not_added_to_a_deleted_conversation(talking):
    one, other = talking
    one.conversations.delete("c")
    one.store.save_all()
    other.conversations.add_message("c", role="user", content="more")

    report = other.store.save_all(strict=False)

    assert report.failures[0].error.found == 0
    assert talk(other) == ["first", "more"]


def test_a_changed_title_beside_a_message_is_a_conflict_and_merges(talking):
    one, other = talking
    one.conversations.add_message("c", role="user", content="one")
    one.store.save_all()
    other.conversations.update("c", title="renamed")
    other.conversations.add_message("c", role="user", content="other")

    with pytest.raises(SaveFailed):
        other.store.save_all()
    other.store.save_all(on_conflict="merge")

    assert (other.conversations["c"].title, talk(other)) == ("renamed", ["first", "one", "other"])


def test_messages_added_within_a_transaction(talking):
    one, other = talking
    other.tasks.create("work", id="t")
    other.store.save_all()
    one.conversations.add_message("c", role="user", content="one")
    one.store.save_all()

    with other.store.transaction():
        other.conversations.add_message("c", role="user", content="other")
        other.tasks.update("t", title="done")

    assert talk(other) == ["first", "one", "other"]
    one.store.refresh()
    assert (talk(one), one.tasks["t"].title) == (["first", "one", "other"], "done")


def test_messages_added_within_a_transaction_that_a_refresh_has_overtaken(talking, running):
    """What others have added is in memory before the block is left."""
    one, other = talking

    with other.store.transaction():
        other.conversations.add_message("c", role="user", content="other")
        one.conversations.add_message("c", role="user", content="one")
        one.store.save_all()
        running(other.store.refresh).join()

    assert talk(other) == ["first", "one", "other"]
    assert other.store.unsaved == ()
    one.store.refresh()
    assert talk(one) == ["first", "one", "other"]


@pytest.mark.parametrize("saves", [True, False])
def test_transaction_that_another_thread_has_overtaken_merges_what_is_saved(two, running, saves):
    one, _ = two()
    one.store.save_all(on_conflict="mine")

    def rival():
        one.notes.update("a", text="rival")
        if saves:
            one.store.save_all()

    def change():
        with one.store.transaction(on_conflict="merge"):
            one.notes.update("a", more="within")
            running(rival).join()

    if saves:
        change()
    else:
        with pytest.raises(TransactionFailed):
            change()
    assert one.notes["a"] == Note("a", "rival", "within" if saves else "")
    assert one.store.unsaved == (() if saves else (A,))


# --- transactions ---------------------------------------------------------------------


def test_transaction_that_was_overtaken_is_undone_whole(two):
    one, other = two()
    one.store.load_all(discard=True)
    other.notes.update("a", text="newer")
    other.store.save_all()

    with pytest.raises(TransactionFailed) as raised, one.store.transaction():
        one.notes.create(id="b")
        one.notes.update("a", text="mine")

    assert isinstance(raised.value.failures[0].error, Conflict)
    assert stored(one) == {"a": "newer"}
    assert "b" not in one.notes

    one.store.refresh()
    with one.store.transaction():
        one.notes.update("a", text="mine")
    assert stored(one) == {"a": "mine"}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("mine", Note("a", "base", "mine")), ("merge", Note("a", "theirs", "mine")), ("theirs", None)],
)
def test_transaction_settles_by_its_policy(side, policy, expected):
    one = side()
    one.notes.create(id="a", text="base")
    one.store.save_all()
    other = side()
    other.notes.update("a", text="theirs")
    other.store.save_all()

    def change():
        with one.store.transaction(on_conflict=policy):
            one.notes.update("a", more="mine")
            one.notes.create(id="b")

    if expected is None:
        with pytest.raises(TransactionFailed):
            change()
        assert "b" not in one.notes
        return
    change()
    assert one.notes["a"] == expected
    other.store.refresh()
    assert (other.notes["a"], "b" in other.notes) == (expected, True)


def test_transaction_over_an_unsaved_change_that_was_overtaken(two):
    one, other = two()

    with one.store.transaction(on_conflict="mine"):
        one.notes.update("a", more="within")

    assert one.notes["a"] == Note("a", "mine", "within")
    assert one.store.unsaved == ()
    other.store.refresh()
    assert other.notes["a"] == Note("a", "mine", "within")


def test_unsaved_change_below_a_transaction_that_fails_was_not_made_from_theirs(two):
    """One record could be settled, another not: nothing is as if the first one had been."""
    one, other = two(text="base")
    one.notes.create(id="b", text="base")
    one.store.save_all(on_conflict="theirs")
    other.store.refresh()
    other.notes.update("a", more="theirs")
    other.notes.update("b", text="theirs")
    other.store.save_all()
    one.notes.update("a", text="unsaved")

    with pytest.raises(TransactionFailed), one.store.transaction(on_conflict="merge"):
        one.notes.update("a", text="within")
        one.notes.update("b", text="within")

    assert one.notes["a"].text == "unsaved"
    with pytest.raises(SaveFailed):
        one.store.save_all()
    assert one.store.raw("notes/a")["more"] == "theirs"
    assert {change.key.id for change in one.store.refresh().changes} == {"b"}


@pytest.mark.parametrize("what", ["create", "delete"])
def test_unknown_fields_stay_where_a_transaction_is_settled(side, tmp_path, what):
    @attrs.frozen
    class Longer:
        id: str
        text: str = ""
        more: str = ""
        newer: str = ""

    one = side()
    with Store(tmp_path / "store") as store:
        longer = store.register(Manager("notes", Longer))
        longer.create(id="a", text="theirs", newer="kept")
        store.save_all()
        if what == "delete":
            one.store.refresh()
            longer.delete("a")

    with one.store.transaction(on_conflict="mine"):
        if what == "create":
            one.notes.create(id="a", text="mine")
        else:
            one.notes.update("a", text="mine")

    expected = {"id": "a", "text": "mine", "more": "", "newer": "kept"}
    assert one.store.raw("notes/a") == expected
    one.notes.update("a", text="again")
    one.store.save_all()
    assert one.store.raw("notes/a") == {**expected, "text": "again"}


# --- replace --------------------------------------------------------------------------


def test_replacing_by_what_was_made_from_an_older_record_is_a_conflict(side):
    one = side()
    task = one.tasks.create("first", id="t")
    newer = one.tasks.update("t", title="second")

    with pytest.raises(Conflict) as raised:
        one.tasks.replace(attrs.evolve(task, title="third"))

    assert isinstance(raised.value, StaleRecord)
    assert one.tasks["t"] is newer


def test_what_cannot_be_stored_stays_a_failure_of_its_own(two):
    one, _ = two(text="\ud800")

    report = one.store.save_all(on_conflict="mine", strict=False)

    assert isinstance(report.failures[0].error, EncodeError)
    assert stored(one) == {"a": "theirs"}
