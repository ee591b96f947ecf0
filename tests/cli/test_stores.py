"""init, info, verify, stats: commands about a store as a whole."""

import os
import tomllib

import attrs
import pytest

from statestore import Store
from statestore.models.configuration import Configuration


def test_init_makes_a_store_with_settings_and_gitignore(empty):
    result = empty("init")

    assert result.stdout.count("made ") == 3
    settings = tomllib.loads((empty.store / "statestore.toml").read_text())
    assert settings == attrs.asdict(Configuration())
    comments = (empty.store / "statestore.toml").read_text()
    assert all(f"# {name} " in comments for name in settings)
    ignored = (empty.store / ".gitignore").read_text().split()
    assert ignored == [".statestore/", "backups/", "quarantine/"]
    with Store(empty.store, read_only=True) as store:
        assert store.format == "json"


def test_init_twice_changes_nothing_and_says_so(empty, visible):
    empty("init", "--format", "yaml")
    before = visible(empty.store)

    again = empty("init")
    same_format = empty.json("init", "--format", "yaml")

    assert "nothing was changed" in again.stdout
    assert same_format["made"] == []
    assert visible(empty.store) == before


def test_init_leaves_the_files_of_people_alone(empty):
    empty.store.mkdir(mode=0o700)
    (empty.store / "statestore.toml").write_text('autosave = "on-change"\n')

    made = empty.json("init")["made"]

    assert not any(path.endswith("statestore.toml") for path in made)
    assert (empty.store / "statestore.toml").read_text() == 'autosave = "on-change"\n'


def test_init_at_a_path_of_its_own(empty, tmp_path):
    value = empty.json("init", tmp_path / "other")

    assert value["path"] == os.path.realpath(tmp_path / "other")
    assert not empty.store.exists()


def test_init_does_not_change_the_format_of_a_store(shell, visible):
    before = visible(shell.store)

    result = shell("init", "--format", "yaml", code=5)

    assert "convert --to yaml" in result.stderr
    assert visible(shell.store) == before


def test_init_with_an_unknown_format_makes_nothing(empty):
    empty("init", "--format", "nope", code=2)

    assert not empty.store.exists()


def test_init_notes_that_a_folder_holds_other_things(empty):
    (empty.store / "src").mkdir(parents=True)
    empty.store.chmod(0o700)

    assert "src" in empty("init").stderr


@pytest.mark.parametrize("path", ["", "memory:"])
def test_init_refuses_what_is_no_folder(empty, path):
    empty("--store", path, "init", code=2)


def test_info_says_what_the_store_is(shell):
    shell("init")
    value = shell.json("info")

    assert value["path"] == os.path.realpath(shell.store)
    assert (value["format"], value["layout"], len(value["store_id"])) == ("json", 1, 32)
    assert {name: kind["records"] for name, kind in value["kinds"].items()} == {
        "conversations": 1,
        "notes": 1,
        "sessions": 1,
        "tasks": 3,
    }
    assert value["configuration"]["autosave"] == "manual"
    assert "libyaml" not in value["versions"]
    assert "libyaml" in shell("-v", "info").stdout
    assert value["store_id"] in shell("info").stdout


def test_info_uses_the_configuration_that_is_named(shell, tmp_path):
    (tmp_path / "c.toml").write_text('backups = "../elsewhere"\n')

    value = shell.json("--config", tmp_path / "c.toml", "info")

    assert value["configuration"]["backups"] == "../elsewhere"
    (tmp_path / "c.toml").write_text("nonsense = 1\n")
    assert "nonsense" in shell("info", "--config", tmp_path / "c.toml", code=2).stderr


def test_a_store_that_is_saved_in_the_background_is_used_like_any_other(shell):
    shell("init")
    (shell.store / "statestore.toml").write_text("autosave = 5\n")

    assert shell.json("info")["configuration"]["autosave"] == 5
    assert "autosave" in shell("info").stdout
    assert shell.json("convert", "--to", "yaml")["items"] == 6
    (shell.store / "statestore.toml").write_text("autosave = 0\n")
    assert "autosave" in shell("info", code=2).stderr


def test_verify_of_a_sound_store(shell):
    assert shell("verify").stdout.startswith("6 sound records, 0 failures, 0 notes")
    assert shell.json("verify")["failures"] == []


def test_verify_names_every_fault_and_note_on_a_line_of_its_own(broken, listing):
    (broken.store / "tasks" / "note.txt").write_text("x")
    (broken.store / "sessions" / "s1.json").write_text("[]")
    before = listing(broken.store)

    lines = broken("verify", code=4).stdout.splitlines()
    value = broken.json("verify", code=4)

    assert sum(line.startswith("failed: ") for line in lines) == 2
    assert sum(line.startswith("note: ") for line in lines) == 1
    assert [one["key"] for one in value["failures"]] == ["sessions/s1", "tasks/t1"]
    assert {one["error"]["exit_code"] for one in value["failures"]} == {4}
    assert listing(broken.store) == before


def test_verify_knows_the_built_in_classes(shell):
    path = shell.store / "tasks" / "t1.json"
    path.write_text(path.read_text().replace('"pending"', '"sleepy"'))

    assert "status" in shell("verify", code=4).stdout


def test_stats_counts_per_kind_and_format(broken):
    broken("convert", "--to", "yaml", "sessions")

    value = broken.json("stats")
    result = broken("stats")

    assert value["kinds"]["sessions"]["formats"] == {"yaml": 1}
    assert (value["records"], value["unreadable"]) == (5, 1)
    assert result.stdout.splitlines()[-1].split()[:3] == ["total", "5", "1"]
    assert "statestore verify" in result.stderr
