"""Share one store among processes: count, talk and see what the others do."""

import multiprocessing
import tempfile
import threading

import attrs

from statestore import Manager, Store
from statestore.managers import ConversationManager
from statestore.models.reports import LoadReport


@attrs.frozen
class Budget:
    id: str
    calls: int = 0


def work(path: str, name: str) -> None:
    """Be an agent: a process with its own opening of the store."""
    with Store(path, source=name) as store:
        budgets = store.register(Manager("budgets", Budget))
        conversations = store.register(ConversationManager())
        store.load_all()
        for number in range(10):
            budgets.modify("team", lambda budget: attrs.evolve(budget, calls=budget.calls + 1))
            conversations.add_message("plan", role="assistant", content=f"{name}: {number}")
            store.save_all()  # what only adds is never a conflict


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        budgets = store.register(Manager("budgets", Budget))
        conversations = store.register(ConversationManager())
        budgets.create(id="team")
        conversations.create("Plan", id="plan")
        store.save_all()

        looks: list[str] = []
        all_done = threading.Event()

        def note(report: LoadReport) -> None:
            looks.append(f"{report.changes[-1].source} was last")  # who, when, before and after
            if budgets["team"].calls == 30:
                all_done.set()

        store.on_load(note)
        store.watch()  # takes in what the agents commit, while they do
        process = multiprocessing.get_context("spawn").Process
        agents = [process(target=work, args=(folder, name)) for name in ("ada", "bob", "cy")]
        for agent in agents:
            agent.start()
        for agent in agents:
            agent.join()
        assert all_done.wait(60)
        store.refresh()
        print(len(conversations["plan"].messages), "messages;", looks[-1])
        assert budgets["team"].calls == len(conversations["plan"].messages) == 30
