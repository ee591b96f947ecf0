"""backup create, list, verify and restore."""

from datetime import UTC, datetime

import pytest


def test_a_backup_is_made_listed_proved_and_restored_by_name(shell):
    made = shell.json("backup", "create")
    name = shell.json("backup", "list")["backups"][0]["name"]
    before = shell.json("show", "tasks/t1")["data"]
    for path in (shell.store / "tasks").iterdir():
        path.unlink()

    proved = shell("backup", "verify", name)
    restored = shell.json("backup", "restore", name, "--yes")

    assert made["items"] == 6
    assert "is intact: 6 records" in proved.stdout
    assert (restored["items"], restored["unchanged"]) == (3, 3)
    assert shell.json("show", "tasks/t1")["data"] == before


def test_a_backup_at_a_path(shell, tmp_path):
    result = shell("backup", "create", "copy")

    assert str(tmp_path / "copy") in result.stdout
    assert shell.json("backup", "verify", "copy")["items"] == 6
    assert shell.json("backup", "verify", tmp_path / "copy")["items"] == 6
    assert "exists already" in shell("backup", "create", "copy", code=5).stderr


def test_a_scheduled_backup_is_named_by_a_template(shell):
    shell("backup", "create", "--name", "daily-%Y-%m-%d")

    (one,) = shell.json("backup", "list")["backups"]
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    assert one["name"] <= f"daily-{today}"
    assert one["name"].startswith("daily-20")
    assert "exists already" in shell("backup", "create", "--name", one["name"], code=5).stderr
    assert "no plain name" in shell("backup", "create", "--name", "../x", code=2).stderr
    shell("backup", "create", "there", "--name", "x", code=2)


def test_a_backup_is_proved_without_a_store(shell, empty, tmp_path):
    shell("backup", "create", "copy")
    shell.store.rename(tmp_path / "gone")

    empty("backup", "verify", "copy")
    result = empty("backup", "restore", "copy")  # there is nothing to ask about
    assert "made a new store" in result.stderr
    assert "restored 6 records" in result.stdout


def test_list_without_backups(shell):
    result = shell("backup", "list")

    assert result.stdout == ""
    assert "backup create" in result.stderr
    assert shell.json("backup", "list")["backups"] == []


def test_list_shows_what_is_wrong_with_a_backup(shell):
    shell("backup", "create")
    folder = next((shell.store / "backups").iterdir())
    (folder / "manifest.json").write_text("{}")

    value = shell.json("backup", "list")["backups"][0]

    assert value["problem"]
    assert value["records"] is None
    assert folder.name in shell("backup", "list").stdout


def test_restore_asks_nobody_where_nobody_can_answer(shell):
    shell("backup", "create", "copy")
    (shell.store / "tasks" / "t1.json").unlink()

    result = shell("backup", "restore", "copy")

    assert "restored 1 record" in result.stdout
    assert (shell.store / "tasks" / "t1.json").exists()


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("y\n", 0)])
def test_restore_asks_at_a_terminal(shell, monkeypatch, answer, code):
    shell("backup", "create", "copy")
    (shell.store / "tasks" / "t1.json").unlink()
    monkeypatch.setattr("statestore.cli.backup_commands.is_attended", lambda: True)

    result = shell("backup", "restore", "copy", input=answer, code=code)

    assert "Replace all records" in result.stderr
    assert (shell.store / "tasks" / "t1.json").exists() == (code == 0)


def test_a_damaged_backup_restores_nothing(shell, tmp_path, visible):
    shell("backup", "create", "copy")
    with open(tmp_path / "copy" / "tasks" / "t1.json", "ab") as file:
        file.write(b" ")
    before = visible(shell.store)

    shell("backup", "verify", "copy", code=4)
    shell("backup", "restore", "copy", "--yes", code=4)

    assert visible(shell.store) == before


def test_a_backup_that_is_not_there(shell):
    shell("backup", "verify", "nope", code=3)
    shell("backup", "restore", "nope", "--yes", code=3)
    shell("backup", "restore", "nope", code=3)


def test_a_backup_without_what_cannot_be_read_says_so(broken):
    assert "tasks/t1" in broken("backup", "create", code=7).stderr
