"""Reports: values of the host's own, told by type, session and task."""

from datetime import UTC, datetime, timedelta

import attrs
import orjson
import pytest

from statestore import DuplicateId, InvalidRecord, Store
from statestore.managers import Report, ReportManager
from statestore.records.codec import codec_of

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
DATA = {"rows": [{"n": 1, "share": 0.5, "ok": True, "none": None}, "é\n", []], "deep": {"er": {}}}
IDS = (
    "task_1700000000000",
    "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
    "../../etc/passwd",
    "Weekly: Q3/2026",
    "x" * 1000,
    "con",
    "é 😀",
)


class Clock:
    def __init__(self):
        self.now = MOMENT

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def reports(clock):
    return ReportManager(clock=clock)


def ids(found):
    return [one.id for one in found]


def fill(reports, clock):
    """Make four reports, the third of them with the time of the second."""
    for id, type, fields in (
        ("r1", "coverage", {"session_id": "s1", "task_id": "t1"}),
        ("r3", "snapshot", {"session_id": "s2"}),
        ("r2", "coverage", {"session_id": "s1"}),
        ("r4", "coverage", {"task_id": "t1"}),
    ):
        reports.create(type, {"n": id}, id=id, **fields)
        if id != "r3":
            clock.now += timedelta(seconds=1)


def test_report_is_made_with_a_type_and_any_value(reports):
    report = reports.create("coverage", DATA, title="All", tags=["ci"], metadata={"by": "x"})

    assert reports.all() == (report,)
    assert (report.type, report.title, report.tags) == ("coverage", "All", ("ci",))
    assert report.data == {
        **DATA,
        "rows": ({"n": 1, "share": 0.5, "ok": True, "none": None}, "é\n", ()),
    }
    assert report.created_at == report.updated_at == MOMENT


@pytest.mark.parametrize("data", [None, True, 0, 1.5, "text", [], [1, [2]], {}, DATA], ids=repr)
def test_any_json_value_is_a_report_s_data_and_a_copy_of_it(tmp_path, data):
    kept = orjson.dumps(data)
    with Store(tmp_path) as store:
        report = store.register(ReportManager()).create("x", data)
        if isinstance(data, list):
            data.append("later")

    with Store(tmp_path) as store:
        reports = store.register(ReportManager())
        store.load_all(strict=True)
        assert reports[report.id] == report
        assert orjson.dumps(store.raw(f"reports/{report.id}")["data"]) == kept


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": ""},
        {"type": None},
        {"type": 5},
        {"data": {1, 2}},
        {"data": float("nan")},
        {"data": {"at": MOMENT}},
        {"title": None},
        {"session_id": 5},
        {"task_id": 5},
        {"tags": "one"},
        {"created_at": "today"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_value_that_is_none_is_refused_before_anything_changes(reports, wrong):
    with pytest.raises(InvalidRecord):
        reports.create(**{"type": "x", **wrong})
    kept = reports.create("x", 1, id="kept")
    with pytest.raises(InvalidRecord):
        reports.update("kept", **wrong)

    assert reports.all() == (kept,)


def test_refusal_names_the_field_and_where_in_it(reports):
    with pytest.raises(InvalidRecord, match="type takes a text"):
        reports.create("")
    with pytest.raises(InvalidRecord, match=r"data takes JSON values; \$\.data\[1\]\.at: "):
        reports.create("x", [1, {"at": MOMENT}])


@pytest.mark.parametrize("id", IDS, ids=lambda id: ascii(id)[:30])
def test_any_id_is_taken_and_its_file_is_a_readable_one_in_the_folder(tmp_path, id):
    with Store(tmp_path / "state") as store:
        reports = store.register(ReportManager())
        reports.create("x", DATA, id=id)
        with pytest.raises(DuplicateId):
            reports.create("x", id=id)
        store.save_all()
        path = store.path_of(f"reports/{id}")
        with open(path, "rb") as file:
            envelope = orjson.loads(file.read())

    assert (envelope["data"]["id"], envelope["data"]["data"]) == (id, DATA)
    assert list(envelope["data"])[-1] == "data"
    [file] = (tmp_path / "state" / "reports").iterdir()
    assert str(file.resolve()) == path
    assert {one.name for one in tmp_path.iterdir()} == {"state"}


def test_reports_are_found_by_what_they_are_about(reports, clock):
    fill(reports, clock)

    assert ids(reports.by_type("coverage")) == ["r1", "r2", "r4"]
    assert ids(reports.by_session("s1")) == ["r1", "r2"]
    assert ids(reports.by_task("t1")) == ["r1", "r4"]
    assert reports.by_type("x") == reports.by_session("x") == reports.by_task("x") == ()


def test_recent_and_latest_go_by_the_time_of_making_and_then_the_id(reports, clock):
    fill(reports, clock)
    reports.update("r1", title="changed last")

    assert ids(reports.recent(3)) == ["r4", "r3", "r2"]
    assert ids(reports.recent()) == ["r4", "r3", "r2", "r1"]
    assert reports.recent(0) == ()
    assert reports.latest("coverage").id == "r4"
    assert reports.latest("snapshot").id == "r3"
    assert reports.latest("x") is None
    for wrong in (-1, 1.5, True):
        with pytest.raises(InvalidRecord, match="n takes an integer from 0"):
            reports.recent(wrong)


@pytest.mark.parametrize("format", ["json", "compact", "gzip", "yaml"])
def test_every_field_is_equal_after_a_reload(tmp_path, format):
    report = Report(
        "r",
        type="odd",
        title="é\n",
        session_id="s",
        task_id="t",
        tags=("a", "b"),
        metadata={"k": [1, None]},
        created_at=MOMENT,
        updated_at=MOMENT + timedelta(days=1),
        extra={"newer": {"field": 1.5}},
        data=DATA,
    )
    with Store(tmp_path, format=format) as store:
        store.register(ReportManager()).add(report)

    with Store(tmp_path) as store:
        reports = store.register(ReportManager())
        store.load_all(strict=True)
        assert reports["r"] == report
        assert all(getattr(report, one.name) != one.default for one in attrs.fields(Report))
        assert codec_of(Report).read_exact(store.raw("reports/r")) == report
