"""What grows line by line: of a process that is killed every acknowledged line is there."""

import os
import signal
import subprocess
import sys

import pytest

import statestore
from statestore import Store
from statestore.managers import ConversationManager, FocusManager, LogManager, TaskManager

LINES = 300

WRITER = """
import sys
from statestore import Store
from statestore.managers import ConversationManager, FocusManager, LogManager, TaskManager

path, what = sys.argv[1:]
store = Store(path, autosave="on-change")
conversations = store.register(ConversationManager())
tasks = store.register(TaskManager())
chains = store.register(FocusManager())
logs = store.register(LogManager())
conversations.create("c", id="x")
tasks.create("t", id="x")
chains.create("f", id="x")
add = {
    "messages": lambda text: conversations.add_message("x", role="user", content=text),
    "task lines": lambda text: tasks.append_output("x", text),
    "focuses": lambda text: chains.push("x", type="file", target=text),
    "session lines": lambda text: logs.append("x", text),
}[what]
number = 0
while True:
    add(str(number))
    print(number, flush=True)
    number += 1
"""

READ = {
    "messages": (ConversationManager, lambda one: [message.text for message in one.messages]),
    "task lines": (TaskManager, lambda one: [line.text for line in one.logs]),
    "focuses": (FocusManager, lambda one: [focus.target for focus in one.focuses]),
    "session lines": (LogManager, lambda one: [line.text for line in one.entries]),
}


@pytest.mark.parametrize("what", READ)
def test_every_line_that_was_acknowledged_is_there_after_a_kill(what, tmp_path):
    root = os.path.dirname(os.path.dirname(statestore.__file__))
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "state"), what],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
        text=True,
    )
    with process:
        acknowledged = [process.stdout.readline() for _ in range(LINES)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.readlines()
    last = int(acknowledged[-1]) if acknowledged[-1].endswith("\n") else int(acknowledged[-2])

    make, lines_of = READ[what]
    with Store(tmp_path / "state", read_only=True) as store:
        manager = store.register(make())
        assert not store.load_all().failures
        lines = lines_of(manager["x"])

    assert last >= LINES - 1
    assert lines in (
        [str(number) for number in range(last + 1)],
        [str(number) for number in range(last + 2)],  # the one that nobody was told of
    )
