"""Folders named logs and reports that a program had for itself before its store used them."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from statestore import SaveFailed, Store, UnsafeFile
from statestore.managers import LogManager, ReportManager, SessionManager
from statestore.services.recovery import salvage

OLD = (datetime.now(UTC) - timedelta(days=1)).timestamp()


@pytest.fixture
def root(tmp_path):
    """A store of sessions, with files of the program's own beside them."""
    root = tmp_path / "state"
    with Store(root) as store:
        store.register(SessionManager()).create(name="One", id="s1")
    for name, text in {
        "logs/server.log": "a line\n",
        "logs/session_s1_1700000000000.log": "an older program's\n",
        "logs/2026/05/deep.log": "deeper\n",
        "reports/weekly.html": "<p>fine</p>",
        "reports/README": "by hand",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (OLD, OLD))
    return root


@pytest.fixture
def foreign(root):
    """Return what a folder has of those files."""

    def read(folder=root):
        paths = [*(folder / "logs").rglob("*"), *(folder / "reports").rglob("*")]
        return {str(p.relative_to(folder)): p.read_text() for p in paths if p.is_file()}

    return read


def opened(root, **options):
    store = Store(root, **options)
    for make in (SessionManager, LogManager, ReportManager):
        store.register(make())
    return store


@pytest.mark.parametrize("registered", [True, False])
def test_verify_notes_them_and_finds_nothing_wrong(root, foreign, registered):
    before = foreign()
    with opened(root) if registered else Store(root) as store:
        store.load_all(strict=True)
        report = store.verify()
        statistics = store.stats()

    assert report.failures == ()
    assert report.items == 1
    assert {note.partition(":")[0] for note in report.notes} == {
        "logs/2026",
        "logs/server.log",
        "logs/session_s1_1700000000000.log",
        "reports/README",
        "reports/weekly.html",
    }
    assert (statistics.records, statistics.kinds["logs"].unreadable) == (1, 0)
    assert foreign() == before


def test_records_live_beside_them_through_all_that_a_store_does(root, foreign, tmp_path):
    before = foreign()
    with opened(root) as store:
        store.managers["logs"].append("s1", "ours")
        store.managers["reports"].create("x", 1, id="weekly")
        store.save_all()
        backup = store.backup(tmp_path / "backup")
        store.convert("yaml")
        store.clear("logs")
        store.restore(backup.path)
        assert store.verify().failures == ()
        store.clear()
        assert store.managers["reports"].all() == ()

    assert backup.counts == {"logs": 1, "reports": 1, "sessions": 1}
    assert foreign() == before


def test_salvage_takes_them_along(root, foreign, tmp_path):
    before = foreign()
    with opened(root) as store:
        store.managers["logs"].append("s1", "ours")

    report = salvage(root, tmp_path / "new")

    assert (report.items, report.failures) == (2, ())
    assert before.items() <= foreign(tmp_path / "new").items()
    with opened(tmp_path / "new") as store:
        store.load_all(strict=True)
        assert store.managers["logs"].text("s1").endswith(" log ours\n")


def test_json_file_that_is_no_record_goes_nowhere_but_to_quarantine(root, foreign):
    """As in the folder of every kind: it is kept, and told, and verify moves nothing."""
    report = root / "reports" / "old.json"
    report.write_text(json.dumps({"id": "old", "rows": []}))
    os.utime(report, (OLD, OLD))
    before = foreign()
    with Store(root) as store:
        failed = store.verify().failures
    assert [failure.key.id for failure in failed] == ["old"]
    assert foreign() == before

    with opened(root) as store:
        told = store.load_all().failures
    assert [failure.key.id for failure in told] == ["old"]
    [kept] = (root / "quarantine" / "reports").glob("*-old.json")
    assert json.loads(kept.read_text()) == {"id": "old", "rows": []}


def test_link_in_the_place_of_a_folder_is_left_and_harms_no_other_kind(tmp_path):
    elsewhere = tmp_path / "var"
    elsewhere.mkdir()
    root = tmp_path / "state"
    with Store(root) as store:
        sessions = store.register(SessionManager())
        sessions.create(id="s1")
        (root / "logs").symlink_to(elsewhere)

        assert store.save_all().items == 1
        assert store.verify().failures == ()
        assert store.kinds() == ["sessions"]
        with pytest.raises(UnsafeFile):
            store.register(LogManager())
    assert list(elsewhere.iterdir()) == []


def test_logs_and_reports_are_cleared_as_every_kind_is(root, foreign):
    before = foreign()
    with opened(root) as store:
        store.managers["logs"].append("s1", "x")
        store.save_all()
        assert store.clear("logs").deleted == 1
        (root / "reports" / "bad.json").write_text("{")
        with pytest.raises(SaveFailed):
            store.clear("reports")

    assert before.items() <= foreign().items()
