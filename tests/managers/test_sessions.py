"""The operations of the manager of sessions, but for their times and transitions."""

import json
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from statestore import (
    InvalidId,
    InvalidRecord,
    Manager,
    ManagerMissing,
    RecordNotFound,
    SaveFailed,
    SessionActive,
    Store,
    ValidationFailed,
)
from statestore.managers import (
    FocusManager,
    Session,
    SessionLimits,
    SessionManager,
    SessionMode,
    SessionStatus,
    wants_project_and_name,
)
from statestore.managers.sessions.statistics import statistics_of

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.now = MOMENT

    def __call__(self):
        return self.now

    def forward(self, seconds):
        self.now += timedelta(seconds=seconds)


@attrs.frozen
class Other:
    id: str


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sessions(clock):
    return SessionManager(clock=clock)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "state") as store:
        yield store


def ids(records):
    return [one.id for one in records]


def worked_on(sessions, clock, id, seconds, **fields):
    sessions.create(id=id, **fields)
    sessions.start(id)
    clock.forward(seconds)
    return sessions.pause(id)


# --- creating and changing ------------------------------------------------------------


def test_a_new_session_is_paused_and_has_what_it_was_given(sessions):
    made = sessions.create(
        project_id="p",
        name="One",
        description="what for",
        mode="planning",
        context={"a": [1]},
        metadata={"b": 2},
        tags=["x", "y"],
        agent="me",
    )

    assert (made.project_id, made.name, made.description) == ("p", "One", "what for")
    assert (made.mode, made.status) == (SessionMode.PLANNING, SessionStatus.PAUSED)
    assert (made.context, made.metadata) == ({"a": (1,)}, {"b": 2})
    assert (made.tags, made.agent) == (("x", "y"), "me")
    assert (made.started_at, made.ended_at, made.duration_s) == (None, None, 0.0)
    assert made.created_at == made.updated_at == MOMENT
    assert sessions.active is None


REFUSED = {
    "mode": ("dreaming", tuple(SessionMode)),
    "status": ("cancelled", tuple(SessionStatus)),
    "name": ("x" * 1001, ()),
    "project_id": ("x" * 1001, ()),
    "agent": ("x" * 1001, ()),
    "tags": (["ok", "x" * 1001], ()),
    "description": (7, ()),
    "context": ([1], ()),
    "metadata": ("text", ()),
    "duration_s": (-1.0, ()),
    "ended_at": ("yesterday", ()),
    "started_at": (datetime(2026, 1, 1), ()),  # noqa: DTZ001 # a time without a zone
    "mood": ("good", tuple(attrs.fields_dict(Session))),
}


@pytest.mark.parametrize("field", REFUSED)
def test_what_a_field_does_not_take_is_refused_by_its_name(field, store):
    value, allowed = REFUSED[field]
    sessions = store.register(SessionManager())
    before = sessions.create(id="a", name="One")
    store.save_all()

    for operation in (
        lambda: sessions.create(id="b", **{field: value}),
        lambda: sessions.update("a", **{field: value}),
    ):
        with pytest.raises(InvalidRecord) as caught:
            operation()

        assert caught.value.field == field
        assert caught.value.allowed == tuple(str(one) for one in allowed)
        assert field in str(caught.value)
        assert "xxx" not in str(caught.value)
    assert sessions.all() == (before,)
    assert sessions["a"] is before
    assert sessions.unsaved == ()


def test_the_id_of_a_session_stays(sessions):
    before = sessions.create(id="a")

    with pytest.raises(InvalidRecord, match="id of a record cannot be changed"):
        sessions.update("a", id="b")

    assert sessions["a"] is before


def test_other_tags_than_texts_are_refused(sessions):
    for tags in ("text", [1], [None], 7):
        with pytest.raises(InvalidRecord) as caught:
            sessions.create(tags=tags)
        assert caught.value.field == "tags"
    assert sessions.create(tags=(tag for tag in "ab")).tags == ("a", "b")


