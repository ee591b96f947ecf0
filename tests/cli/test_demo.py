"""The demonstration, and that it notices when something is not so."""

import json

import pytest

from statestore.cli.problems import DemoFailed
from statestore.cli.telling import Story


def test_demo_passes_and_leaves_nothing(empty, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    result = empty("demo")

    assert result.stdout.splitlines()[-1].startswith("demo: 10 steps, ")
    assert result.stdout.splitlines()[-1].endswith(" checks passed")
    assert result.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_demo_as_json(empty):
    value = empty.json("demo")

    assert len(value["steps"]) == 10
    assert value["checks"] == sum(len(step["checks"]) for step in value["steps"])
    assert value["kept"] is None


def test_demo_keeps_a_sound_store(empty, tmp_path):
    empty("demo", "--keep", "kept")

    kept = tmp_path / "kept"
    assert {path.name for path in kept.iterdir()} == {"store", "transcripts", "backup"}
    result = empty("--store", kept / "store", "verify", "--json")
    assert json.loads(result.stdout)["items"] == 11
    assert "not an empty folder" in empty("demo", "--keep", "kept", code=5).stderr


def test_a_check_that_fails_ends_the_demo(empty, monkeypatch):
    monkeypatch.setattr("statestore.cli.story.SAMPLE_MESSAGES", 14)

    result = empty("demo", code=1)

    assert "no message is missing" in result.stderr
    assert empty.json("demo", code=1)["error"]["type"] == "DemoFailed"


def test_a_story_counts_only_what_holds(capsys):
    story = Story(quiet=True)
    with story.step("first"):
        story.check(True, "one is one")
    with pytest.raises(DemoFailed), story.step("second"):
        story.check(False, "one is two")

    assert story.checks == 1
    assert capsys.readouterr().out == ""
