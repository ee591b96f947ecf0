"""Two openings of one store that claim from a queue, and die, against a plain model of it."""

import shutil
import tempfile
from datetime import UTC, datetime, timedelta

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from statestore import InvalidTransition, LeaseLost, Store, TaskClaimed
from statestore.managers import TaskManager

SIDES = st.sampled_from([0, 1])
NUMBERS = st.integers(0, 7)
LEASES_S = st.sampled_from([None, None, 10.0])
ATTEMPTS = st.sampled_from([None, None, 2])
BEGUN = {"running", "paused"}


@attrs.define
class Known:
    """A task, as the model says."""

    place: tuple
    depends_on: tuple
    status: str = "pending"
    token: str | None = None
    run: int | None = None
    until: datetime | None = None
    attempts: int = 0

    def drop(self, status):
        self.status, self.token, self.run, self.until = status, None, None, None


class QueueMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.model = {}
        self.given = []  # all that claims have returned
        self.runs = 0
        self.stores, self.tasks, self.run = [None, None], [None, None], [None, None]
        for side in (0, 1):
            self.open(side)

    def open(self, side):
        store = self.stores[side] = Store(self.folder)
        self.tasks[side] = store.register(TaskManager(clock=lambda: self.now))
        self.runs += 1
        self.run[side] = self.runs

    def teardown(self):
        for side in (0, 1):
            self.look(side)
        for store in self.stores:
            store.close()
        shutil.rmtree(self.folder)

    # --- the model --------------------------------------------------------------------

    def is_over(self, known):
        dead = known.run not in self.run
        return dead or (known.until is not None and self.now >= known.until)

    def left(self):
        in_hand = {id: known for id, known in self.model.items() if known.token is not None}
        return {id for id, known in in_hand.items() if self.is_over(known)}

    def is_free(self, known):
        if any(self.model[on].status != "succeeded" for on in known.depends_on):
            return False
        if known.token is None:
            return known.status in {"pending", "resumable"}
        return self.is_over(known)

    def expect_claim(self, max_attempts):
        for id in sorted(self.model, key=lambda id: self.model[id].place):
            known = self.model[id]
            if not self.is_free(known):
                continue
            if known.token is not None and max_attempts and known.attempts >= max_attempts:
                known.drop("failed")
                continue
            return id
        return None

    # --- what is done -----------------------------------------------------------------

    @rule(side=SIDES, priority=st.sampled_from([5, 10]), on=st.sets(NUMBERS, max_size=2))
    def add(self, side, priority, on):
        if len(self.model) >= 8:
            return
        self.now += timedelta(microseconds=1)
        self.stores[side].refresh()
        ids = sorted(self.model)
        depends_on = [ids[number] for number in on if number < len(ids)]
        (task,) = self.tasks[side].add_tasks(
            "s", [{"title": "t", "priority": priority, "depends_on": depends_on}]
        )
        self.stores[side].save_all()
        place = (-priority, task.position, task.created_at)
        assert task.position == len(self.model)
        self.model[task.id] = Known(place, tuple(depends_on))

    @rule(side=SIDES, lease_s=LEASES_S, max_attempts=ATTEMPTS)
    def claim(self, side, lease_s, max_attempts):
        wanted = self.expect_claim(max_attempts)

        task = self.tasks[side].claim("s", lease_s=lease_s, max_attempts=max_attempts)

        assert (None if task is None else task.id) == wanted
        if task is None:
            return
        known = self.model[wanted]
        known.status, known.token, known.run = "running", task.lease.token, self.run[side]
        known.until = None if lease_s is None else self.now + timedelta(seconds=lease_s)
        known.attempts += 1
        assert task.attempts == known.attempts
        self.given.append(task)

    @precondition(lambda self: self.given)
    @rule(side=SIDES, number=NUMBERS, what=st.sampled_from(["complete", "fail", "release", "more"]))
    def by_record(self, side, number, what):
        """Act in the name of a lease, whoever has it by now, and through either opening."""
        task = self.given[-1 - number % len(self.given)]
        known, tasks = self.model[task.id], self.tasks[side]
        self.stores[side].refresh()
        act = {
            "complete": lambda: tasks.complete(task, task.lease.token),
            "fail": lambda: tasks.fail(task, "no"),
            "release": lambda: tasks.release(task),
            "more": lambda: tasks.extend(task, 10),
        }[what]
        try:
            act()
        except LeaseLost:
            assert known.token != task.lease.token
            return
        except InvalidTransition:
            assert (known.status, known.token) == ("paused", task.lease.token)
            return
        assert known.token == task.lease.token
        if what == "more":
            known.until = self.now + timedelta(seconds=10)
        else:
            known.drop({"complete": "succeeded", "fail": "failed", "release": "resumable"}[what])

    @rule(side=SIDES, number=NUMBERS, is_stale=st.booleans())
    def pause_by_id(self, side, number, is_stale):
        running = [id for id in sorted(self.model) if self.model[id].status == "running"]
        if not running:
            return
        id = running[number % len(running)]
        known = self.model[id]
        if not is_stale:
            self.stores[side].refresh()
        elif id not in self.tasks[side] or self.tasks[side][id].lease is None:
            return  # it is not known here that it is claimed: that comes out at a save
        try:
            self.tasks[side].pause(id)
        except TaskClaimed:
            assert known.run != self.run[side]
            assert not self.is_over(known)
            return
        assert known.run == self.run[side] or self.is_over(known)
        known.status = "paused"

    @rule(side=SIDES, max_attempts=ATTEMPTS)
    def resume(self, side, max_attempts):
        over = self.left()
        spent = {id for id in over if max_attempts and self.model[id].attempts >= max_attempts}

        report = self.tasks[side].resume_session("s", max_attempts=max_attempts)

        assert {task.id for task in report.resumed} == over - spent
        assert {task.id for task in report.failed} == spent
        for id in over:
            self.model[id].drop("failed" if id in spent else "resumable")

    @rule(seconds=st.sampled_from([1, 10]))
    def time_passes(self, seconds):
        self.now += timedelta(seconds=seconds)

    @rule(side=SIDES)
    def die(self, side):
        self.stores[side].close()
        self.open(side)

    @rule(side=SIDES)
    def look(self, side):
        self.stores[side].refresh()
        tasks = self.tasks[side]

        shown = {
            task.id: (task.status, task.lease and task.lease.token, task.attempts) for task in tasks
        }

        assert shown == {
            id: (known.status, known.token, known.attempts) for id, known in self.model.items()
        }
        assert tasks.unsaved == ()
        assert {task.id for task in tasks.abandoned()} == self.left()
        progress = tasks.progress("s")
        assert progress.total == len(self.model)
        assert progress.all_done == all(
            known.status in {"succeeded", "failed"} for known in self.model.values()
        )


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
