"""Sessions: one is active at a time, and only the time in which it was counts."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from statestore import InvalidTransition, Store
from statestore.managers import FocusManager, SessionLimits, SessionManager

now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def clock() -> datetime:
    """A host leaves this out; here it shows hours that nobody waits for."""
    return now


def opened(path: Path) -> tuple[Store, SessionManager]:
    """Open the store as the host does at each start."""
    store = Store(path, autosave="on-change")
    sessions = store.register(SessionManager(clock=clock, limits=SessionLimits(max_history=100)))
    store.register(FocusManager())
    store.load_all()
    return store, sessions


with tempfile.TemporaryDirectory() as folder:
    store, sessions = opened(Path(folder) / "state")
    plan = sessions.create(project_id="orchard", name="Plan the harvest", mode="planning")
    build = sessions.create(project_id="orchard", name="Build the press", tags=["press"])
    sessions.start(plan)
    now += timedelta(minutes=30)
    sessions.start(build)  # pauses the other one, in the same commit
    assert sessions[plan].duration_s == 1800
    now += timedelta(minutes=10)
    sessions.set_context(build, "file", "press.py")  # a sign of life, as every change is
    store.close()  # the session is active still; it might have been a crash

    now += timedelta(days=3)
    store, sessions = opened(Path(folder) / "state")
    left = sessions.active
    assert left is not None
    print(f"{left.name!r} was left active, after {sessions.duration_s(left):.0f} s")
    sessions.resume(left)
    now += timedelta(minutes=5)
    done = sessions.complete(left)
    print(f"it took {done.duration_s:.0f} s, the three days between not counted")

    try:
        sessions.start(done)
    except InvalidTransition as error:
        print(error)
    print(sessions.focus_chain(plan).id, "holds what the agent has its mind on in it")
    print([one.name for one in sessions.find("PLAN")], sessions.statistics().active_s)
    store.close()
