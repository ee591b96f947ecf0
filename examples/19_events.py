"""Listen to what becomes of records: told when it is durable, with the state before and after."""

import tempfile
from pathlib import Path

from statestore import RecordNotFound, Store
from statestore.managers import Task, TaskManager
from statestore.models.events import RecordEvent

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "state"
    with Store(path, autosave="on-change") as store:
        tasks = store.register(TaskManager())
        store.load_all()
        titles: list[str] = []

        def renamed(event: RecordEvent[Task]) -> None:
            """Called outside every lock, after the commit: what it is told of is on disk."""
            if event.before and event.after and event.before.title != event.after.title:
                titles.append(f"{event.before.title} -> {event.after.title}")

        handle = tasks.on("updated", renamed)
        tasks.create("Draft", id="t1")
        tasks.update("t1", title="Write")
        assert titles == ["Draft -> Write"]

        try:
            with store.transaction():
                tasks.update("t1", title="Never")
                tasks.update("no such task", title="x")
        except RecordNotFound:
            print("undone, and not told")
        assert titles == ["Draft -> Write"]

        with Store(path, source="another agent") as other:
            theirs = other.register(TaskManager())
            other.load_all()
            theirs.update("t1", title="Rewrite")
            other.save_all()
        tasks.on("*", lambda event: print(event.name, "by", event.theirs and event.theirs.source))
        store.refresh()
        handle.cancel()
        assert titles[1:] == ["Write -> Rewrite"]
