"""recover and history."""

import os

import attrs
import pytest

from statestore import Store
from statestore.managers import Task, TaskManager, settings


def damage(shell):
    """Damage a file that nobody is writing any more, and remove another."""
    path = shell.store / "tasks" / "t1.json"
    path.write_bytes(b"\0\0")
    os.utime(path, (1, 1))
    (shell.store / "tasks" / "t2.json").unlink()


def corrupt(shell):
    """Change a byte in the middle of the journal."""
    path = sorted((shell.store / ".statestore" / "journal").iterdir())[-1]
    data = path.read_bytes()
    at = data.index(b"First of them")
    path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])


def test_recover_of_a_sound_store_says_so(shell):
    assert shell("recover").stdout == "6 sound records, 0 missing, 0 unreadable, 0 in quarantine\n"
    assert shell.json("recover")["failures"] == []


def test_recover_tells_what_is_wrong_and_what_to_type(shell):
    damage(shell)

    assert "statestore recover tasks/t2" in shell("verify", code=4).stdout
    first = shell("recover", code=4)
    value = shell.json("recover", code=4)

    assert "unreadable: tasks/t1.json" in first.stdout
    assert first.stdout.count("statestore recover tasks/t1") == 1
    assert first.stdout.count("statestore recover tasks/t2") == 1
    assert [one["key"] for one in value["absent"]] == ["tasks/t1", "tasks/t2"]
    assert [one["origin"] for one in value["quarantined"]] == ["tasks/t1.json"]


def test_recover_brings_records_back(shell):
    before = shell.json("show", "tasks/t1")["data"]
    damage(shell)

    told = shell("recover", "tasks/t1").stdout
    value = shell.json("recover", "tasks/t2")

    assert "as it was at revision 1; it has revision 2 now" in told
    assert (value["key"], value["copied"], value["revision"]) == ("tasks/t2", 1, 2)
    assert shell.json("show", "tasks/t1")["data"] == before
    assert shell.json("recover")["absent"] == []
    assert "1 file in quarantine" in shell("verify").stdout


@pytest.mark.parametrize(
    ("word", "code"),
    [("tasks/t1", 5), ("tasks/nobody", 3), ("tasks", 2), ("tasks/", 2), ("/t1", 2)],
)
def test_recover_refuses_what_is_not_lost(shell, word, code, listing):
    before = listing(shell.store / "tasks")

    shell("recover", word, code=code)

    assert listing(shell.store / "tasks") == before


def test_a_corrupt_journal_names_the_salvage_and_it_works(shell, tmp_path, listing):
    corrupt(shell)
    before = listing(shell.store)
    assert "statestore recover --salvage NEW-FOLDER" in shell("ls", code=4).stderr

    told = shell("recover", "--salvage", tmp_path / "new", code=7)
    value = shell.json("recover", "--salvage", tmp_path / "again", code=7)

    assert "lost: nothing was found of commit" in told.stderr or "damaged" in told.stderr
    assert (value["items"], len(value["failures"])) == (6, 1)
    assert listing(shell.store) == before
    assert type(shell)(tmp_path / "new").json("verify")["items"] == 6


@pytest.mark.parametrize("words", [["--salvage", ""], ["tasks/t1", "--salvage", "x"]])
def test_salvage_with_wrong_words(shell, words):
    shell("recover", *words, code=2)


