"""Keep tasks: a tree, an order, progress, output, and what is left to do after a crash."""

import tempfile

from statestore import InvalidTransition, Store
from statestore.managers import Task, TaskManager
from statestore.models.events import RecordEvent

with tempfile.TemporaryDirectory() as folder:
    with Store(folder, autosave="on-change") as store:
        tasks = store.register(TaskManager())

        def tell(event: RecordEvent[Task]) -> None:
            """Runs when the change is durable."""
            print(f"{event.id}: {event.details['old']} -> {event.details['new']}")

        tasks.on("status_changed", tell)

        release = tasks.create("Release 2.0", id="release", session_id="s1", priority="high")
        tasks.add_subtask(release, "Write the notes", id="notes")
        tasks.add_subtask(release, "Run the tests", id="tests", priority="critical")
        tasks.add_subtask(release, "Publish", id="publish", depends_on=["notes", "tests"])
        assert [one.id for one in tasks.order()] == ["tests", "release", "notes", "publish"]

        tasks.start("tests", actor="ada")  # its parent is running, too
        for number in range(1, 5):
            tasks.append_output("tests", f"suite {number} passed\n", type="stdout")
            tasks.set_progress("tests", 25 * number, current_step=f"suite {number}")
        tasks.append_output("tests", 'RESULT: {"failed": 0}', take_result=True)
        tasks.complete("tests", confidence=1.0)

        try:
            tasks.pause("tests")
        except InvalidTransition as error:
            print("refused:", error)

        tasks.start("notes")
        # Here the process dies, in the middle of the notes.

    with Store(folder, autosave="on-change") as store:
        tasks = store.register(TaskManager())
        store.load_all()
        assert tasks["tests"].result == {"failed": 0}
        assert len(tasks.logs("tests", types="stdout")) == 4
        print("left to do:", [one.id for one in tasks.resumable_tasks()])

        tasks.complete("notes")
        assert tasks.blocked_by("publish") == ()
        tasks.start("publish")
        tasks.fail("publish", "no network")
        assert tasks["release"].status == "failed"
        tasks.retry("publish")
        tasks.start("publish")
        tasks.complete("publish")
        assert tasks["release"].status == "succeeded"

        figures = tasks.statistics(session_id="s1")
        print(f"{figures.completed} of {figures.total} done")
