"""Change records of several kinds together: all of it, or nothing."""

import attrs

from statestore import Manager, RecordNotFound, Store, TransactionFailed
from statestore.managers import SessionManager, TaskManager


@attrs.frozen
class Budget:
    id: str
    tokens: int = 0


with Store("memory:") as store:
    sessions = store.register(SessionManager())
    tasks = store.register(TaskManager())
    budgets = store.register(Manager("budgets", Budget))
    budgets.create(id="team", tokens=1_000)
    store.save_all()

    def start(title: str, tokens: int) -> None:
        """Open a session with its task, and take its tokens from the budget."""
        with store.transaction():
            session = sessions.create(name=title)
            tasks.create(title, session_id=session.id)
            left = budgets["team"].tokens - tokens
            budgets.update("team", tokens=left)
            if left < 0:
                raise ValueError(f"{-left} tokens are missing")

    start("Write the tests", 700)
    assert (len(sessions), len(tasks), budgets["team"].tokens) == (1, 1, 300)
    assert store.unsaved == ()  # one commit, durable

    try:
        start("Write the code", 800)
    except ValueError as error:
        print("undone:", error)
    assert (len(sessions), len(tasks), budgets["team"].tokens) == (1, 1, 300)

    try:
        with store.transaction():
            tasks.create("Good")
            budgets.update("team", tokens=2**64)  # more than any format can hold
    except TransactionFailed as error:
        print("undone:", error)
    assert [task.title for task in tasks] == ["Write the tests"]
    assert budgets["team"].tokens == 300

    with store.transaction():
        tasks.create("Plan")
        try:
            with store.transaction():  # undone alone
                tasks.delete_all()
                tasks.update("none", title="It is not there")
        except RecordNotFound as error:
            print("undone:", error)
    assert [task.title for task in tasks] == ["Write the tests", "Plan"]
