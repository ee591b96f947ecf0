"""Let workers share a queue of tasks: one of them dies, and another goes on with what it had."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from statestore import LeaseLost, Store
from statestore.managers import Task, TaskManager


def die_at_work(path: str) -> None:
    """Be a worker that is killed in the middle of its second task."""
    store = Store(path, source="bob")
    tasks = store.register(TaskManager())

    def work(task: Task) -> str:
        if task.title == "Test":
            os.kill(os.getpid(), signal.SIGKILL)
        return f"{task.title}: done by bob"

    tasks.run_all("release", work, worker="bob")


def lead(path: Path) -> None:
    """Fill the queue, let the worker die, and do the rest."""
    with Store(path) as store:
        tasks = store.register(TaskManager())
        tasks.add_instructions("release", "- Build\n- Test\n- Deploy\n")
        store.save_all()

        dying = subprocess.run([sys.executable, __file__, str(path)], check=False)  # noqa: S603
        assert dying.returncode == -signal.SIGKILL
        store.refresh()
        (left,) = tasks.abandoned("release")
        print(f"{left.title} was left by {left.lease.worker if left.lease else 'nobody'}")

        report = tasks.resume_session("release")
        assert [task.title for task in report.resumed] == ["Test"]
        report_of_run = tasks.run_all("release", lambda task: f"{task.title}: done by ada")
        assert [task.title for task in report_of_run.completed] == ["Test", "Deploy"]
        assert [task.attempts for task in tasks.queue_of("release")] == [1, 2, 1]
        assert tasks.progress("release").all_done

        try:
            tasks.complete(left, "too late")  # bob cannot end what is not his any more
        except LeaseLost as lost:
            print(lost.worker, "has it no more")


if len(sys.argv) > 1:
    die_at_work(sys.argv[1])
else:
    with tempfile.TemporaryDirectory() as folder:
        lead(Path(folder) / "state")
