"""Log what a session puts out, keep reports, and see all that there is at one moment."""

import tempfile
from datetime import UTC, datetime, timedelta

from statestore import Store
from statestore.managers import LogManager, ReportManager, SessionManager, TaskManager

with tempfile.TemporaryDirectory() as folder:
    # Each logged line is durable when append() returns.
    with Store(folder, autosave="on-change") as store, Store(folder, "on-change") as other:
        sessions = store.register(SessionManager())
        tasks = store.register(TaskManager())
        logs = store.register(LogManager())
        reports = store.register(ReportManager())
        session = sessions.create(name="Fix the parser")
        task = tasks.create("Run the tests", session_id=session.id)

        begun = datetime.now(UTC)
        logs.append(session.id, "4 tests collected", source="pytest")
        # Another process writes the same log, and need not know that there is one.
        other.register(LogManager()).append(session.id, "disk is at 80 %", type="debug")
        logs.append(session.id, "1 failed:\ntest_empty", type="error", source="pytest")

        tasks.start(task)
        tasks.complete(task)
        tasks.update(task, started_at=begun, completed_at=begun + timedelta(seconds=90))
        report = reports.create("tests", {"passed": 3, "failed": ["test_empty"]}, task_id=task.id)
        print("a file to hand on:", store.path_of(f"reports/{report.id}"))

        snapshot = store.snapshot()  # all records of one moment, with figures
        assert snapshot.metrics.average_completion_s == 90
        kept = reports.create("snapshot", snapshot.document())

    with Store(folder) as store:
        logs = store.register(LogManager())
        reports = store.register(ReportManager())
        store.load_all()
        print(logs.text(session.id))
        errors = logs.entries(session.id, types="error")
        assert [entry.text for entry in errors] == ["1 failed:\ntest_empty"]
        assert len(logs[session.id].entries) == 3
        assert reports.by_task(task.id) == (report,)
        assert reports.latest("snapshot") == kept
        assert kept.data["metrics"]["completed"] == 1
