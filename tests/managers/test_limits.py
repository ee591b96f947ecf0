"""Limits of managers: remembered by the store as records are, and shown as none."""

import contextlib
import json
import os
import threading
from datetime import UTC, datetime

import attrs
import pytest

from statestore import Manager, Store
from statestore.errors import (
    Conflict,
    InvalidRecord,
    QuarantinedRecord,
    SaveFailed,
    StoreClosed,
    StructureError,
    TransactionFailed,
)
from statestore.managers import Task
from statestore.managers.limits import Limited
from statestore.models.changes import Patch, Stored
from statestore.models.keys import SETTINGS_ID, Key, settings_key
from statestore.records.fields import integer_field

KEY = settings_key("jobs")


@attrs.frozen
class JobLimits:
    """0 is without limit, and so is None."""

    most: int = integer_field(100, low=0)
    longest: int | None = integer_field(None, low=1)


class Jobs(Limited[Task, JobLimits]):
    limits_class = JobLimits

    def __init__(self, limits=None):
        super().__init__("jobs", Task, limits=limits)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def opened(path):
    """Open the store, with its jobs loaded; closed at the end without saving."""
    stores = []

    def open(limits=None, *, place=None, load=True, **options):
        store = Store(place or path, **options)
        stores.append(store)
        jobs = store.register(Jobs(limits))
        if load:
            store.load_all(strict=True)
        return store, jobs

    yield open
    for store in stores:
        store._engine.driver.close()


@pytest.fixture
def file(path):
    return path / "jobs" / "@manager.json"


def stored(path):
    with Store(path, read_only=True) as store:
        return store.raw(KEY)["limits"]


def test_limits_are_those_of_the_class_until_somebody_sets_them(opened, file):
    store, jobs = opened()
    jobs.create(title="a", id="a")
    store.save_all()
    store.flush()

    assert jobs.limits == JobLimits(most=100, longest=None)
    assert jobs.limits is jobs.limits  # made once: they are asked for at each operation
    assert not file.exists()


def test_limits_that_were_set_are_in_effect_at_once_and_after_a_reload(opened):
    store, jobs = opened()

    assert jobs.set_limits(most=5) == jobs.limits == JobLimits(most=5, longest=None)
    assert store.save_all().items == 1
    jobs.set_limits(longest=7)
    store.save_all()

    assert opened()[1].limits == JobLimits(most=5, longest=7)
    assert stored(store.path) == {"most": 5, "longest": 7}


def test_limit_can_be_taken_away_again(opened):
    store, jobs = opened()
    jobs.set_limits(longest=7)
    store.save_all()
    jobs.set_limits(longest=None)
    store.save_all()

    assert opened()[1].limits == JobLimits()
    assert stored(store.path) == {"longest": None}


def test_only_what_was_set_is_stored_so_that_better_defaults_count(opened, monkeypatch):
    @attrs.frozen
    class Newer:
        most: int = integer_field(200)
        longest: int | None = integer_field(300)
        widest: int = integer_field(400)

    store, jobs = opened()
    jobs.set_limits(most=5)
    store.save_all()
    monkeypatch.setattr(Jobs, "limits_class", Newer)

    assert opened()[1].limits == Newer(most=5, longest=300, widest=400)


def test_unsaved_limits_are_shown_as_a_change_and_saved_on_close(path):
    with Store(path) as store:
        jobs = store.register(Jobs())
        jobs.set_limits(most=5)

        assert store.unsaved == (KEY,)
        assert str(store.unsaved[0]) == "jobs/@manager"
        assert jobs.unsaved == (SETTINGS_ID,)

    assert stored(path) == {"most": 5}


def test_setting_what_is_so_already_is_no_change(opened):
    store, jobs = opened()
    jobs.set_limits()
    assert store.unsaved == ()
    jobs.set_limits(most=5)
    store.save_all()

    jobs.set_limits(most=5)

    assert store.unsaved == ()


def test_limits_are_no_record_to_the_host(opened):
    store, jobs = opened()
    told = []
    jobs.on("*", told.append)
    store.on("*", told.append)
    jobs.set_limits(most=5)
    store.save_all()
    other, theirs = opened(load=False)

    assert other.load_all().items == 0
    for manager in (jobs, theirs):
        assert (manager.all(), manager.ids(), len(manager), list(manager)) == ((), (), 0, [])
        assert SETTINGS_ID not in manager
        assert "@manager" not in manager
        assert manager.get(SETTINGS_ID) is None
        assert manager.delete_all() == 0
    assert list(store.scan("jobs")) == []
    assert store.stats().records == 0
    assert store.verify().items == 0
    assert told == []


