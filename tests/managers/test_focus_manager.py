"""Focus chains as wholes: the active one, limits, queries, transfer, events, several processes."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from statestore import (
    DuplicateId,
    InvalidRecord,
    NothingActive,
    RecordNotFound,
    SaveFailed,
    Store,
)
from statestore.managers import Focus, FocusChain, FocusLimits, FocusManager, FocusStatistics

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.now = MOMENT

    def __call__(self):
        return self.now

    def forward(self, **parts):
        self.now += timedelta(**parts)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def chains(clock):
    return FocusManager(clock=clock)


def names(chains):
    return [one.name for one in chains]


# --- the active chain -----------------------------------------------------------------


def test_one_chain_is_active_at_most(chains):
    a, b = chains.create("a"), chains.create("b")
    assert chains.active is None

    assert chains.activate(a) == chains.active == chains[a.id]
    assert chains.activate(b.id).name == "b"

    assert chains.active.name == "b"
    assert [one.activated_at is None for one in chains] == [True, False]
    active = chains.active
    assert chains.activate(b) is active  # once more is no change


def test_chain_can_be_made_active_at_once(chains):
    a = chains.create("a", active=True)
    b = chains.create("b", active=True)
    c = chains.create("c")

    assert chains.active == b
    assert chains[a.id].activated_at is None
    assert c.activated_at is None
    chains.add(attrs.evolve(c, id="d", activated_at=MOMENT - timedelta(days=1)))
    assert chains.active.id == "d"


def test_clock_that_goes_back_does_not_bring_the_old_one_back(chains, clock):
    a, b = chains.create("a", active=True), chains.create("b")
    clock.forward(hours=-1)

    now = chains.activate(b)

    assert chains.active == now
    assert now.activated_at > a.activated_at


def test_without_the_active_chain_none_is_active(chains):
    a, b = chains.create("a", active=True), chains.create("b")

    assert chains.deactivate().id == a.id
    assert chains.active is None
    assert chains.deactivate() is None
    chains.activate(b)
    chains.delete(b)
    assert chains.active is None
    with pytest.raises(RecordNotFound):
        chains.activate(b)


@pytest.mark.parametrize("autosave", ["manual", "on-change"])
def test_active_chain_and_its_pointer_survive_a_restart(tmp_path, autosave):
    with Store(tmp_path, autosave=autosave) as store:
        chains = store.register(FocusManager())
        chains.create("a", id="a", active=True)
        chains.create("b", id="b")
        chains.activate("b")
        chains.push("b", id="1")
        chains.push("b", id="2")
        chains.previous("b")
        store.save_all()
        kept = chains.all()
    with Store(tmp_path) as store:
        chains = store.register(FocusManager())
        store.load_all(strict=True)
        assert sorted(chains, key=lambda one: one.id) == sorted(kept, key=lambda one: one.id)
        assert chains.active.id == "b"
        assert chains.current_focus.id == "1"


def test_activation_is_one_commit_on_change():
    store = Store("memory:", autosave="on-change")
    chains = store.register(FocusManager())
    chains.create("a", id="a", active=True)
    chains.create("b", id="b")
    heard = []
    store.on_save(heard.append)

    chains.activate("b")

    assert [report.items for report in heard] == [2]
    assert [chains.revision(id) for id in ("a", "b")] == [2, 2]
    assert chains.unsaved == ()


def test_focus_is_pushed_to_the_active_chain(chains):
    with pytest.raises(NothingActive, match="activate"):
        chains.push_to_active(target="x")
    assert chains.current_focus is None
    chains.create("a", active=True, id="a")
    chains.create("b")

    focus = chains.push_to_active(type="file", target="x", priority="high")

    assert chains["a"].focuses == (focus,)
    assert chains.current_focus == focus
    with pytest.raises(InvalidRecord, match="already"):
        chains.push_to_active(id=focus.id)


def test_transaction_that_fails_leaves_the_active_chain_as_it_was(tmp_path):
    with Store(tmp_path) as store:
        chains = store.register(FocusManager(limits=FocusLimits(max_chains=2)))
        chains.create("a", id="a", active=True)
        chains.create("b", id="b")
        store.save_all()
        before = chains.all()

        def change_and_fail():
            chains.push("a", id="1")
            chains.activate("b")
            chains.merge("b", "a")
            chains.create("c")
            assert "a" not in chains
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), store.transaction():
            change_and_fail()

        assert chains.all() == before
        assert chains.active.id == "a"
        with store.transaction():
            chains.push("a", id="1")
            chains.merge("b", "a")
            chains.activate("b")
        assert chains.active.id == "b"
        assert [one.id for one in chains["b"].focuses] == ["1"]
        assert chains.unsaved == ()


# --- limits ---------------------------------------------------------------------------


def test_oldest_chain_that_is_not_active_goes_when_there_are_too_many(chains, clock):
    chains.set_limits(max_chains=3)
    for name in "abc":
        chains.create(name, id=name)
        clock.forward(seconds=1)
    chains.activate("a")
    chains.push("b")  # by its making it is still the oldest

    chains.create("d")
    assert names(chains) == ["a", "c", "d"]
    chains.create("e", active=True)
    assert names(chains) == ["c", "d", "e"]  # a is not active any more, and the oldest


def test_room_is_made_in_the_same_step(tmp_path):
    with Store(tmp_path, autosave="on-change") as store:
        chains = store.register(FocusManager(limits=FocusLimits(max_chains=1)))
        chains.create("a", id="a")
        heard = []
        chains.on("*", lambda event: heard.append((event.name, event.id, dict(event.details))))

        chains.create("b", id="b")

        assert set(map(str, (one.key for one in store.scan("focus")))) == {"focus/b"}
        assert ("trimmed", "a", {"max_chains": 1}) in heard
    with Store(tmp_path) as store:
        chains = store.register(FocusManager())
        store.load_all(strict=True)
        assert chains.ids() == ("b",)


def test_what_leaves_no_room_is_refused(chains):
    chains.set_limits(max_chains=1)
    active = chains.create("a", id="a", active=True, focuses=[Focus(), Focus()])
    other = FocusManager()
    document = other.export_document(other.create("x"))

    for call in (
        lambda: chains.create("b"),
        lambda: chains.add(FocusChain("b")),
        lambda: chains.split("a", 1),
        lambda: chains.import_document(document),
    ):
        with pytest.raises(InvalidRecord, match="raise it") as error:
            call()
        assert error.value.field == "max_chains"

    assert chains.all() == (active,)
    chains.create("b", active=True)
    assert names(chains) == ["b"]


def test_new_chains_get_the_size_of_the_limits(chains):
    assert chains.create().max_size == 0
    chains.set_limits(max_size=2)

    assert chains.create("by the limits").max_size == 2
    assert chains.create("of its own", max_size=7).max_size == 7
    assert chains.create("without", max_size=0).max_size == 0


@pytest.mark.parametrize(
    "limits", [{"max_chains": 0}, {"max_size": True}, {"max_size": -1}, {"x": 1}]
)
def test_limits_that_make_no_sense_are_refused(chains, limits):
    with pytest.raises(InvalidRecord):
        chains.set_limits(**limits)

    assert chains.limits == FocusLimits() == FocusLimits(max_chains=None, max_size=None)


# --- queries --------------------------------------------------------------------------


def test_chains_are_found(chains, clock):
    for name, session_id in (("Straße", "s"), ("other", None), ("STRASSE 2", "s")):
        chains.create(name, session_id=session_id)
        clock.forward(seconds=1)
    chains.push(chains.find("Straße")[-1])

    assert [one.name for one in chains.find("strasse")] == ["Straße", "STRASSE 2"]
    assert chains.find("nothing") == ()
    assert [one.name for one in chains.recent_chains(2)] == ["Straße", "STRASSE 2"]
    assert len(chains.recent_chains()) == 3
    assert [one.name for one in chains.by_session("s")] == ["Straße", "STRASSE 2"]
    with pytest.raises(InvalidRecord):
        chains.find(5)
    with pytest.raises(InvalidRecord):
        chains.recent_chains(-1)


def test_statistics_count_all_focuses(chains):
    assert chains.statistics() == FocusStatistics(0, 0, 0.0, has_active=False, by_type={})
    chains.create("a", id="a", active=True)
    chains.create("b")
    chains.push("a", type="file", id="1")
    chains.add_child("a", "1", type="function")
    chains.push("a", type="file")

    assert chains.statistics() == FocusStatistics(
        2, 3, 1.5, has_active=True, by_type={"file": 2, "function": 1}
    )


# --- transfer -------------------------------------------------------------------------


def test_no_field_is_lost_by_export_and_import(clock):
    here, there = FocusManager(clock=clock), FocusManager()
    focus = Focus(
        id="1",
        type="t",
        target="x",
        description="d",
        priority=7,
        tags=["t"],
        context={"a": [1]},
        metadata={"b": None},
        created_at=MOMENT,
        updated_at=MOMENT,
        expires_at=MOMENT,
        extra={"unknown": 1},
    )
    chain = here.create(
        "name",
        description="d",
        session_id="s",
        max_size=5,
        current_id="2",
        context={"a": 1},
        metadata={"b": 2},
        extra={"more": {}},
        focuses=[attrs.evolve(focus, id="2", children=(focus,))],
    )
    defaults = {"activated_at"}
    for record in (focus, chain):
        blank = type(record)(id=record.id)
        for field in attrs.fields(type(record)):
            if field.name not in {"id", "children", *defaults}:
                assert getattr(record, field.name) != getattr(blank, field.name), field.name

    assert there.import_document(here.export_document(chain)) == chain


def test_imported_chain_is_active_only_if_that_is_asked_for(chains):
    other = FocusManager()
    document = other.export_document(other.create("x", id="x", active=True))
    mine = chains.create("mine", active=True)

    assert chains.import_document(document).activated_at is None
    assert chains.active == mine
    with pytest.raises(DuplicateId):
        chains.import_document(document)
    assert chains.import_document(document, id="y", activate=True).id == "y"
    assert chains.active.id == "y"
    chains.push("y")
    replaced = chains.import_document(document, id="y", replace=True)
    assert chains.active == replaced
    assert (replaced.name, replaced.focuses) == ("x", ())
    fresh = chains.import_document(document, id="z")
    assert chains.import_document(document, id="z", replace=True) is fresh


def test_import_with_one_id_for_two_focuses_is_refused(chains):
    other = FocusManager()
    document = other.export_document(other.create("x", focuses=[Focus(id="1"), Focus(id="2")]))
    document["data"]["focuses"][1]["id"] = "1"

    with pytest.raises(InvalidRecord, match="one id"):
        chains.import_document(document)

    assert len(chains) == 0


def test_chain_of_an_older_version_is_read(chains):
    other = FocusManager()
    document = other.export_document(other.create("old", id="old", focuses=[Focus(id="1")]))
    del document["data"]["activated_at"]

    assert chains.import_document(document) == other["old"]


# --- chains of sessions ---------------------------------------------------------------


def test_chain_of_a_session_is_there_once(tmp_path):
    with Store(tmp_path) as store:
        chains = store.register(FocusManager())
        chain = chains.create("First", id="session-s1", session_id="s1")
        chains.push(chain, target="x")
        store.save_all()
        with pytest.raises(DuplicateId):
            chains.create("First", id="session-s1", session_id="s1")
    found = [path for path in tmp_path.rglob("session-s1*") if ".statestore" not in path.parts]
    assert [path.parent.name for path in found] == ["focus"]
    with Store(tmp_path) as store:
        chains = store.register(FocusManager())
        store.load_all(strict=True)
        assert [one.id for one in chains.by_session("s1")] == ["session-s1"]
        assert len(chains["session-s1"].focuses) == 1


# --- events ---------------------------------------------------------------------------


@pytest.fixture
def told(chains):
    """Return what is told, without the names that every kind has."""
    heard = []

    def hear(event):
        if event.name not in ("created", "updated", "deleted"):
            heard.append((event.name, *event.details.values()))

    chains.on("*", hear)
    return heard


def test_each_operation_is_told_by_its_name(chains, clock, told):
    def taken():
        heard = list(told)
        told.clear()
        return heard

    chains.create("c", id="c", active=True)
    assert taken() == [("activated",)]
    chains.push("c", id="1")
    assert taken() == [("pushed", "1"), ("current_changed", "1", None)]
    chains.push("c", id="2", ttl_s=1)
    chains.previous("c")
    assert taken() == [
        ("pushed", "2"),
        ("current_changed", "2", "1"),
        ("current_changed", "1", "2"),
    ]
    chains.add_child("c", "1", id="below")
    assert taken() == [("focus_changed", "1")]
    clock.forward(seconds=5)
    chains.clean_expired()
    assert taken() == [("expired", "2")]
    chains.push("c", id="3")
    chains.push("c", id="4")
    taken()
    chains.pop("c")
    assert taken() == [("popped", "4"), ("current_changed", "3", "4")]
    chains.remove("c", "1")
    assert taken() == [("removed", "1")]
    chains.create("s", id="s")
    chains.push("s", id="5")
    taken()
    chains.merge("c", "s")
    assert taken() == [("pushed", "5"), ("merged", "s", ("5",))]
    chains.split("c", 1, id="t")
    assert taken() == [("popped", "5"), ("split", "t", 1)]
    chains.activate("t")
    assert taken() == [("deactivated",), ("activated",)]
    chains.delete("t")
    assert taken() == [("deactivated",)]
    assert {"pushed", "popped", "split"} <= set(chains.event_names)


def test_focus_that_goes_for_the_size_is_told(chains, told):
    chains.create("c", id="c", max_size=1)
    chains.push("c", id="1")
    told.clear()

    chains.push("c", id="2")

    assert told == [("removed", "1"), ("pushed", "2"), ("current_changed", "2", "1")]


def test_what_another_process_has_done_is_told_by_the_same_names(tmp_path):
    with Store(tmp_path, "on-change") as store, Store(tmp_path, "on-change") as other:
        chains, theirs = store.register(FocusManager()), other.register(FocusManager())
        chains.create("c", id="c")
        for one in (store, other):
            one.load_all()
        heard = []
        chains.on("*", lambda event: heard.append((event.name, *event.details.values())))

        theirs.push("c", id="1")
        theirs.activate("c")
        store.refresh()

        assert [one for one in heard if one[0] != "updated"] == [
            ("pushed", "1"),
            ("current_changed", "1", None),
            ("activated",),
        ]
        assert chains.active == theirs.active


# --- several processes ----------------------------------------------------------------


@pytest.fixture(params=["manual", "on-change"])
def two(request, tmp_path):
    """Return two managers of one store, and what saves the changes of one of them."""
    with Store(tmp_path, request.param) as one, Store(tmp_path, request.param) as two:
        mine, theirs = one.register(FocusManager()), two.register(FocusManager())
        mine.create("c", id="c", max_size=4)
        mine.push("c", id="0")
        one.save_all()
        for store in (one, two):
            store.load_all()
        yield mine, theirs, {mine: one, theirs: two}
        for store in (one, two):
            store.load_all(discard=True)


def test_what_two_processes_push_is_all_in_the_chain(two):
    mine, theirs, stores = two

    theirs.push("c", id="t1")
    stores[theirs].save_all()
    mine.push("c", id="m1")
    stores[mine].save_all()
    theirs.push("c", id="t2")
    stores[theirs].save_all()
    stores[mine].refresh()

    assert [focus.id for focus in mine["c"].focuses] == ["0", "t1", "m1", "t2"]
    assert mine["c"].current_id == "t2"
    assert mine["c"] == theirs["c"]


def test_chain_is_not_too_large_by_what_two_processes_push(two):
    mine, theirs, stores = two

    for id in ("t1", "t2"):
        theirs.push("c", id=id)
    stores[theirs].save_all()
    for id in ("m1", "m2"):
        mine.push("c", id=id)
    stores[mine].save_all()

    assert [focus.id for focus in mine["c"].focuses] == ["t1", "t2", "m1", "m2"]
    assert mine["c"].current_id == "m2"


def test_pushes_in_a_transaction_are_no_conflict_either(two):
    mine, theirs, stores = two

    with stores[mine].transaction():
        mine.push("c", id="m1")
        theirs.push("c", id="t1")
        stores[theirs].save_all()

    assert [focus.id for focus in mine["c"].focuses] == ["0", "t1", "m1"]
    assert mine["c"].current_id == "m1"


def test_pointer_that_both_have_moved_elsewhere_is_a_conflict(two):
    mine, theirs, stores = two

    theirs.push("c", id="t1")
    stores[theirs].save_all()

    def move():
        mine.set_current("c", None)
        stores[mine].save_all()

    with pytest.raises(SaveFailed):
        move()


def test_chain_that_was_activated_later_is_the_active_one_of_both(two):
    mine, theirs, stores = two
    mine.create("d", id="d")
    stores[mine].save_all()

    mine.activate("d")
    stores[mine].save_all()
    theirs.activate("c")  # it does not know of the other
    stores[theirs].save_all()
    for store in stores.values():
        store.refresh()

    assert mine.active == theirs.active == mine["c"]


def test_push_that_goes_with_another_move_of_the_pointer_is_a_conflict(tmp_path):
    with Store(tmp_path) as one, Store(tmp_path) as two:
        mine, theirs = one.register(FocusManager()), two.register(FocusManager())
        mine.create("c", id="c", focuses=[Focus(id="0"), Focus(id="1")], current_id="1")
        one.save_all()
        two.load_all()
        theirs.push("c", id="t1")
        two.save_all()

        mine.push("c", id="m1")
        mine.set_current("c", "0")
        with pytest.raises(SaveFailed):
            one.save_all()

        one.load_all(discard=True)


def test_chain_that_others_have_deleted_comes_back_with_its_pointer_if_mine_counts(tmp_path):
    with Store(tmp_path) as one, Store(tmp_path) as two:
        mine, theirs = one.register(FocusManager()), two.register(FocusManager())
        mine.create("c", id="c")
        mine.push("c", id="0")
        one.save_all()
        two.load_all()
        theirs.delete("c")
        two.save_all()

        mine.push("c", id="m1")
        one.save_all(on_conflict="mine")

        assert [focus.id for focus in mine["c"].focuses] == ["0", "m1"]
        assert mine["c"].current_id == "m1"


def test_merging_of_the_hosts_own_sees_what_was_made_here(tmp_path):
    seen = []

    def merge(base, mine, theirs):
        seen.append((base.current_id, mine.current_id, theirs.current_id))
        return mine

    with Store(tmp_path) as one, Store(tmp_path) as two:
        mine, theirs = one.register(FocusManager(merge=merge)), two.register(FocusManager())
        mine.create("c", id="c")
        mine.push("c", id="0")
        one.save_all()
        two.load_all()
        theirs.push("c", id="t1")
        two.save_all()

        mine.push("c", id="m1")
        mine.update("c", name="and a name")
        one.save_all(on_conflict="merge")

    assert seen == [("0", "m1", "t1")]
