"""Every way from one status of a session to another, from the table: legal and illegal."""

import contextlib
import itertools
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from statestore import InvalidTransition, SessionActive, Store
from statestore.managers import SESSION_TRANSITIONS, SessionManager, SessionStatus
from statestore.managers.sessions.records import ENDED

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
PAIRS = [*itertools.product(SessionStatus, SessionStatus)]

# The ways in which a host can ask for a status.
OPERATIONS = {
    "start": (SessionStatus.ACTIVE, lambda sessions, id: sessions.start(id)),
    "start beside": (
        SessionStatus.ACTIVE,
        lambda sessions, id: sessions.start(id, pause_others=False),
    ),
    "resume": (SessionStatus.ACTIVE, lambda sessions, id: sessions.resume(id)),
    "pause": (SessionStatus.PAUSED, lambda sessions, id: sessions.pause(id)),
    "complete": (SessionStatus.COMPLETED, lambda sessions, id: sessions.complete(id)),
    "fail": (SessionStatus.FAILED, lambda sessions, id: sessions.fail(id, "because")),
    **{
        f"update to {status}": (
            status,
            lambda sessions, id, status=status: sessions.update(id, status=status),
        )
        for status in SessionStatus
    },
    **{
        f"modify to {status}": (
            status,
            lambda sessions, id, status=status: sessions.modify(
                id, lambda one: attrs.evolve(one, status=status)
            ),
        )
        for status in SessionStatus
    },
    **{
        f"replace by {status}": (
            status,
            lambda sessions, id, status=status: sessions.replace(
                attrs.evolve(sessions[id], status=status)
            ),
        )
        for status in SessionStatus
    },
}
KEEPING = ("update to", "modify to", "replace by")
CASES = [*itertools.product(SessionStatus, OPERATIONS)]


class Clock:
    def __init__(self):
        self.now = MOMENT

    def __call__(self):
        return self.now

    def forward(self, seconds):
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


def opened(folder, clock, **options):
    store = Store(folder, **options)
    sessions = store.register(SessionManager(clock=clock))
    store.load_all(strict=True)
    return store, sessions


def with_session(sessions, status, clock):
    """Make a session of a status by the operations that lead there, active for ten seconds."""
    sessions.create(id="a", name="One")
    sessions.start("a")
    clock.forward(10)
    leave = {
        SessionStatus.PAUSED: sessions.pause,
        SessionStatus.COMPLETED: sessions.complete,
        SessionStatus.FAILED: sessions.fail,
    }
    if status in leave:
        leave[status]("a")
    clock.forward(5)


def is_legal(status, operation):
    wanted, _ = OPERATIONS[operation]
    if wanted is status and operation.startswith(KEEPING):
        return True  # it stays what it is
    return wanted in SESSION_TRANSITIONS[status]


def test_the_table_knows_every_status_and_what_has_ended_stays_so():
    assert set(SESSION_TRANSITIONS) == set(SessionStatus)
    assert all(after <= set(SessionStatus) for after in SESSION_TRANSITIONS.values())
    assert {SessionStatus.COMPLETED, SessionStatus.FAILED} == ENDED
    with pytest.raises(TypeError):
        SESSION_TRANSITIONS[SessionStatus.FAILED] = frozenset(SessionStatus)


@pytest.mark.parametrize("autosave", ["manual", "on-change"])
@pytest.mark.parametrize(
    ("status", "operation"), [case for case in CASES if is_legal(*case)], ids=str
)
def test_what_the_table_allows_is_done_and_survives(status, operation, autosave, clock, tmp_path):
    wanted, operate = OPERATIONS[operation]
    store, sessions = opened(tmp_path, clock, autosave=autosave)
    with_session(sessions, status, clock)

    after = operate(sessions, "a")

    assert after is sessions["a"]
    assert after.status is wanted
    assert (after.ended_at is not None) == (wanted in ENDED)
    was_active = status is SessionStatus.ACTIVE
    assert sessions.duration_s("a") == (15.0 if was_active else 10.0)
    if wanted is not SessionStatus.ACTIVE:
        assert after.duration_s == (15.0 if was_active else 10.0)
    store.save_all()
    store.close()
    store, sessions = opened(tmp_path, clock)
    assert sessions["a"] == after
    assert sessions.active == (after if wanted is SessionStatus.ACTIVE else None)
    store.close()


@pytest.mark.parametrize("in_transaction", [False, True], ids=["alone", "in a transaction"])
@pytest.mark.parametrize(
    ("status", "operation"), [case for case in CASES if not is_legal(*case)], ids=str
)
def test_what_the_table_does_not_allow_changes_nothing(
    status, operation, in_transaction, clock, tmp_path
):
    wanted, operate = OPERATIONS[operation]
    store, sessions = opened(tmp_path, clock)
    other = sessions.create(id="b")
    with_session(sessions, status, clock)
    store.save_all()
    before = sessions["a"]

    block = store.transaction() if in_transaction else contextlib.nullcontext()
    with pytest.raises(InvalidTransition) as caught, block:
        operate(sessions, "a")

    error = caught.value
    assert (error.id, error.status, error.wanted) == ("a", status, wanted)
    assert set(error.allowed) == SESSION_TRANSITIONS[status]
    assert sessions["a"] is before
    assert sessions["b"] is other
    assert sessions.unsaved == ()
    store.close()


@pytest.mark.parametrize(("status", "wanted"), PAIRS, ids=str)
def test_a_manager_alone_in_memory_keeps_to_the_table_too(status, wanted, clock):
    sessions = SessionManager(clock=clock)
    with_session(sessions, status, clock)
    before = sessions["a"]

    if wanted is status or wanted in SESSION_TRANSITIONS[status]:
        assert sessions.update("a", status=wanted).status is wanted
    else:
        with pytest.raises(InvalidTransition):
            sessions.update("a", status=wanted)
        assert sessions["a"] is before


@pytest.mark.parametrize("status", SessionStatus, ids=str)
def test_a_session_is_deleted_unless_it_is_active(status, clock, tmp_path):
    store, sessions = opened(tmp_path, clock)
    with_session(sessions, status, clock)
    store.save_all()
    before = sessions["a"]

    if status is SessionStatus.ACTIVE:
        with pytest.raises(SessionActive, match="pause it first"):
            sessions.delete("a")
        assert sessions["a"] is before
        assert sessions.unsaved == ()
    assert sessions.delete("a", force=True) is before

    store.close()
    store, sessions = opened(tmp_path, clock)
    assert len(sessions) == 0
    store.close()
