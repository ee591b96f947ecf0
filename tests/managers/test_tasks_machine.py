"""Tasks against plain dicts: statuses, trees, order, output; saved, reloaded, in transactions."""

import contextlib
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from statestore import CircularReference, HasChildren, InvalidTransition, Store
from statestore.managers import TaskManager, TaskStatus
from statestore.managers.tasks.statuses import STEPS, TASK_TRANSITIONS

IDS = st.sampled_from(["a", "B", "c/d", "é"])
STRONGEST = ("failed", "running", "paused", "blocked")
ENDED = ("succeeded", "failed", "cancelled")


class Undone(Exception):
    pass


@attrs.define
class One:
    """What is known of a task."""

    title: str
    status: str = "pending"
    parent: str | None = None
    needs: tuple = ()
    percent: float = 0.0
    lines: tuple = ()
    result: object = None
    version: int = 1
    started: bool = False
    ended: bool = False

    def change(self, **fields):
        if any(getattr(self, name) != value for name, value in fields.items()):
            self.version += 1
            for name, value in fields.items():
                setattr(self, name, value)

    def enter(self, status, **fields):
        self.change(
            status=status,
            started=self.started or status == "running",
            ended=status in ENDED,
            **fields,
        )


class TasksMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.path = Path(tempfile.mkdtemp())
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.model = {}
        self.stored = {}
        self.open()

    def clock(self):
        self.now += timedelta(seconds=1)
        return self.now

    def open(self):
        self.store = Store(self.path)
        self.tasks = self.store.register(TaskManager(clock=self.clock))
        self.store.load_all(strict=True)

    def teardown(self):
        self.store.close()
        shutil.rmtree(self.path)

    # --- the model --------------------------------------------------------------------

    def children(self, id):
        return [one for one, task in self.model.items() if task.parent == id]

    def below(self, id):
        found = []
        for child in self.children(id):
            found += [child, *self.below(child)]
        return found

    def roll_up(self, id):
        while id in self.model:
            found = [self.model[child].status for child in self.children(id)]
            status = next((one for one in STRONGEST if one in found), None)
            if status is None and found and set(found) - {"cancelled"} == {"succeeded"}:
                status = "succeeded"
            task = self.model[id]
            if status is None or status not in TASK_TRANSITIONS[TaskStatus(task.status)]:
                return
            task.enter(status)
            id = task.parent

    def needs(self, id):
        """Return all that a task depends on, at any distance."""
        found, waiting = set(), list(self.model[id].needs)
        while waiting:
            one = waiting.pop()
            if one in found or one not in self.model:
                continue
            found.add(one)
            waiting += self.model[one].needs
        return found

    # --- what the host does -----------------------------------------------------------

    @rule(id=IDS, parent=st.none() | IDS)
    def create(self, id, parent):
        if id in self.model or (parent is not None and parent not in self.model):
            return
        self.tasks.create(f"title of {id}", id=id, parent_id=parent)
        # An older task may wait for one of this id, and be below it in the order.
        self.model[id] = One(f"title of {id}", parent=parent)

    @rule(id=IDS, name=st.sampled_from(sorted(STEPS)))
    def step(self, id, name):
        if id not in self.model:
            return
        more = {"fail": ("broken",), "delegate": ("other",), "complete": (1,)}.get(name, ())
        task, step = self.model[id], STEPS[name]
        if TaskStatus(task.status) not in step.since:
            with pytest.raises(InvalidTransition):
                getattr(self.tasks, name)(id, *more)
            return
        getattr(self.tasks, name)(id, *more)
        task.enter(step.to.value, **({"result": 1} if name == "complete" else {}))
        self.roll_up(task.parent)

    @rule(id=IDS, parent=st.none() | IDS)
    def move(self, id, parent):
        if id not in self.model or (parent is not None and parent not in self.model):
            return
        if parent is not None and (parent == id or parent in self.below(id)):
            with pytest.raises(CircularReference):
                self.tasks.link(id, parent)
            return
        self.tasks.unlink(id) if parent is None else self.tasks.link(id, parent)
        old = self.model[id].parent
        if old != parent:
            self.model[id].change(parent=parent)
            self.roll_up(old)
            self.roll_up(parent)

    @rule(id=IDS, needs=st.lists(IDS, max_size=2, unique=True))
    def depend(self, id, needs):
        if id not in self.model:
            return
        wanted = tuple(needs)
        if any(one == id or (one in self.model and id in self.needs(one)) for one in wanted):
            with pytest.raises(CircularReference):
                self.tasks.set_dependencies(id, wanted, allow_missing=True)
            return
        self.tasks.set_dependencies(id, wanted, allow_missing=True)
        self.model[id].change(needs=wanted)

    @rule(id=IDS, percent=st.sampled_from([0, 50, 200]))
    def progress(self, id, percent):
        if id in self.model:
            self.tasks.set_progress(id, percent)
            self.model[id].change(percent=min(100.0, float(percent)))

    @rule(id=IDS, line=st.sampled_from(["x", "RESULT: [2]"]))
    def output(self, id, line):
        if id in self.model:
            self.tasks.append_output(id, line, take_result=True)
            self.model[id].lines += (line,)
            if line != "x":
                self.model[id].change(result=(2,))

    @rule(id=IDS, children=st.sampled_from(["refuse", "delete", "detach"]))
    def delete(self, id, children):
        if id not in self.model:
            return
        below = self.children(id)
        if below and children == "refuse":
            with pytest.raises(HasChildren):
                self.tasks.delete(id)
            return
        self.tasks.delete(id, children=children)
        gone = self.below(id) if children == "delete" else []
        for one in below if children == "detach" else ():
            self.model[one].change(parent=None)
        parent = self.model.pop(id).parent
        for one in gone:
            del self.model[one]
        self.roll_up(parent)

    # --- saved, lost, in transactions -------------------------------------------------

    @rule()
    def save(self):
        self.store.save_all()
        self.stored = self.copy()

    @rule()
    def reload(self):
        self.save()
        self.store.close()
        self.open()

    @rule()
    def forget(self):
        """Load what is stored, as after a crash."""
        self.store.load_all(discard=True)
        self.model = {id: attrs.evolve(one) for id, one in self.stored.items()}

    @precondition(lambda self: self.model)
    @rule(data=st.data(), commits=st.booleans())
    def transaction(self, data, commits):
        self.save()
        with contextlib.suppress(Undone), self.store.transaction():
            for _ in range(3):
                name = data.draw(st.sampled_from(sorted(STEPS)))
                self.step(data.draw(IDS), name)
                self.output(data.draw(IDS), "x")
                self.move(data.draw(IDS), data.draw(st.none() | IDS))
                self.delete(data.draw(IDS), "detach")
            self.memory_is_as_the_model()
            if not commits:
                raise Undone
        if commits:
            self.stored = self.copy()
        else:
            self.model = {id: attrs.evolve(one) for id, one in self.stored.items()}
        assert self.tasks.unsaved == ()

    def copy(self):
        return {id: attrs.evolve(one) for id, one in self.model.items()}

    # --- what holds always ------------------------------------------------------------

    @invariant()
    def memory_is_as_the_model(self):
        found = {
            one.id: One(
                title=one.title,
                status=one.status.value,
                parent=one.parent_id,
                needs=one.depends_on,
                percent=one.progress.percent,
                lines=tuple(line.text for line in one.logs),
                result=one.result,
                version=one.version,
                started=one.started_at is not None,
                ended=one.completed_at is not None,
            )
            for one in self.tasks
        }
        assert found == self.model
        for task in self.tasks:
            assert [one.version for one in task.changes] == list(
                range(max(2, task.version - 19), task.version + 1)
            )
            assert {one.id for one in self.tasks.descendants(task)} == set(self.below(task.id))

    @invariant()
    def store_is_as_it_was_saved(self):
        found = {one.key.id: one.document["status"] for one in self.store.scan("tasks")}
        assert found == {id: one.status for id, one in self.stored.items()}


TestTasks = TasksMachine.TestCase
TestTasks.settings = settings(
    max_examples=80,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