def test_what_is_long_already_can_be_loaded_and_changed(sessions):
    document = sessions.export_document(sessions.create(id="a"))
    document["data"]["name"] = "x" * 5000

    sessions.import_document(document, id="b")

    assert len(sessions.add_tag("b", "new").name) == 5000


def test_a_host_may_want_a_project_and_a_name_of_every_session(sessions):
    old = sessions.create(id="old", name="One")
    sessions.add_validator(wants_project_and_name)

    assert [problem.field for problem in sessions.validate("old")] == ["project_id"]
    for fields in ({}, {"project_id": "p"}, {"name": "One"}):
        with pytest.raises(ValidationFailed):
            sessions.create(**fields)
    for operation in (sessions.start, sessions.complete, sessions.focus_chain):
        with pytest.raises((ValidationFailed, ManagerMissing)):
            operation("old")
    document = sessions.export_document("old")
    with pytest.raises(ValidationFailed):
        sessions.import_document(document, id="new")
    assert sessions.all() == (old,)
    assert sessions["old"] is old
    good = sessions.create(project_id="p", name="One")
    assert sessions.validate(good.id) == ()
    assert sessions.start(good).is_active


def test_every_operation_refuses_an_unknown_id(sessions):
    operations = [
        lambda: sessions.start("x"),
        lambda: sessions.resume("x"),
        lambda: sessions.pause("x"),
        lambda: sessions.complete("x"),
        lambda: sessions.fail("x", "why"),
        lambda: sessions.touch("x"),
        lambda: sessions.duration_s("x"),
        lambda: sessions.delete("x"),
        lambda: sessions.delete("x", force=True, with_chain=True),
        lambda: sessions.add_tag("x", "tag"),
        lambda: sessions.remove_tag("x", "tag"),
        lambda: sessions.has_tag("x", "tag"),
        lambda: sessions.set_context("x", "key", 1),
        lambda: sessions.get_context("x", "key"),
        lambda: sessions.remove_context("x", "key"),
        lambda: sessions.set_metadata("x", "key", 1),
        lambda: sessions.get_metadata("x", "key"),
        lambda: sessions.remove_metadata("x", "key"),
        lambda: sessions.focus_chain("x"),
        lambda: sessions.export_document("x"),
    ]
    for operation in operations:
        with pytest.raises(RecordNotFound):
            operation()


def test_why_a_session_failed_is_kept(sessions):
    sessions.create(id="a")
    sessions.create(id="b")

    assert sessions.fail("a", "no more money").failure_reason == "no more money"
    assert sessions.fail("b").failure_reason is None
    with pytest.raises(InvalidRecord) as caught:
        sessions.fail(sessions.create(), 7)
    assert caught.value.field == "failure_reason"


# --- tags, context, metadata ----------------------------------------------------------


def test_tags_are_added_once_and_removed(sessions):
    sessions.create(id="a", tags=["x"])

    assert sessions.add_tag("a", "y").tags == ("x", "y")
    before = sessions["a"]
    assert sessions.add_tag("a", "x") is before
    assert sessions.has_tag("a", "x")
    assert not sessions.has_tag("a", "X")
    assert sessions.remove_tag("a", "x").tags == ("y",)
    before = sessions["a"]
    assert sessions.remove_tag("a", "x") is before
    for tag in ("", "x" * 1001, None, 7):
        with pytest.raises(InvalidRecord) as caught:
            sessions.add_tag("a", tag)
        assert caught.value.field == "tags"
    assert sessions["a"] is before


@pytest.mark.parametrize("field", ["context", "metadata"])
def test_values_of_the_host_are_set_one_by_one(sessions, field):
    def do(operation, *args):
        return getattr(sessions, f"{operation}_{field}")("a", *args)

    sessions.create(id="a", **{field: {"old": 1}})
    value = {"list": [1, None]}

    after = do("set", "new", value)
    value["list"].append(2)

    assert getattr(after, field) == {"old": 1, "new": {"list": (1, None)}}
    assert do("get", "new") == {"list": (1, None)}
    assert do("get", "none") is None
    assert do("get", "none", 7) == 7
    assert do("set", "old", 1) is after
    assert getattr(do("set", "old", True), field)["old"] is True
    assert list(getattr(do("remove", "old"), field)) == ["new"]
    before = sessions["a"]
    assert do("remove", "old") is before


