"""Session logs: one log for each session, to which any number of processes add."""

import multiprocessing
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from statestore import Conflict, InvalidId, InvalidRecord, RecordNotFound, SaveFailed, Store
from statestore.drivers.directory import DirectoryDriver
from statestore.engine.engine import Engine
from statestore.files.calls import SystemFiles
from statestore.managers import LogEntry, LogManager, SessionLog, SessionManager
from statestore.models.changes import Patch, Put

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
HOSTILE = (
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "A",
    "a",
    "con",
    "x" * 1000,
    "session\n1",
    "a.json",
    "s_1.log",
    "é/😀",
)
LIMIT_S = 60  # only against a hang


class Clock:
    def __init__(self):
        self.now = MOMENT

    def __call__(self):
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def logs():
    return LogManager(clock=Clock())


def opened(path, **options):
    """Open a store with logs, as one of several programs does."""
    store = Store(path, **options)
    return store, store.register(LogManager())


def texts(log):
    return [one.text for one in log.entries]


# --- one process ------------------------------------------------------------------------


def test_first_line_makes_the_log_and_all_others_go_to_it(logs):
    first = logs.append("s1", "one")
    logs.append("s1", "two", type="stderr", source="make")
    logs.append("s2", "else")

    assert logs.ids() == ("s1", "s2")
    assert first == LogEntry(text="one", at=MOMENT + timedelta(seconds=1))
    assert texts(logs["s1"]) == ["one", "two"]
    assert (logs["s1"].entries[1].type, logs["s1"].entries[1].source) == ("stderr", "make")


def test_line_keeps_fields_that_are_not_known(logs):
    entry = logs.append("s", "x", metadata={"pid": 7}, level=3)

    assert (entry.metadata, entry.extra) == ({"pid": 7}, {"level": 3})


def test_lines_are_added_all_at_once_or_none(logs):
    logs.append("s", "one")

    log = logs.append_many("s", ["two", LogEntry(text="three", at=MOMENT)])
    for wrong in (["four", 5], "four", [None], None, 5):
        for id in ("s", "new"):
            with pytest.raises(InvalidRecord, match="lines") as refused:
                logs.append_many(id, wrong)
            assert refused.value.field == "lines"

    assert log is logs["s"]
    assert texts(log) == ["one", "two", "three"]
    assert logs.ids() == ("s",)


def test_no_lines_change_nothing_but_make_a_log(logs):
    empty = logs.append_many("s", [])

    assert (empty.id, empty.entries) == ("s", ())
    assert logs.append_many("s", []) is empty


@pytest.mark.parametrize(
    "fields",
    [
        {"text": 5},
        {"text": "half \ud83d"},
        {"text": "x", "type": None},
        {"text": "x", "at": MOMENT.isoformat()},
        {"text": "x", "metadata": {"k": b"x"}},
        {"text": "x", "extra": None, "more": float("nan")},
        {"text": "x", "extra": 5, "more": 1},
    ],
    ids=ascii,
)
def test_line_that_cannot_be_one_is_refused_before_anything_changes(logs, fields):
    wrong = next((name for name in ("at", "type", "metadata", "extra") if name in fields), "text")
    with pytest.raises(InvalidRecord) as refused:
        logs.append("s", **fields)

    assert refused.value.field == wrong
    assert len(logs) == 0


def test_line_that_was_refused_keeps_none_behind_it_from_being_saved(tmp_path):
    with Store(tmp_path / "s", autosave="on-change") as store:
        logs = store.register(LogManager())
        logs.append("s", "one")
        with pytest.raises(InvalidRecord):
            logs.append("s", "half \ud83d")
        logs.append("s", "two")
    with Store(tmp_path / "s", read_only=True) as store:
        logs = store.register(LogManager())
        store.load_all()
        assert texts(logs["s"]) == ["one", "two"]