def test_limits_are_no_record_within_a_transaction_either(opened):
    store, jobs = opened()
    with store.transaction():
        jobs.create(title="a", id="a")
        jobs.set_limits(most=5)

        assert jobs.ids() == ("a",)
        assert (len(jobs), SETTINGS_ID in jobs, jobs.get(SETTINGS_ID)) == (1, False, None)
        assert jobs.delete_all() == 1
        assert jobs.limits.most == 5

    assert stored(store.path) == {"most": 5}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"most": -1}, "most"),
        ({"most": "5"}, "most"),
        ({"longest": 0}, "longest"),
        ({"most": 7, "longest": 1.5}, "longest"),
        ({"fastest": 1}, "fastest"),
    ],
)
def test_limit_that_cannot_be_is_refused_and_named(opened, changes, field):
    store, jobs = opened()
    jobs.set_limits(most=5)
    store.save_all()

    with pytest.raises(InvalidRecord, match=field) as refused:
        jobs.set_limits(**changes)
    with pytest.raises(InvalidRecord, match=field):
        Jobs(changes)

    assert refused.value.field == field
    assert "None" not in str(refused.value)
    assert jobs.limits == JobLimits(most=5)
    assert store.unsaved == ()


def test_limits_of_another_class_are_refused():
    with pytest.raises(InvalidRecord, match="JobLimits"):
        Jobs(5)


def test_document_that_says_that_it_is_settings_is_not_imported(opened):
    store, jobs = opened()

    with pytest.raises(StructureError):
        jobs.import_document(
            {"kind": "jobs", "schema": 1, "data": {"id": SETTINGS_ID, "limits": {"most": 5}}}
        )

    assert (jobs.limits, store.unsaved, len(jobs)) == (JobLimits(), (), 0)


# --- given to the constructor ----------------------------------------------------------


@pytest.mark.parametrize("given", [{"most": 9}, JobLimits(most=9)])
def test_limits_given_to_the_constructor_beat_the_stored_ones_one_by_one(opened, given):
    store, jobs = opened()
    jobs.set_limits(most=5, longest=7)
    store.save_all()

    other, theirs = opened(given)

    assert theirs.limits == JobLimits(most=9, longest=7)
    assert other.unsaved == ()
    other.save_all()
    assert stored(store.path) == {"most": 5, "longest": 7}


def test_limit_that_is_given_can_be_set_all_the_same(opened):
    store, jobs = opened({"most": 9, "longest": 8})
    assert jobs.set_limits(most=5) == JobLimits(most=5, longest=8)
    store.save_all()

    assert stored(store.path) == {"most": 5}
    assert jobs.set_limits(most=9) == JobLimits(most=9, longest=8)
    store.save_all()
    assert stored(store.path) == {"most": 9}


def test_given_limit_is_over_when_a_transaction_that_sets_it_is_made(opened):
    store, jobs = opened()
    jobs.set_limits(most=5)
    store.save_all()
    store, jobs = opened({"most": 9})

    with contextlib.suppress(ZeroDivisionError), store.transaction():
        assert jobs.set_limits(most=5).most == 5
        raise ZeroDivisionError
    assert jobs.limits.most == 9
    seen = []
    with store.transaction():
        assert jobs.set_limits(most=5).most == 5
        thread = threading.Thread(target=lambda: seen.append(jobs.limits.most))
        thread.start()
        thread.join()

    assert seen == [9]
    assert jobs.limits.most == 5
    other, theirs = opened()
    theirs.set_limits(most=3)
    other.save_all()
    store.refresh()
    assert jobs.limits.most == 3


# --- transactions, autosave, the end ----------------------------------------------------


def test_limits_are_a_part_of_a_transaction(opened):
    store, jobs = opened()
    with contextlib.suppress(ZeroDivisionError), store.transaction():
        jobs.set_limits(most=5)
        jobs.create(title="a", id="a")
        raise ZeroDivisionError
    assert (jobs.limits.most, store.sequence) == (100, 0)

    with store.transaction():
        jobs.set_limits(most=5)
        jobs.create(title="a", id="a")

    assert store.sequence == 1
    other, theirs = opened()
    assert (theirs.limits.most, theirs.ids()) == (5, ("a",))
    assert store.unsaved == other.unsaved == ()


def test_transaction_of_limits_alone_is_committed(opened):
    store, jobs = opened()
    with store.transaction():
        jobs.set_limits(most=5)

    assert stored(store.path) == {"most": 5}


def test_limits_are_durable_at_once_where_each_operation_is(opened):
    store, jobs = opened(autosave="on-change")
    jobs.set_limits(most=5)

    assert store.unsaved == ()
    assert stored(store.path) == {"most": 5}