@pytest.mark.parametrize("field", ["context", "metadata"])
def test_a_value_that_cannot_be_stored_is_refused_at_once(sessions, field):
    circle = {}
    circle["again"] = circle
    before = sessions.create(id="a")
    for key, value in (
        ("k", float("nan")),
        ("k", object()),
        ("k", {"deep": {1, 2}}),
        ("k", 1 << 70),
        ("k", "\ud800"),
        ("k", circle),
        (7, "value"),
        (None, "value"),
    ):
        with pytest.raises(InvalidRecord) as caught:
            getattr(sessions, f"set_{field}")("a", key, value)
        assert caught.value.field == field
        assert field in str(caught.value)
    assert sessions["a"] is before


# --- finding --------------------------------------------------------------------------


@pytest.fixture
def filled(sessions, clock):
    """Four sessions: made in the order c, a, d, b."""
    for id, fields in {
        "c": {"project_id": "p", "name": "Straße", "mode": "planning", "tags": ["x"]},
        "a": {"project_id": "q", "name": "Second", "mode": "testing", "tags": ["x", "y"]},
        "d": {"project_id": "p", "name": "seCOND Try", "mode": "testing"},
        "b": {"name": ""},
    }.items():
        sessions.create(id=id, **fields)
        clock.forward(1)
    return sessions


def test_sessions_are_found_by_what_they_have_oldest_first(filled):
    filled.start("d")
    filled.fail("a")

    assert ids(filled.by_project("p")) == ["c", "d"]
    assert ids(filled.by_project("")) == ["b"]
    assert ids(filled.by_mode("testing")) == ids(filled.by_mode(SessionMode.TESTING)) == ["a", "d"]
    assert ids(filled.by_status("paused")) == ["c", "b"]
    assert ids(filled.by_status(SessionStatus.ACTIVE)) == ["d"]
    assert ids(filled.by_tag("x")) == ["c", "a"]
    assert filled.by_tag("X") == ()
    assert ids(filled.find("SECOND")) == ["a", "d"]
    assert ids(filled.find("STRASSE")) == ["c"]
    assert ids(filled.find("")) == ["c", "a", "d", "b"]


def test_the_order_is_the_same_after_a_load(filled, tmp_path):
    with Store(tmp_path) as store:
        sessions = store.register(SessionManager())
        for one in reversed(filled.all()):
            sessions.add(one)

        assert ids(sessions.find("")) == ["c", "a", "d", "b"]


def test_there_are_no_other_modes_and_statuses(sessions):
    for operation, choices in (
        (sessions.by_mode, SessionMode),
        (sessions.by_status, SessionStatus),
    ):
        with pytest.raises(InvalidRecord) as caught:
            operation("dreaming")
        assert caught.value.allowed == tuple(one.value for one in choices)
        assert "dreaming" not in str(caught.value)


def test_recent_ones_are_those_changed_last(filled, clock):
    clock.forward(1)
    filled.add_tag("c", "new")

    assert ids(filled.recent(3)) == ["c", "b", "d"]
    assert ids(filled.recent()) == ["c", "b", "d", "a"]
    assert filled.recent(0) == ()
    for most in (-1, 1.5, True, None):
        with pytest.raises(InvalidRecord):
            filled.recent(most)


def test_counts(filled):
    filled.start("d")
    filled.complete("a")

    assert filled.count() == 4
    assert filled.count_by_status() == {"paused": 2, "active": 1, "completed": 1, "failed": 0}