def test_log_is_named_by_its_record_too(logs):
    log = logs.append_many("s", ["one"])
    logs.append(log, "two")

    assert texts(logs["s"]) == ["one", "two"]
    assert [one.text for one in logs.tail(log, 1)] == ["two"]


def test_id_that_names_nothing_is_refused(logs):
    for wrong in ("", "a\0b", None, 5):
        with pytest.raises(InvalidId):
            logs.append(wrong, "x")

    assert len(logs) == 0


def test_entries_are_chosen_by_type_time_and_number(logs):
    for number in range(6):
        logs.append("s", str(number), type="error" if number % 2 else "log")
    at = [one.at for one in logs["s"].entries]

    def chosen(**by):
        return "".join(one.text for one in logs.entries("s", **by))

    assert chosen() == "012345"
    assert chosen(types="error") == chosen(types=["error", "debug"]) == "135"
    assert chosen(types=[]) == ""
    assert chosen(since=at[2]) == "2345"
    assert chosen(until=at[2]) == "01"
    assert chosen(since=at[1], until=at[4], types="error", last=1) == "3"
    assert [chosen(last=n) for n in (0, 2, 9)] == ["", "45", "012345"]
    assert ["".join(e.text for e in logs.tail("s", n)) for n in (0, 2, 9)] == ["", "45", "012345"]


def test_range_that_says_nothing_is_refused(logs):
    logs.append("s", "x")

    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    for by in ({"since": naive}, {"until": naive}, {"since": "today"}, {"until": 5}):
        with pytest.raises(InvalidRecord, match=next(iter(by))):
            logs.entries("s", **by)
    for number in (-1, 1.5, True):
        with pytest.raises(InvalidRecord, match="from 0") as refused:
            logs.entries("s", last=number)
        assert refused.value.field == "last"
        with pytest.raises(InvalidRecord, match="from 0") as refused:
            logs.tail("s", number)
        assert refused.value.field == "n"
    for types in (5, [5], [["log"]]):
        with pytest.raises(InvalidRecord) as refused:
            logs.entries("s", types=types)
        assert refused.value.field == "types"


def test_session_without_a_log_has_none(logs):
    for read in (logs.entries, logs.tail, logs.text):
        with pytest.raises(RecordNotFound):
            read("s")


def test_text_has_a_line_for_each_entry_that_no_entry_can_forge(logs):
    logs.append("s", "plain")
    logs.append("s", "two\nlines\u2028three", type="err\nor", source="a\nb")
    logs.append("s", "")

    assert logs.text("s").split("\n") == [
        "2026-05-06T07:08:10.000000Z log plain",
        "2026-05-06T07:08:12.000000Z err or [a b] two",
        "\tlines",
        "\tthree",
        "2026-05-06T07:08:14.000000Z log ",
        "",
    ]
    assert logs.text("s", last=0) == ""


def test_log_belongs_to_its_session_alone_and_needs_none(tmp_path):
    with Store(tmp_path) as store:
        sessions, logs = store.register(SessionManager()), store.register(LogManager())
        session = sessions.create(name="One")
        logs.append(session.id, "x")
        sessions.delete(session.id)

        assert texts(logs[session.id]) == ["x"]


# --- what is stored ---------------------------------------------------------------------


@pytest.mark.parametrize("format", ["json", "compact", "gzip", "yaml"])
def test_every_field_is_equal_after_a_reload(tmp_path, format):
    log = SessionLog(
        "s",
        tags=("a",),
        metadata={"k": [1, None]},
        created_at=MOMENT,
        updated_at=MOMENT + timedelta(days=1),
        extra={"newer": {"field": 1.5}},
        entries=[
            LogEntry(
                text="é\n", type="odd", source="x", at=MOMENT, metadata={"n": 1}, extra={"e": 2}
            )
        ],
    )
    with Store(tmp_path, format=format) as store:
        store.register(LogManager()).add(log)
        default = store.managers["logs"].append_many("d", [])

    with Store(tmp_path) as store:
        logs = store.register(LogManager())
        store.load_all(strict=True)

        assert logs["s"] == log
        assert logs["d"] == default
        assert attrs.fields(SessionLog)[-1].name == "entries"
        assert list(store.raw("logs/s"))[-2:] == ["newer", "entries"]


