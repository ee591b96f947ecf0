"""One record that several processes change at once: every change counts, and counts once."""

import textwrap
from collections import Counter

import pytest

from statestore import Store
from statestore.managers import ConversationManager, TaskManager

COUNT = """
    import sys

    import attrs

    from statestore import Store
    from statestore.managers import TaskManager

    path, autosave, turns = sys.argv[1], sys.argv[2], int(sys.argv[3])

    def counted(task):
        return attrs.evolve(task, title=str(int(task.title) + 1))

    with Store(path, autosave=autosave) as store:
        tasks = store.register(TaskManager())
        store.load_all()
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(turns):
            print(tasks.modify("counter", counted).title)
"""

SPEAK = """
    import sys

    from statestore import Store
    from statestore.managers import ConversationManager

    path, name, turns = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with Store(path) as store:
        conversations = store.register(ConversationManager())
        store.load_all()
        print("ready", flush=True)
        sys.stdin.readline()
        for turn in range(turns):
            conversations.add_message("talk", id=f"{name}.{turn}", role="user", content=name)
            if turn % 3 == 2:  # some go alone, some together
                conversations.add_message("talk", id=f"{name}.{turn}+", role="user", content=name)
            store.save_all()
            print(len(conversations["talk"].messages))
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "store"
    with Store(path) as store:
        store.register(TaskManager()).create("0", id="counter")
        store.register(ConversationManager()).create(id="talk")
        store.save_all()
    return str(path)


@pytest.mark.parametrize("autosave", ["manual", "on-change"])
def test_counter_that_two_processes_modify_counts_every_time_once(side_by_side, path, autosave):
    turns = 500

    told = side_by_side(textwrap.dedent(COUNT), *[(path, autosave, str(turns))] * 2)

    counts = [[int(line) for line in lines] for lines in told]
    assert sorted(counts[0] + counts[1]) == list(range(1, 2 * turns + 1))
    assert all(own == sorted(own) for own in counts)
    with Store(path, read_only=True) as store:
        tasks = store.register(TaskManager())
        store.load_all()
        assert tasks["counter"].title == str(2 * turns)
        assert tasks.revision("counter") == 1 + 2 * turns


def test_conversation_that_three_processes_add_to_has_every_message_once_and_in_order(
    side_by_side, path
):
    turns, names = 90, ("a", "b", "c")

    told = side_by_side(textwrap.dedent(SPEAK), *((path, name, str(turns)) for name in names))

    with Store(path, read_only=True) as store:
        conversations = store.register(ConversationManager())
        store.load_all()
        messages = conversations["talk"].messages
        assert conversations.revision("talk") == 1 + turns * len(names)
    assert {count for _, count in Counter(message.id for message in messages).items()} == {1}
    for name in names:
        said = [message.id for message in messages if message.content == name]
        assert said == [
            f"{name}.{turn}{more}"
            for turn in range(turns)
            for more in (("", "+") if turn % 3 == 2 else ("",))
        ]
    assert max(int(line) for lines in told for line in lines) == len(messages)