def test_figures(filled, clock):
    filled.start("a")
    clock.forward(10)
    filled.complete("a")
    filled.start("c")
    clock.forward(20)
    filled.fail("c")
    filled.start("d")
    clock.forward(5)

    figures = filled.statistics()

    assert figures.total == 4
    assert figures.by_status == {"paused": 1, "active": 1, "completed": 1, "failed": 1}
    assert figures.by_mode == dict.fromkeys(SessionMode, 0) | {
        "planning": 1,
        "testing": 2,
        "building": 1,
    }
    assert figures.by_project == {"": 1, "p": 2, "q": 1}
    assert figures.active_s == 35.0
    assert figures.average_s == 15.0


def test_figures_of_nothing():
    figures = statistics_of((), MOMENT, "")

    assert (figures.total, figures.active_s, figures.average_s) == (0, 0.0, None)
    assert set(figures.by_status) == set(SessionStatus)
    assert figures.by_project == {}


# --- the history ----------------------------------------------------------------------


def ended(sessions, clock, *names):
    for id in reversed(names):
        sessions.create(id=id)
        clock.forward(1)
    for number, id in enumerate(names):
        (sessions.fail if number % 2 else sessions.complete)(id)
        clock.forward(1)


def test_without_a_limit_all_that_ended_stay(sessions, clock):
    ended(sessions, clock, *"abc")

    assert sessions.limits == SessionLimits(max_history=None)
    assert sessions.trim() == ()
    assert len(sessions) == 3


def test_those_that_ended_first_go_when_another_ends(clock):
    sessions = SessionManager(clock=clock, limits=SessionLimits(max_history=2))
    sessions.create(id="rests")
    sessions.create(id="runs")
    sessions.start("runs")

    ended(sessions, clock, "d", "c", "b", "a")

    assert ids(sessions) == ["rests", "runs", "a", "b"]


def test_a_failed_one_stays_as_long_as_a_completed_one(sessions, clock):
    ended(sessions, clock, "good")
    sessions.fail(sessions.create(id="bad"), "why")
    clock.forward(1)
    sessions.set_limits(max_history=1)

    assert ids(sessions.trim()) == ["good"]
    assert sessions["bad"].ended_at is not None


def test_the_session_that_ends_may_be_the_first_to_go(sessions):
    sessions.set_limits(max_history=0)
    sessions.create(id="a")

    assert sessions.complete("a").status is SessionStatus.COMPLETED
    assert "a" not in sessions


def test_a_limit_that_is_no_number_is_refused(sessions):
    for value in (-1, 1.5, "many"):
        with pytest.raises(InvalidRecord):
            sessions.set_limits(max_history=value)
    assert sessions.limits.max_history is None


def test_ending_and_trimming_are_one_commit(tmp_path, clock):
    with Store(tmp_path, autosave="on-change") as store:
        sessions = store.register(SessionManager(clock=clock))
        sessions.set_limits(max_history=1)
        ended(sessions, clock, "a")
        sessions.create(id="b")
        saved = []
        store.on_save(saved.append)

        sessions.complete("b")

        assert [(report.items, report.deleted) for report in saved] == [(1, 1)]


# --- focus chains ---------------------------------------------------------------------


def test_the_chain_of_a_session_is_made_once_and_kept_where_chains_are(store, tmp_path):
    sessions, chains = store.register(SessionManager()), store.register(FocusManager())
    sessions.create(id="a", name="One")

    chain = sessions.focus_chain("a")

    assert chains.all() == (chain,)
    assert (chain.id, chain.session_id, chain.name) == ("session-a", "a", "One")
    assert sessions["a"].focus_chain_id == "session-a"
    chains.push(chain, type="file", target="a.py")
    assert sessions.focus_chain(sessions["a"]) is chains["session-a"]
    store.save_all()
    store.flush()
    stored = json.loads((tmp_path / "state" / "sessions" / "a.json").read_text())
    assert "a.py" not in json.dumps(stored)
    files = [one.name for one in (tmp_path / "state" / "focus").iterdir()]
    assert files == ["session-a.json"]