@pytest.mark.parametrize("id", HOSTILE, ids=ascii)
def test_any_id_of_a_session_stays_inside_of_the_folder(tmp_path, id):
    root = tmp_path / "deep" / "er" / "state"
    with Store(root) as store:
        logs = store.register(LogManager())
        logs.append(id, "first")
        store.save_all()
        path = store.path_of(f"logs/{id}")

    assert os.path.dirname(path) == os.path.realpath(root / "logs")
    assert len(list((root / "logs").iterdir())) == 1
    assert {one.name for one in (tmp_path / "deep" / "er").iterdir()} == {"state"}
    with Store(root) as store:
        logs = store.register(LogManager())
        store.load_all(strict=True)
        assert texts(logs[id]) == ["first"]


def test_line_is_handed_over_alone_and_durable_when_the_call_returns(tmp_path):
    store, logs = opened(tmp_path, autosave="on-change")
    with store:
        for number in range(3):
            logs.append("s", str(number))
            assert store.unsaved == ()
            assert [one["text"] for one in store.raw("logs/s")["entries"]][-1] == str(number)
        first, *rest = [commit.changes for commit in store.changes()]

    assert isinstance(first[0], Put)
    for [change], number in zip(rest, (1, 2), strict=True):
        assert isinstance(change, Patch)
        [append] = change.append
        assert (append.field, append.from_length, len(append.items)) == ("entries", number, 1)


class CountingFiles(SystemFiles):
    """The system's files, with the number of bytes that went to a journal."""

    def __init__(self):
        super().__init__()
        self.journalled = 0

    def write_at(self, fd, data, offset):
        self.journalled += len(data)
        return super().write_at(fd, data, offset)


