"""A host application: it starts, is killed in the middle of its work, and goes on where it was."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from statestore import Store
from statestore.managers import ConversationManager, SessionManager, Task, TaskManager

WANTED = "1. Read the report\n2. Find the cause\n3. Mend it\n4. Write a test"


def work(path: str, dies_at: str = "") -> list[str]:
    """Be the application: take up what there is, and do what is left. Return what was done."""
    done: list[str] = []
    with Store(path, autosave="on-change", source="agent") as store:
        sessions = store.register(SessionManager())
        conversations = store.register(ConversationManager())
        tasks = store.register(TaskManager())
        store.load_all()

        session = sessions.active
        if session is None:
            with store.transaction():  # all of the beginning, or none of it
                session = sessions.create(project_id="demo", name="A bug")
                sessions.start(session)
                conversations.activate(conversations.create("A bug", session.id))
                tasks.add_instructions(session.id, WANTED)
        else:
            sessions.resume(session)  # the time for which nobody was there does not count
            left = tasks.resume_session(session.id)
            print("going on with", [task.title for task in left.resumed])

        def do(task: Task) -> str:
            conversations.add_message_to_active(role="assistant", content=f"Now: {task.title}")
            if task.title == dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            done.append(task.title)
            return "done"

        tasks.run_all(session.id, do)
        assert tasks.progress(session.id).all_done
        sessions.complete(session)
    return done


if len(sys.argv) > 1:
    work(sys.argv[1], dies_at="Find the cause")
else:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "state")
        killed = subprocess.run([sys.executable, __file__, path], check=False)  # noqa: S603
        assert killed.returncode == -signal.SIGKILL
        assert work(path) == ["Find the cause", "Mend it", "Write a test"]
        print("nothing was done twice, and nothing was lost")