def test_reload_keeps_unsaved_limits_or_drops_them(opened):
    store, jobs = opened()
    jobs.set_limits(most=5)
    store.save_all()
    jobs.set_limits(most=6)

    assert store.load_all().kept == (KEY,)
    assert jobs.limits.most == 6
    assert store.load_all(discard=True).kept == ()
    assert jobs.limits.most == 5
    assert store.unsaved == ()


def test_limits_of_a_closed_store_cannot_be_set(opened):
    store, jobs = opened()
    store.close()

    with pytest.raises(StoreClosed):
        jobs.set_limits(most=5)
    assert jobs.limits.most == 100


def test_limits_without_a_store_are_in_memory(opened):
    jobs = Jobs({"longest": 3})
    assert jobs.set_limits(most=5) == JobLimits(most=5, longest=3)

    store = Store("memory:")
    store.register(jobs)
    store.save_all()
    assert store.raw("jobs/@manager") == {"limits": {"most": 5}}


def test_forked_child_has_the_limits_that_are_saved(opened):
    store, jobs = opened()
    jobs.set_limits(most=5)
    store.save_all()
    jobs.set_limits(most=6)

    child = os.fork()
    if not child:
        try:
            jobs.set_limits(longest=jobs.limits.most)
            store.save_all()
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    assert stored(store.path) == {"most": 5, "longest": 5}


# --- with others -----------------------------------------------------------------------


def test_limits_that_others_set_come_with_a_refresh_and_count_as_no_record(opened):
    _, ours = here = opened()
    store, jobs = opened()
    jobs.set_limits(most=5)
    store.save_all()

    report = here[0].refresh()

    assert ours.limits.most == 5
    assert (report.items, report.changes, report.failures) == (0, (), ())
    assert here[0].refresh().items == 0


@pytest.mark.parametrize("was_set", [False, True])
def test_different_limits_of_two_processes_are_merged(opened, was_set):
    if was_set:
        store, jobs = opened()
        jobs.set_limits(most=1, longest=1)
        store.save_all()
    (one, jobs), (other, theirs) = opened(), opened()
    jobs.set_limits(most=5)
    theirs.set_limits(longest=7)
    one.save_all()

    with pytest.raises(SaveFailed) as failed:
        other.save_all()
    assert isinstance(failed.value.report.failures[0].error, Conflict)
    assert failed.value.report.failures[0].key == KEY
    report = other.save_all(on_conflict="merge")

    assert [(one.key, one.how) for one in report.resolved] == [(KEY, "merged")]
    assert theirs.limits == JobLimits(most=5, longest=7)
    one.refresh()
    assert jobs.limits == JobLimits(most=5, longest=7)


def test_one_limit_that_two_processes_set_differently_stays_a_conflict(opened):
    (one, jobs), (other, theirs) = opened(), opened()
    jobs.set_limits(most=5)
    theirs.set_limits(most=7)
    one.save_all()

    with pytest.raises(SaveFailed, match=r"jobs/@manager .*limits\.most"):
        other.save_all(on_conflict="merge")
    assert other.unsaved == (KEY,)
    assert theirs.limits.most == 7
    other.save_all(on_conflict="theirs")
    assert theirs.limits.most == 5
    theirs.set_limits(most=8)
    jobs.set_limits(most=9)
    one.save_all()
    other.save_all(on_conflict="mine")
    one.refresh()
    assert jobs.limits.most == 8


def test_transactions_of_two_processes_are_merged(opened):
    (one, jobs), (other, theirs) = opened(), opened({"longest": 3}, on_conflict="merge")
    jobs.set_limits(most=5)
    one.save_all()

    with other.transaction():
        theirs.set_limits(longest=7)
        theirs.create(title="a", id="a")

    assert theirs.limits == JobLimits(most=5, longest=7)
    assert stored(one.path) == {"most": 5, "longest": 7}
    with pytest.raises(TransactionFailed), one.transaction():
        jobs.set_limits(longest=9)
    assert jobs.limits == JobLimits(most=5)
    jobs.set_limits(most=6)  # nobody is waited for any more
    one.save_all(on_conflict="merge")
    assert jobs.limits == JobLimits(most=6, longest=7)