@pytest.mark.timeout(300)
def test_ten_thousand_lines_one_by_one_cost_the_journal_what_they_are(tmp_path):
    files = CountingFiles()
    store = Store("memory:")
    store._engine = Engine(DirectoryDriver(tmp_path, files=files), save_on_change=True)
    logs = store.register(LogManager(clock=lambda: MOMENT))
    written = []
    for number in range(10_000):
        before = files.journalled
        logs.append("s", f"line {number:05}")
        written.append(files.journalled - before)
    store.close()

    usual = sorted(written)[len(written) // 2]
    assert usual < 1000
    # Now and then a page is zeroed, or a new segment begun, with what is in no file yet.
    assert sum(written[5000:]) < 1.5 * sum(written[:5000])
    assert sum(written) < 2 * usual * len(written)
    with Store(tmp_path) as again:
        logs = again.register(LogManager())
        again.load_all(strict=True)
        assert texts(logs["s"]) == [f"line {number:05}" for number in range(10_000)]


# --- several processes ------------------------------------------------------------------


@pytest.mark.parametrize("autosave", ["manual", "on-change"])
def test_lines_of_two_programs_that_both_make_the_log_are_all_in_it(tmp_path, autosave):
    one, mine = opened(tmp_path, autosave=autosave)
    two, other = opened(tmp_path, autosave=autosave)
    with one, two:
        one.load_all()
        two.load_all()

        mine.append("s", "mine 1")
        mine.append("s", "mine 2")
        other.append("s", "other 1")
        if autosave == "manual":
            one.save_all()
            two.save_all()
        mine.append("s", "mine 3")
        one.save_all()
        two.refresh()

        together = ["mine 1", "mine 2", "other 1", "mine 3"]
        assert texts(mine["s"]) == texts(other["s"]) == together
        assert [line["text"] for line in one.raw("logs/s")["entries"]] == together
        assert one.unsaved == two.unsaved == ()


def test_lines_are_added_to_a_log_that_was_never_loaded(tmp_path):
    with Store(tmp_path) as store:
        store.register(LogManager()).append("s", "before")
    store, logs = opened(tmp_path, autosave="on-change")
    with store:
        logs.append("s", "behind")

        assert texts(logs["s"]) == ["before", "behind"]
        assert len(store.raw("logs/s")["entries"]) == 2


@pytest.mark.parametrize("in_memory", [True, False])
def test_lines_of_a_transaction_are_added_to_a_log_that_others_have_made(tmp_path, in_memory):
    one, mine = opened(tmp_path)
    two, other = opened(tmp_path)
    with one, two:
        one.load_all()
        two.load_all()

        with one.transaction():
            mine.append("s", "mine")
            other.append("s", "other")
            two.save_all()
            if in_memory:
                thread = threading.Thread(target=one.refresh)
                thread.start()
                thread.join(LIMIT_S)

        assert texts(mine["s"]) == ["other", "mine"]
        assert len(two.raw("logs/s")["entries"]) == 2


def test_what_else_two_programs_say_of_a_log_that_both_make_is_a_conflict(tmp_path):
    one, mine = opened(tmp_path)
    two, other = opened(tmp_path)
    with one, two:
        mine.append("s", "mine")
        other.append("s", "other")
        other.update("s", tags=["red"])
        one.save_all()

        with pytest.raises(SaveFailed) as failed:
            two.save_all()
        assert isinstance(failed.value.report.failures[0].error, Conflict)
        assert texts(other["s"]) == ["other"]

        two.save_all(on_conflict="merge")
        assert (texts(other["s"]), other["s"].tags) == (["mine", "other"], ("red",))


def test_lines_for_a_log_that_another_program_has_deleted_stay_and_are_told(tmp_path):
    one, mine = opened(tmp_path)
    two, other = opened(tmp_path)
    with one, two:
        mine.append("s", "first")
        one.save_all()
        two.load_all()
        mine.delete("s")
        one.save_all()
        other.append("s", "late")

        with pytest.raises(SaveFailed):
            two.save_all()
        assert texts(other["s"]) == ["first", "late"]

        two.save_all(on_conflict="mine")
        assert len(two.raw("logs/s")["entries"]) == 2


def test_threads_that_make_the_same_log_lose_nothing(tmp_path):
    store, logs = opened(tmp_path, autosave="on-change")
    begin = threading.Barrier(4)

    def work(name):
        begin.wait(LIMIT_S)
        for number in range(25):
            logs.append("s", f"{name} {number}")

    with store:
        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_S)

        assert sorted(texts(logs["s"])) == sorted(f"{n} {m}" for n in range(4) for m in range(25))
        assert len(store.raw("logs/s")["entries"]) == 100


def _write(path, name, begin, autosave):
    store, logs = opened(path, autosave=autosave, source=f"agent-{name}")
    with store:
        store.load_all()
        begin.wait(LIMIT_S)
        for number in range(20):
            logs.append("shared", f"{name} {number}")
            store.save_all()


@pytest.mark.parametrize("autosave", ["manual", "on-change"])
def test_processes_that_write_one_log_at_once_lose_nothing(tmp_path, autosave, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # where the children find this module
    context = multiprocessing.get_context("spawn")
    begin = context.Barrier(3)
    agents = [
        context.Process(target=_write, args=(tmp_path, name, begin, autosave)) for name in range(3)
    ]
    for agent in agents:
        agent.start()
    for agent in agents:
        agent.join(LIMIT_S)

    assert [agent.exitcode for agent in agents] == [0, 0, 0]
    with Store(tmp_path) as store:
        logs = store.register(LogManager())
        store.load_all(strict=True)
        written = texts(logs["shared"])
    for name in range(3):  # each in its own order
        own = [text for text in written if text.startswith(f"{name} ")]
        assert own == [f"{name} {number}" for number in range(20)]
    assert len(written) == 60