def test_the_chain_is_the_same_after_a_restart(tmp_path):
    for _ in range(2):
        with Store(tmp_path) as store:
            sessions, chains = store.register(SessionManager()), store.register(FocusManager())
            store.load_all(strict=True)
            if not len(sessions):
                sessions.create(id="a")
            chains.push(sessions.focus_chain("a"), type="file", target="a.py")
            pushed = len(chains["session-a"].focuses)

    assert pushed == 2


def test_a_session_may_name_a_chain_itself(store):
    sessions, chains = store.register(SessionManager()), store.register(FocusManager())
    own = chains.create("Mine", id="mine")
    sessions.create(id="a", focus_chain_id="mine")
    sessions.create(id="b", focus_chain_id="later")

    assert sessions.focus_chain("a") is own
    assert sessions.focus_chain("b").id == "later"


def test_an_id_that_is_too_long_for_a_chain_changes_nothing(store):
    sessions, chains = store.register(SessionManager()), store.register(FocusManager())
    before = sessions.create(id="x" * 1020)

    with pytest.raises(InvalidId):
        sessions.focus_chain(before)

    assert sessions[before] is before
    assert len(chains) == 0


def test_a_chain_that_is_gone_is_made_anew(store):
    sessions, chains = store.register(SessionManager()), store.register(FocusManager())
    sessions.create(id="a")
    sessions.focus_chain("a")
    chains.delete("session-a")

    assert sessions.focus_chain("a").focuses == ()
    assert "session-a" in chains


def test_a_chain_that_another_thread_makes_meanwhile_is_the_one():
    class Late(FocusManager):
        def get(self, id, default=None):
            if not len(self):
                self.create("by the other", id=id)
                return None
            return super().get(id, default)

    chains = Late()
    sessions = SessionManager(chains=chains)
    sessions.create(id="a")

    assert sessions.focus_chain("a").name == "by the other"
    assert sessions["a"].focus_chain_id == "session-a"


def test_a_manager_without_a_store_is_given_the_chains():
    chains = FocusManager()
    sessions = SessionManager(chains=chains)
    sessions.create(id="a")

    assert sessions.focus_chain("a") is chains["session-a"]


def test_without_a_manager_of_chains_there_is_none(store):
    alone = SessionManager()
    beside = store.register(SessionManager())
    store.register(Manager("focus", Other))
    for sessions in (alone, beside):
        before = sessions.create(id="a")
        with pytest.raises(ManagerMissing, match=r"register\(FocusManager\(\)\)"):
            sessions.focus_chain("a")
        with pytest.raises(ManagerMissing):
            sessions.delete("a", with_chain=True)
        assert sessions["a"] is before


