"""What the tests of the command line share: how to type a command, and stores to type it at."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("click")
from click.testing import CliRunner

from statestore import Manager, Store
from statestore.cli.root import root
from statestore.managers import ConversationManager, SessionManager, TaskManager

CHECKOUT = Path(__file__).parents[2]


class Shell:
    """Types commands, in this process."""

    def __init__(self, store):
        self.store = store

    def __call__(self, *words, code=0, input=None):
        """Run a command on the store; its exit code must be `code`."""
        typed = ["--store", str(self.store), *map(str, words)]
        result = CliRunner().invoke(root, typed, input=input)
        assert result.exit_code == code, (typed, result.output, result.exception)
        return result

    def json(self, *words, code=0):
        """Run a command with --json and return the one value that it wrote to stdout."""
        return json.loads(self("--json", *words, code=code).stdout)


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path, monkeypatch):
    monkeypatch.delenv("STATESTORE_PATH", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def listing(listing):
    """The listing of a folder, without what processes that open a store tell each other."""
    told = os.path.join(".statestore", "lock")

    def list_folder(root):
        return {path: one for path, one in listing(root).items() if not path.endswith(told)}

    return list_folder


@pytest.fixture
def empty(tmp_path):
    """A shell at a place where there is no store."""
    return Shell(tmp_path / "state")


@pytest.fixture
def shell(tmp_path):
    """A shell at a store with a session, a conversation, three tasks and an unknown kind."""
    import attrs

    @attrs.frozen
    class Note:
        id: str
        text: str = ""

    with Store(tmp_path / "state") as store:
        session = store.register(SessionManager()).create(name="First", id="s1", tags=["red"])
        conversations = store.register(ConversationManager())
        conversations.create("Hello", session_id=session.id, id="c1")
        conversations.add_message("c1", role="user", content="hi")
        tasks = store.register(TaskManager())
        tasks.create("Second of them", id="t2", priority=7, metadata={"deep": {"er": "x"}})
        tasks.create("First of them", id="t1", priority=5)
        tasks.create("Line\nbreak \x1b[31m", id="T/3", priority=20)
        store.register(Manager("notes", Note)).create(id="n1", text="mine")
    return Shell(tmp_path / "state")


@pytest.fixture
def broken(shell):
    """The same with one file that cannot be read."""
    (shell.store / "tasks" / "t1.json").write_bytes(b'{"kind": "tasks"')
    return shell


@pytest.fixture
def process():
    """Return what runs `python -m statestore` in a process of its own."""

    def run(
        *words, code="import runpy; runpy.run_module('statestore', run_name='__main__')", **more
    ):
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
        environment = {**kept, "PYTHONPATH": str(CHECKOUT), **more.pop("env", {})}
        typed = [sys.executable, "-c", code, *map(str, words)]
        return subprocess.run(
            typed, capture_output=True, env=environment, check=False, timeout=60, **more
        )

    return run