def test_patch_of_limits_by_others_is_read_whole_and_checked(opened):
    (one, jobs), (other, _) = opened(), opened()
    jobs.set_limits(most=5)
    one.save_all()

    other._engine.driver.commit([Patch(KEY, {"theme": "dark"})], {})
    assert one.refresh().failures == ()
    jobs.set_limits(longest=7)
    one.save_all()
    assert one.raw(KEY) == {"limits": {"most": 5, "longest": 7}, "theme": "dark"}
    other._engine.driver.commit([Patch(KEY, {"limits": {"most": "x"}})], {})

    [failure] = one.refresh().failures
    assert (failure.key, type(failure.error)) == (KEY, StructureError)
    assert jobs.limits == JobLimits(most=5, longest=7)


def test_unsaved_limits_are_kept_where_others_were_faster(opened):
    store, jobs = opened()
    jobs.set_limits(most=5)
    theirs = Stored(KEY, {"limits": {"most": 7}}, 1, 1, datetime(2026, 1, 1, tzinfo=UTC))

    [pending], _ = jobs.pending()
    brought, kept = jobs.bring_in({SETTINGS_ID: jobs.decode(theirs)})

    assert (brought, kept) == ([], [SETTINGS_ID])
    assert jobs.limits.most == 5
    assert jobs.is_current(pending)
    jobs.set_limits(most=6)
    assert not jobs.is_current(pending)
    store.load_all(discard=True)


def test_manager_without_limits_leaves_those_of_others_alone(opened, path):
    store, jobs = opened()
    jobs.set_limits(most=5)
    jobs.create(title="a", id="a")
    store.save_all()
    with Store(path) as plain:
        tasks = plain.register(Manager("jobs", Task))
        assert plain.load_all(strict=True).items == 1
        jobs.set_limits(most=6)
        store.save_all()
        assert plain.refresh().failures == ()
        assert plain.verify().failures == ()
        assert tasks.ids() == ("a",)
        plain.clear("jobs")

    assert stored(path) == {"most": 6}


def test_trouble_with_limits_of_others_passes_for_a_manager_that_has_none(opened, path, file):
    store, jobs = opened()
    jobs.set_limits(most=5)
    store.save_all()
    store.flush()
    file.rename(path / "kept")
    file.mkdir()
    with Store(path) as plain:
        tasks = plain.register(Manager("jobs", Task))
        assert [one.key for one in plain.load_all().failures] == [KEY]
        file.rmdir()
        (path / "kept").rename(file)
        jobs.create(title="a", id="a")
        store.save_all()

        report = plain.refresh()

        assert (report.failures, report.items, tasks.ids()) == ((), 1, ("a",))


# --- the file --------------------------------------------------------------------------


def test_limits_are_one_readable_file(opened, file):
    store, jobs = opened()
    jobs.set_limits(most=5)
    store.save_all()
    store.flush()

    content = json.loads(file.read_text())

    assert list(content) == ["kind", "schema", "revision", "saved_at", "data"]
    assert (content["kind"], content["revision"]) == ("jobs", 1)
    assert content["data"] == {"limits": {"most": 5}}
    assert sorted(os.listdir(file.parent)) == ["@manager.json"]


def test_record_of_the_same_name_goes_on_working(opened, file):
    store, jobs = opened()
    jobs.create(title="mine", id="@manager")
    jobs.set_limits(most=5)
    store.save_all()
    store.flush()
    other, theirs = opened()

    assert sorted(os.listdir(file.parent)) == ["%40manager.json", "@manager.json"]
    assert (theirs["@manager"].title, theirs.limits.most) == ("mine", 5)
    assert other.raw("jobs/@manager")["title"] == "mine"
    assert other.raw(KEY) == {"limits": {"most": 5}}
    theirs.delete("@manager")
    other.save_all()
    assert other.raw("jobs/@manager") == {"limits": {"most": 5}}


def test_fields_and_limits_that_are_not_known_are_kept(opened, file):
    store, jobs = opened()
    jobs.set_limits(most=5)
    store.save_all()
    store.close()
    content = json.loads(file.read_text())
    content["later"] = 1
    content["data"] = {"limits": {"most": 6, "deepest": {"a": 1}}, "theme": "dark"}
    file.write_text(json.dumps(content))

    store, jobs = opened()
    assert jobs.limits == JobLimits(most=6)
    assert store.sequence == 2  # the edit is a commit
    jobs.set_limits(longest=7)
    store.save_all()
    store.close()

    content = json.loads(file.read_text())
    assert (content["later"], content["revision"]) == (1, 3)
    assert content["data"] == {
        "limits": {"most": 6, "deepest": {"a": 1}, "longest": 7},
        "theme": "dark",
    }