def test_a_chain_is_a_part_of_the_transaction_that_asks_for_it(store):
    sessions, chains = store.register(SessionManager()), store.register(FocusManager())
    before = sessions.create(id="a")

    def ask():
        with store.transaction():
            sessions.focus_chain("a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask()

    assert sessions["a"] is before
    assert len(chains) == 0


def test_a_session_is_deleted_with_its_chain_if_that_is_asked_for(store):
    sessions, chains = store.register(SessionManager()), store.register(FocusManager())
    for id in ("a", "b", "none"):
        sessions.create(id=id)
    sessions.focus_chain("a")
    sessions.focus_chain("b")
    sessions.start("b")

    sessions.delete("a")
    assert ids(chains) == ["session-a", "session-b"]
    with pytest.raises(SessionActive):
        sessions.delete("b", with_chain=True)
    assert ids(chains) == ["session-a", "session-b"]
    sessions.delete("b", force=True, with_chain=True)
    sessions.delete("none", with_chain=True)

    assert ids(chains) == ["session-a"]
    assert len(sessions) == 0


# --- events ---------------------------------------------------------------------------


def heard(manager):
    told = []
    manager.on("*", lambda event: told.append((event.name, event.id, dict(event.details))))
    return told


def test_what_happens_to_sessions_is_told(sessions, clock):
    told = heard(sessions)
    sessions.create(id="a")
    sessions.create(id="b")
    sessions.start("a")
    clock.forward(10)
    sessions.start("b")
    sessions.pause("b")
    sessions.resume("b")
    sessions.complete("b")
    sessions.fail("a", "why")
    sessions.delete("a")

    assert [one for one in told if one[0] != "updated"] == [
        ("created", "a", {}),
        ("created", "b", {}),
        ("started", "a", {}),
        ("paused", "a", {"duration_s": 10.0}),
        ("started", "b", {}),
        ("switched", "b", {"from": "a"}),
        ("paused", "b", {"duration_s": 0.0}),
        ("resumed", "b", {}),
        ("completed", "b", {"duration_s": 0.0}),
        ("failed", "a", {"duration_s": 10.0, "reason": "why"}),
        ("deleted", "a", {}),
    ]
    assert set(sessions.event_names) >= {one[0] for one in told}


def test_what_happens_is_told_however_it_is_done(sessions):
    told = heard(sessions)
    sessions.create(id="a", status="active")
    sessions.update("a", status="paused")
    sessions.modify("a", lambda one: attrs.evolve(one, status="failed", failure_reason="why"))

    assert [one[0] for one in told if one[0] != "updated"] == [
        "created",
        "started",
        "paused",
        "failed",
    ]


def test_a_session_that_is_taken_over_and_its_chain_are_told(tmp_path):
    with Store(tmp_path, autosave="on-change") as store:
        sessions = store.register(SessionManager())
        sessions.create(id="a")
        sessions.start("a")
    with Store(tmp_path, autosave="on-change") as store:
        sessions = store.register(SessionManager())
        store.register(FocusManager())
        store.load_all(strict=True)
        told = heard(sessions)
        sessions.resume("a")
        sessions.focus_chain("a")
        sessions.add_tag("a", "x")

    assert [one for one in told if one[0] != "updated"] == [
        ("resumed", "a", {}),
        ("focus_chain_set", "a", {"focus_chain_id": "session-a"}),
    ]


def test_what_others_have_done_is_told(tmp_path):
    with Store(tmp_path, autosave="on-change") as one, Store(tmp_path) as other:
        mine, theirs = one.register(SessionManager()), other.register(SessionManager())
        mine.create(id="a")
        other.load_all(strict=True)
        told = heard(theirs)
        mine.start("a")
        other.refresh()

    assert [name for name, *_ in told] == ["updated", "started"]


# --- in a store -----------------------------------------------------------------------


def test_a_transaction_that_fails_undoes_a_switch(store, clock):
    sessions = store.register(SessionManager(clock=clock))
    sessions.create(id="a")
    sessions.create(id="b")
    first = sessions.start("a")
    clock.forward(10)

    def switch():
        with store.transaction():
            sessions.start("b")
            assert sessions.active.id == "b"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        switch()

    assert sessions.active is sessions["a"] is first
    assert sessions.duration_s("a") == 10.0


def test_all_sessions_are_removed_whatever_their_status(store):
    sessions = store.register(SessionManager())
    sessions.create(id="a")
    sessions.start("a")
    store.save_all()

    assert sessions.delete_all() == 1
    assert store.save_all().deleted == 1
    assert sessions.active is None


@pytest.mark.parametrize("end", ["complete", "fail"])
def test_a_session_that_has_ended_is_exported_with_all_its_fields(sessions, clock, end):
    worked_on(sessions, clock, "a", 10, tags=["x"], context={"k": [1]}, agent="me")
    gone = getattr(sessions, end)("a")
    there = SessionManager()

    copy = there.import_document(json.loads(json.dumps(sessions.export_document("a"))))

    assert copy == gone
    assert (copy.ended_at, copy.duration_s) == (clock.now, 10.0)


@pytest.mark.parametrize("wrong", [None, 5, b"x", [], {}, [[]]], ids=ascii)
def test_key_or_text_that_is_none_is_refused_by_name(wrong):
    sessions = SessionManager()
    before = sessions.create(id="s", context={"k": 1}, metadata={"k": 1})

    for field in ("context", "metadata"):
        for act in ("get", "remove"):
            with pytest.raises(InvalidRecord) as refused:
                getattr(sessions, f"{act}_{field}")("s", wrong)
            assert refused.value.field == field
        with pytest.raises(InvalidRecord) as refused:
            getattr(sessions, f"set_{field}")("s", wrong, 1)
        assert refused.value.field == field
    with pytest.raises(InvalidRecord) as refused:
        sessions.find(wrong)
    assert refused.value.field == "text"
    assert sessions["s"] is before


def test_tags_are_taken_as_they_are_in_whatever_they_come(sessions):
    made = sessions.create(id="s", tags=iter(["a", "b", "a"]))
    assert made.tags == ("a", "b", "a")
    assert sessions.update("s", tags=iter(["c"])).tags == ("c",)

    for wrong in (["a", "x" * 1001], iter(["x" * 1001])):
        with pytest.raises(InvalidRecord) as refused:
            sessions.update("s", tags=wrong)
        assert refused.value.field == "tags"
    assert sessions["s"].tags == ("c",)


def test_tag_is_added_beside_those_that_no_operation_would_take(sessions):
    sessions.add(Session("s", tags=("", "x" * 1001)))

    assert sessions.add_tag("s", "a").tags == ("", "x" * 1001, "a")
    assert sessions.remove_tag("s", "").tags == ("x" * 1001, "a")


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_session_that_is_made_as_an_ended_one_tells_when(status):
    sessions = SessionManager(clock=lambda: MOMENT)

    assert sessions.create(status=status).ended_at == MOMENT
    before = MOMENT - timedelta(days=1)
    assert sessions.create(status=status, ended_at=before).ended_at == before


def test_copy_of_a_session_has_a_focus_chain_of_its_own(store):
    sessions, chains = store.register(SessionManager()), store.register(FocusManager())
    sessions.create(id="s", name="One")
    chain = sessions.focus_chain("s")

    copy = sessions.import_document(sessions.export_document("s"), id="copy")

    assert copy.focus_chain_id is None
    assert sessions.focus_chain("copy").id == "session-copy"
    sessions.delete("copy", with_chain=True)
    assert chains.ids() == (chain.id,)
    moved = sessions.export_document("s")
    sessions.delete("s")
    assert sessions.import_document(moved).focus_chain_id == chain.id


def test_session_that_ends_and_goes_at_once_is_told_of_as_both():
    sessions = SessionManager(limits={"max_history": 0})
    told = []
    sessions.create(id="s")
    sessions.on("*", lambda event: told.append((event.name, dict(event.details))))

    sessions.fail("s", "no power")

    assert "s" not in sessions
    assert [name for name, _ in told] == ["deleted", "failed"]
    assert told[1][1]["reason"] == "no power"


def test_chain_that_two_processes_make_for_a_session_is_one_with_what_both_have_in_it(tmp_path):
    def opened():
        store = Store(tmp_path / "state", on_conflict="merge")
        managers = store.register(SessionManager()), store.register(FocusManager())
        store.load_all()
        return store, *managers

    with Store(tmp_path / "state") as store:
        store.register(SessionManager()).create(id="s", name="One")
    here, sessions, chains = opened()
    there, others, other_chains = opened()
    with here, there:
        for own, its, target in ((sessions, chains, "a"), (others, other_chains, "b")):
            its.push(own.focus_chain("s").id, type="file", target=target)
        there.save_all()
        here.save_all()
        there.refresh()

        both = chains[sessions.focus_chain("s").id]
        assert sorted(one.target for one in both.focuses) == ["a", "b"]
        assert both == other_chains[both.id]
        assert here.unsaved == there.unsaved == ()


def test_chain_of_a_host_s_own_that_two_processes_make_stays_a_conflict(tmp_path):
    with Store(tmp_path / "state") as here, Store(tmp_path / "state") as there:
        here.register(FocusManager()).create("Mine", id="c", session_id="s")
        there.register(FocusManager()).create("Other", id="c", session_id="s")
        there.save_all()
        with pytest.raises(SaveFailed):
            here.save_all(on_conflict="merge")
        here.save_all(on_conflict="mine")
