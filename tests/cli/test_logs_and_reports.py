"""The kinds logs and reports at the command line."""

import json

import pytest

from statestore import Store
from statestore.managers import LogManager, ReportManager


@pytest.fixture
def filled(shell):
    with Store(shell.store) as store:
        logs = store.register(LogManager())
        logs.append("s1", "begun")
        logs.append("s1", "ended", type="stderr")
        store.register(ReportManager()).create("coverage", {"n": 1}, id="r/1", title="Weekly")
    return shell


def test_logs_and_reports_are_listed_and_shown(filled):
    assert [one["id"] for one in filled.json("ls", "logs")["records"]] == ["s1"]
    [report] = filled.json("ls", "reports", "--where", "type=coverage")["records"]
    assert (report["id"], report["title"]) == ("r/1", "Weekly")
    log = json.loads(filled("show", "logs/s1").stdout)
    assert [line["text"] for line in log["entries"]] == ["begun", "ended"]
    assert json.loads(filled("show", "reports/r/1").stdout)["data"] == {"n": 1}
    assert {"logs", "reports"} <= {one["kind"] for one in filled.json("ls")["kinds"]}


def test_empty_ones_are_known_all_the_same(shell):
    for kind in ("logs", "reports"):
        assert shell.json("ls", kind)["records"] == []
        shell("show", f"{kind}/none", code=3)


def test_record_that_does_not_fit_its_class_is_found_by_verify(filled):
    assert filled.json("verify")["failures"] == []
    path = filled.store / "reports" / "r%2F1.json"
    path.write_text(path.read_text().replace('"type": "coverage"', '"type": ""'))

    [failure] = filled.json("verify", code=4)["failures"]

    assert "r/1" in json.dumps(failure)


def test_no_command_makes_folders_for_them_or_minds_links(shell, tmp_path):
    (shell.store / "logs").symlink_to(tmp_path)
    transcript = tmp_path / "chat.json"
    transcript.write_text(json.dumps({"messages": [{"role": "user", "content": "hi"}]}))

    shell("import", transcript)
    shell("verify")
    shell("recover")

    assert not (shell.store / "reports").exists()
    assert (shell.store / "logs").is_symlink()


def test_backups_and_conversions_have_them(filled):
    filled("backup", "create", "--name", "all")
    [backup] = filled.json("backup", "list")["backups"]
    filled("convert", "--to", "yaml", "logs", "reports")

    assert backup["counts"]["logs"] == backup["counts"]["reports"] == 1
    assert (filled.store / "logs" / "s1.yaml").exists()
    assert "begun" in filled("show", "logs/s1").stdout