@pytest.mark.parametrize("limits", [{"most": "x"}, {"most": -1}, ["most"]])
def test_stored_limits_that_do_not_fit_are_told_and_left(opened, file, limits):
    store, jobs = opened()
    jobs.set_limits(most=5)
    jobs.create(title="a", id="a")
    store.save_all()
    store.close()
    content = json.loads(file.read_text())
    content["data"]["limits"] = limits
    file.write_text(json.dumps(content))

    store, jobs = opened(load=False)
    report = store.load_all()

    assert [one.key for one in report.failures] == [KEY]
    assert isinstance(report.failures[0].error, StructureError)
    assert (jobs.ids(), jobs.limits.most) == (("a",), 100)
    assert [one.key for one in store.verify().failures] == [KEY]
    jobs.set_limits(most=7)
    with pytest.raises(SaveFailed, match="jobs/@manager"):
        store.save_all()
    store.load_all(discard=True)
    assert (jobs.limits.most, store.unsaved) == (100, ())
    store.close()
    assert json.loads(file.read_text())["data"]["limits"] == limits


def test_damaged_file_is_told_by_verify_and_brought_back_from_the_history(opened, file):
    store, jobs = opened()
    jobs.set_limits(most=5)
    store.save_all()
    store.close()
    file.write_text("{}")
    os.utime(file, (1, 1))

    store, jobs = opened(load=False)
    assert [one.key for one in store.verify().failures] == [KEY]
    report = store.load_all()
    assert [type(one.error) for one in report.failures] == [QuarantinedRecord]
    assert jobs.limits.most == 100

    assert store.bring_back("jobs/@manager").revision == 2
    assert jobs.limits.most == 5
    assert store.verify().failures == ()


def test_file_that_is_missing_is_told_and_brought_back(opened, file):
    store, jobs = opened()
    jobs.set_limits(most=5)
    store.save_all()
    store.close()
    file.unlink()

    store, jobs = opened()
    assert jobs.limits.most == 100
    assert [str(one.key) for one in store.verify().failures] == ["jobs/@manager"]
    store.bring_back(KEY)
    assert jobs.limits.most == 5


def test_clear_removes_records_and_leaves_limits(opened, file):
    store, jobs = opened()
    jobs.set_limits(most=5)
    jobs.create(title="a", id="a")
    store.save_all()

    assert store.clear().deleted == 1
    assert (len(jobs), jobs.limits.most) == (0, 5)
    assert store.clear("jobs").deleted == 0
    assert opened()[1].limits.most == 5


@pytest.mark.parametrize("format", ["yaml", "gzip", "compact"])
def test_limits_are_converted(opened, format, path):
    store, jobs = opened()
    jobs.set_limits(most=5)
    store.save_all()
    store.flush()
    before = (path / "jobs/@manager.json").read_bytes()

    store.convert(format)

    [name] = os.listdir(path / "jobs")
    assert name.startswith("@manager.")
    assert opened()[1].limits.most == 5
    jobs.set_limits(most=6)
    store.save_all()
    store.flush()
    assert os.listdir(path / "jobs") == [name]
    jobs.set_limits(most=5)
    store.convert("json")
    assert os.listdir(path / "jobs") == ["@manager.json"]
    assert len(before) == len((path / "jobs/@manager.json").read_bytes())


@pytest.mark.parametrize("place", ["memory:", None])
def test_limits_are_backed_up_and_restored(opened, tmp_path, place):
    store, jobs = opened(place=place)
    jobs.set_limits(most=5)
    jobs.create(title="a", id="a")
    store.save_all()
    store.backup(tmp_path / "copy")
    jobs.set_limits(most=6, longest=1)
    jobs.create(title="b", id="b")
    store.save_all()

    store.restore(tmp_path / "copy")
    assert (jobs.limits, jobs.ids()) == (JobLimits(most=5), ("a",))
    other, theirs = opened(place=tmp_path / "new")
    other.restore(tmp_path / "copy")
    assert theirs.limits == JobLimits(most=5)


def test_restore_of_a_backup_without_limits_ends_those_that_were_set(opened, tmp_path):
    store, jobs = opened()
    jobs.create(title="a", id="a")
    store.save_all()
    store.backup(tmp_path / "copy")
    jobs.set_limits(most=5)
    store.save_all()

    store.restore(tmp_path / "copy")

    assert jobs.limits == JobLimits()
    assert opened()[1].limits == JobLimits()


def test_limits_are_in_the_history(opened):
    store, jobs = opened(source="me")
    jobs.set_limits(most=5)
    store.save_all()

    [commit] = store.history()

    assert (commit.source, dict(commit.revisions)) == ("me", {KEY: 1})


def test_keys_of_records_and_of_limits_are_two(opened):
    assert KEY.is_settings
    assert not Key("jobs", "@manager").is_settings
    assert Key("jobs", "@manager") != KEY