def test_salvage_where_there_is_no_store_or_no_room(shell, empty, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    shell("recover", "--salvage", "taken", code=5)
    shell("recover", "--salvage", shell.store / "in", code=2)
    type(shell)(tmp_path / "nowhere")("recover", "--salvage", "x", code=3)
    type(shell)("memory:")("recover", "--salvage", "x", code=2)

    assert not (tmp_path / "x").exists()


def change(shell, count):
    with Store(shell.store) as store:
        tasks = store.register(TaskManager())
        store.load_all()
        for number in range(count):
            tasks.update("t1", title=f"Title {number}")
            store.save_all()


def test_history_lists_commits_with_their_revisions(shell):
    change(shell, 2)

    value = shell.json("history")
    table = shell("history").stdout.splitlines()

    assert [one["sequence"] for one in value["commits"]] == [1, 2, 3]
    assert value["commits"][-1]["revisions"] == {"tasks/t1": 3}
    assert value["pruned"] == []
    assert table[-1].split()[::3] == ["3", "tasks/t1@3"]
    assert "and 2 more" in table[1]


def test_history_of_one_record_and_only_the_last(shell):
    change(shell, 3)

    one = shell.json("history", "tasks/t1")["commits"]
    last = shell.json("history", "--limit", 2)["commits"]

    assert [commit["revisions"]["tasks/t1"] for commit in one] == [1, 2, 3, 4]
    assert [commit["sequence"] for commit in last] == [3, 4]
    assert "no commits are kept of tasks/nobody" in shell("history", "tasks/nobody").stderr


def test_history_that_is_pruned_begins_with_what_is_kept(shell):
    (first,) = (shell.store / ".statestore" / "journal").iterdir()
    change(shell, 1)
    first.unlink()

    result = shell("history")

    assert "the history begins with commit 2" in result.stderr
    assert shell.json("history")["pruned"] == [[1, 1]]
    assert shell.json("info")["history"] == [2, 2]


def test_info_tells_the_last_commit_and_the_history(shell, empty):
    change(shell, 2)

    value = shell.json("info")

    assert (value["sequence"], value["history"]) == (3, [1, 3])
    assert "commits 1 to 3" in shell("info").stdout
    assert shell.json("--store", "memory:", "info")["history"] is None


class Remembering(settings.Remembering):
    """Tasks, and something that their manager remembers beside them."""

    def __init__(self):
        super().__init__("tasks", Task)

    def remember(self, **limits):
        self._set(lambda one: attrs.evolve(one, limits=limits))


@pytest.fixture
def remembered(shell):
    """A store whose manager of tasks remembers a limit, set twice."""
    with Store(shell.store) as store:
        tasks = store.register(Remembering())
        store.load_all(strict=True)
        tasks.remember(most=1)
        store.save_all()
        tasks.remember(most=2)
    return shell


def test_what_a_manager_remembers_is_shown_and_not_listed(remembered):
    assert "@manager" not in remembered("ls", "tasks").stdout
    assert remembered.json("ls", "tasks")["failures"] == []
    value = remembered.json("show", "tasks/@manager")
    assert (value["key"], value["data"]) == ("tasks/@manager", {"limits": {"most": 2}})
    assert value["path"] == "tasks/@manager.json"
    told = remembered("history", "tasks/@manager").stdout
    assert (told.count("tasks/@manager@1"), told.count("tasks/@manager@2")) == (1, 1)
    assert remembered.json("verify")["items"] == 6


def test_what_a_manager_remembers_is_brought_back(remembered):
    (remembered.store / "tasks" / "@manager.json").unlink()

    assert "statestore recover tasks/@manager" in remembered("verify", code=4).stdout
    remembered("recover", "tasks/@manager")

    assert remembered.json("show", "tasks/@manager")["data"] == {"limits": {"most": 2}}
    remembered("verify")


def test_what_a_manager_remembers_is_salvaged(remembered, tmp_path):
    damaged = remembered.store / "tasks" / "@manager.json"
    damaged.write_bytes(b"\0\0")

    value = remembered.json("recover", "--salvage", tmp_path / "new")

    assert (value["items"], value["from_journal"]) == (6, 1)
    new = type(remembered)(tmp_path / "new")
    assert new.json("show", "tasks/@manager")["data"] == {"limits": {"most": 2}}


def test_record_that_is_called_like_a_manager_is_shown_and_brought_back(remembered):
    with Store(remembered.store) as store:
        store.register(TaskManager()).create("mine", id="@manager")
    assert remembered.json("show", "tasks/@manager")["data"]["title"] == "mine"

    (remembered.store / "tasks" / "%40manager.json").unlink()
    remembered("recover", "tasks/@manager")

    assert remembered.json("show", "tasks/@manager")["data"]["title"] == "mine"
