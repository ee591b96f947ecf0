"""Save the state of an agent, and find it again after a restart."""

import tempfile

from statestore import Store
from statestore.managers import ConversationManager, SessionManager


def work(path: str) -> str:
    """What a host does: open, load, change, save. Leaving `with` saves what is unsaved."""
    with Store(path) as store:
        sessions = store.register(SessionManager())
        conversations = store.register(ConversationManager())
        store.load_all()

        session = sessions.create(project_id="demo", name="First", mode="planning")
        talk = conversations.create("Hello", session_id=session.id)
        conversations.add_message(talk.id, role="user", content="What is left to do?")
        conversations.add_message(talk.id, role="assistant", content="Two tests still fail.")

        report = store.save_all()  # durable when it returns
        print(f"saved {report.items} records as {report.format}")
        return talk.id


def after_a_restart(path: str, conversation_id: str) -> None:
    """A new process registers the same managers and has the same records."""
    with Store(path) as store:
        sessions = store.register(SessionManager())
        conversations = store.register(ConversationManager())
        report = store.load_all()
        print(f"loaded {report.items} records, {len(report.failures)} failures")

        talk = conversations[conversation_id]
        assert [message.role for message in talk.messages] == ["user", "assistant"]
        assert [session.name for session in sessions] == ["First"]


with tempfile.TemporaryDirectory() as folder:
    path = f"{folder}/state"
    after_a_restart(path, work(path))
