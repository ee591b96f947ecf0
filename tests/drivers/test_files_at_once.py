"""A store that is to write its files at once, while somebody else keeps it from that."""

from contextlib import closing

import attrs
import pytest

from statestore import Store
from statestore.drivers.directory import DirectoryDriver
from statestore.errors import LockTimeout
from statestore.managers import TaskManager


def modify(store, tasks):
    tasks.modify("a", lambda task: attrs.evolve(task, title="new"))


def save(store, tasks):
    tasks.update("a", title="new")
    store.save_all()


def transact(store, tasks):
    with store.transaction():
        tasks.update("a", title="new")


@pytest.mark.parametrize("change", [modify, save, transact])
def test_commit_whose_files_have_to_wait_is_no_failure(tmp_path, change):
    config = tmp_path / "settings.toml"
    config.write_text('materialize = "now"')
    path = tmp_path / "store"
    told = []
    with Store(path, config=config, lock_timeout_s=0.05) as store:
        tasks = store.register(TaskManager())
        tasks.create("old", id="a")
        store.save_all()
        store.on_error(told.append)

        with closing(DirectoryDriver(path)) as other, other.held_still():
            change(store, tasks)  # who were told that it failed would make it twice

            assert store.raw("tasks/a")["title"] == "new"
            assert tasks["a"].title == "new"
            assert store.unsaved == ()
        assert {type(failure.error) for failure in told} == {LockTimeout}
