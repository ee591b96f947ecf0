"""The tree of errors: each has an example, a code, a text that helps, and travels."""

import copy
import errno
import inspect
import pickle
from datetime import UTC, datetime

import pytest

import statestore
from statestore import errors
from statestore.errors import StateStoreError
from statestore.models.changes import Commit
from statestore.models.keys import Key
from statestore.models.problems import Problem
from statestore.models.reports import Failure, LoadReport, SaveReport

FAILURES = (
    Failure(Key("notes", "a"), "save", errors.EncodeError("$.n", "it is nan")),
    Failure(Key("notes", "b"), "save", errors.Conflict("notes", "b", 1, 2)),
)
REPORT = {
    "path": "/srv/store",
    "format": "json",
    "items": 1,
    "size_bytes": 10,
    "timestamp": datetime(2026, 1, 1, tzinfo=UTC),
    "duration_s": 0.5,
    "failures": FAILURES,
}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
COMMIT = Commit(3, datetime(2026, 1, 1, tzinfo=UTC), {Key("notes", "c"): 2})

# Each with what its text has to say: what, where, and where there is something, what to do.
EXAMPLES = [
    (StateStoreError("something"), ["something"]),
    (errors.ConfigurationError("statestore.toml: autosave", "is 7"), ["statestore.toml", "is 7"]),
    (errors.InvalidKind("Bad Kind", "is no name"), ["'Bad Kind'", "is no name"]),
    (errors.InvalidId("a\0\ud800", "has a NUL"), ["'a\\x00\\ud800'", "has a NUL"]),
    (errors.InvalidRecord("notes", "a", "title is no text"), ["notes/a", "title is no text"]),
    (errors.InvalidRecord("notes", None, "no id"), ["notes", "no id"]),
    (errors.NotARecordClass("Note", "it has no id"), ["'Note'", "it has no id"]),
    (errors.UnknownName("serializer", "x", ["json", "yaml"]), ["serializer", "'x'", "json, yaml"]),
    (errors.UnknownName("driver", "x", []), ["'x'", "none"]),
    (errors.NameTaken("serializer", "json"), ["'json'", "choose another"]),
    (errors.MissingExtra("driver", "s3", "statestore[s3]"), ["pip install 'statestore[s3]'"]),
    (errors.NotSupported("directory", "a feed"), ["directory", "a feed"]),
    (errors.EncodeError("$.tags[3]", "it is nan"), ["$.tags[3]", "it is nan"]),
    (errors.DecodeError("json", "line 3"), ["json", "line 3"]),
    (errors.TooLarge("gzip", "it has 9 bytes"), ["gzip", "9 bytes"]),
    (errors.TooDeep("yaml", "101 levels"), ["yaml", "101 levels"]),
    (errors.UnknownFormat("it is empty"), ["it is empty"]),
    (errors.AmbiguousFormat(["json", "yaml"]), ["json or yaml"]),
    (errors.FocusNotFound("focus", "c", "f\n"), ["focus/c", "'f\\n'", "statestore show focus/c"]),
    (errors.RecordNotFound("notes", "a"), ["notes/a", "statestore ls notes"]),
    (errors.RecordNotFound("notes", "a", "parent_id"), ["notes/a, which parent_id names"]),
    (
        errors.InvalidRecord("notes", "a", "n is 1 or 2", field="n", allowed=["1", "2"]),
        ["notes/a", "n is 1 or 2"],
    ),
    (errors.InvalidRecord("notes", None, "n takes 1 or 2"), ["notes: n takes 1 or 2"]),
    (
        errors.ValidationFailed("notes", "a", [Problem("due_at", "is before the beginning")]),
        ["notes/a", "due_at: is before the beginning"],
    ),
    (
        errors.ValidatorFailed("notes", "a", "has_owner", "raised KeyError"),
        ["'has_owner' raised KeyError", "notes/a", "nothing was changed"],
    ),
    (
        errors.InvalidTransition("tasks", "a", "failed", "paused", ["ready", "running"]),
        ["tasks/a is failed", "cannot become paused", "it can become: ready, running"],
    ),
    (
        errors.InvalidTransition("tasks", "a", "done", "paused"),
        ["cannot become paused, nor anything else"],
    ),
    (errors.SessionActive("sessions", "a", ["paused"]), ["sessions/a", "pause it", "force=True"]),
    (errors.ManagerMissing("sessions", "FocusManager"), ["'sessions'", "register(FocusManager())"]),
    (
        errors.TaskClaimed("tasks", "a", "ada", NOON, NOON),
        ["tasks/a is claimed by 'ada'", "since 20", "until 20", "force=True"],
    ),
    (errors.TaskClaimed("tasks", "a", "ada", NOON, None), ["'ada' since", "wait"]),
    (
        errors.LeaseLost("tasks", "a", "ada", "running", "bob"),
        ["tasks/a is no more", "'ada'", "running", "'bob'", "claim the next"],
    ),
    (errors.LeaseLost("tasks", "a", "ada", "succeeded"), ["'ada'", "is succeeded;"]),
    (errors.CircularReference("tasks", "a", "parent_id", "aba"), ["parent_id", "a -> b -> a"]),
    (
        errors.HasChildren("tasks", "a", ["b", "c", "d", "e"]),
        ["tasks/a is not deleted", "4 below it", "tasks/d, …", 'children="delete"'],
    ),
    (errors.ListenerFailed("tasks", "a", "updated", "KeyError"), ["'updated'", "KeyError", "made"]),
    (errors.WouldShrink("talks", "a", 9, 2), ["talks/a holds 9", "given 2", "truncate()"]),
    (errors.MessageNotFound("talks", "a", "m"), ["'m'", "talks/a", "statestore show talks/a"]),
    (errors.NothingActive("talks"), ["talks", "activate()"]),
    (errors.TokensNotCounted("talks", "a", "it raised"), ["talks/a", "it raised", "mend"]),
    (errors.DuplicateId("notes", "a"), ["notes/a", "replace()"]),
    (errors.Conflict("notes", "a", 1, 2), ["notes/a", "2", "1", "on_conflict"]),
    (errors.Conflict("notes", "a", 1, 1), ["notes/a", "edited", "on_conflict"]),
    (errors.Conflict("notes", "a", 0, 2), ["notes/a", "exists", "on_conflict"]),
    (errors.Conflict("notes", "a", 1, 0), ["notes/a", "gone", "on_conflict"]),
    (errors.Conflict("notes", "a", 1, 2, fields=["x"]), ["x; save", "'mine' or 'theirs', or"]),
    (
        errors.Conflict("notes", "a", 1, 1, in_memory=True),
        ["notes/a", "by somebody else", "repeat the transaction"],
    ),
    (errors.ManagerInUse("notes"), ["notes", "another store", "make a new one"]),
    (errors.StaleRecord("notes", "a"), ["notes/a", "read it again"]),
    (errors.CorruptRecord("notes/a.json", "it is empty"), ["notes/a.json", "empty", "mend it"]),
    (errors.UndecodableRecord("notes/a.json", "it is empty"), ["notes/a.json", "is empty"]),
    (
        errors.QuarantinedRecord("notes/a.json", "it is empty", "quarantine/notes/1-a.json"),
        ["notes/a.json", "is empty", "quarantine/notes/1-a.json", "statestore recover"],
    ),
    (errors.MisnamedRecord("notes/a.json", "b", "b.json"), ["notes/a.json", "'b'", "b.json"]),
    (errors.UnsafeFile("/srv/x", "is a pipe"), ["/srv/x", "is a pipe", "move it"]),
    (
        errors.RecordFileMissing("notes", "a b", 7, 6),
        ["notes/a b", "missing", "revision 6", "statestore recover 'notes/a b'"],
    ),
    (errors.RecordFileMissing("notes", "a", 7, 0), ["notes/a", "missing", "backup list"]),
    (errors.RecordNotLost("notes", "a", 7), ["notes/a", "7", "statestore show notes/a"]),
    (errors.NoVersionKept("notes", "a"), ["notes/a", "quarantine", "backup list"]),
    (errors.NotSalvaged("tasks/1.json", "it is empty"), ["tasks/1.json", "it is empty"]),
    (errors.FolderInUse("/srv/new"), ["/srv/new", "name a new one"]),
    (errors.StructureError("notes", "a", ["$.n: int wanted"]), ["notes/a", "$.n", "show notes/a"]),
    (
        errors.StructureError("notes", "a", ["$.n: int wanted"], is_stored=False),
        ["notes/a is not imported", "$.n", "nothing was changed"],
    ),
    (errors.NewerSchema("notes", "a", 3, 2), ["notes/a", "3", "2", "update the program"]),
    (errors.HeldKey("notes", "a", "notes/a.json", "a pipe"), ["notes/a", "a pipe", "move it"]),
    (
        errors.StorageError("/srv/x", "write", errno.ENOSPC, "full"),
        ["write", "/srv/x", "free some"],
    ),
    (errors.StorageError("/srv/x", "open", None, "it moved"), ["open", "/srv/x", "it moved"]),
    (errors.StoreNotFound("/srv/store"), ["/srv/store", "init"]),
    (errors.UnsafeStore("/srv/store", "others may write"), ["/srv/store", "others", "chmod go-w"]),
    (
        errors.StoreReplaced("/srv/store", "it was removed"),
        ["/srv/store", "it was removed", "nothing was written", "open the store again"],
    ),
    (
        errors.LockTimeout("/srv/lock", 30.0, 4711, "box", datetime(2026, 1, 2, tzinfo=UTC)),
        ["/srv/lock", "30 s", "4711", "'box'", "2026-01-02 00:00:00 UTC", "end it"],
    ),
    (errors.LockTimeout("/srv/lock", 0.5), ["/srv/lock", "0.5 s", "another process"]),
    (
        errors.UnsafeFilesystem("/srv/store", "nfs4", "it is on another machine"),
        ["/srv/store", "nfs4", "another machine", "local disk", "allow_unsafe=True"],
    ),
    (errors.UnsafeFilesystem("/srv", "", "its locks do nothing"), ["/srv", "do nothing"]),
    (errors.NewerLayout("/srv/meta.json", 2, 1), ["/srv/meta.json", "2", "1", "install a newer"]),
    (errors.CorruptStore("/srv/meta.json", "no JSON"), ["/srv/meta.json", "no JSON", "--salvage"]),
    (errors.ReadOnlyStore("/srv/store", "save"), ["cannot save", "/srv/store"]),
    (errors.StoreClosed("/srv/store"), ["/srv/store", "open it again"]),
    (
        errors.CorruptJournal("journal/1.log", 64, "its checksum is wrong"),
        ["journal/1.log", "64", "checksum", "nothing was changed", "recover --salvage"],
    ),
    (
        errors.StoreInDoubt("/srv/store"),
        ["/srv/store", "may or may not", "open the store again", "statestore recover"],
    ),
    (errors.FilesBehind(FAILURES), ["2 files", "safe", "notes/a", "statestore recover"]),
    (errors.StoreForked("/srv/store"), ["/srv/store", "fork", "begin it anew"]),
    (errors.NotPicklable("a store", "/srv"), ["a store", "pickled", "Store('/srv')"]),
    (errors.HistoryPruned("/srv/store", 3, 9), ["/srv/store", "9", "after 3", "after 8"]),
    (errors.TransactionFailed(FAILURES), ["rolled back", "notes/a", "read; take in", "refresh()"]),
    (errors.InTransaction("save"), ["cannot save", "within a transaction", "before or after"]),
    (errors.CommitRefused(FAILURES), ["nothing was written", "notes/a", "notes/b", "$.n"]),
    (errors.PartialCommit(COMMIT, FAILURES), ["a part was not written", "notes/a", "notes/b"]),
    (errors.SaveFailed(SaveReport(sequence=1, **REPORT)), ["2 records not saved", "notes/a"]),
    (errors.LoadFailed(LoadReport(**REPORT)), ["2 records not loaded", "notes/a"]),
    (errors.CallbackFailed("save", [ValueError("x"), KeyError("y")]), ["save", "ValueError: x"]),
    (errors.BackupExists("/srv/backup"), ["/srv/backup", "name a new"]),
    (errors.BackupNotFound("/srv/backup"), ["/srv/backup", "backup list"]),
    (errors.InvalidBackup("/srv/backup", ["a", "b", "c", "d"]), ["a; b; c", "and 1 more"]),
    (errors.UnknownTranscript("chat.json", "it is empty"), ["chat.json", "it is empty"]),
]
ERRORS = [error for error, _ in EXAMPLES]

CLASSES = [
    one
    for _, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, Exception) and one.__module__ == errors.__name__
]
PUBLIC = [one for one in CLASSES if not one.__name__.startswith("_")]


def name_of(value):
    return type(value).__name__ if isinstance(value, Exception) else None


def comparable(value):
    """Errors have no equality: compare them, and what holds them, by class and fields."""
    if isinstance(value, BaseException):
        return type(value), value.args if not vars(value) else comparable(vars(value))
    if isinstance(value, dict):
        return {name: comparable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [comparable(item) for item in value]
    if isinstance(value, Failure):
        return value.key, value.operation, comparable(value.error)
    if isinstance(value, SaveReport | LoadReport):
        fields = {name: getattr(value, name) for name in (*REPORT, "notes")}
        return type(value), comparable(fields)
    return value


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_class_belongs_to_the_tree(cls):
    assert issubclass(cls, StateStoreError)
    assert cls.exit_code in range(1, 8)


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_class_says_what_it_is_and_is_public(cls):
    assert vars(cls).get("__doc__")
    assert getattr(statestore, cls.__name__) is cls
    assert cls.__name__ in statestore.__all__


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_class_has_an_example(cls):
    assert any(type(error) is cls for error in ERRORS)


def test_what_is_raised_on_purpose_has_a_code_of_its_own():
    without = {type(error) for error in ERRORS if error.exit_code == 1}

    told = {errors.CallbackFailed, errors.ListenerFailed}
    assert without == {StateStoreError, errors.StoreClosed, *told}


@pytest.mark.parametrize(("error", "told"), EXAMPLES, ids=name_of)
def test_text_is_one_line_that_says_what_and_where(error, told):
    text = str(error)

    assert text.strip() == text != ""
    assert len(text.splitlines()) == 1
    assert [part for part in told if part not in text] == []
    assert "object at 0x" not in text


@pytest.mark.parametrize("error", ERRORS, ids=name_of)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_survives_pickling(error, protocol):
    again = pickle.loads(pickle.dumps(error, protocol))

    assert type(again) is type(error)
    assert comparable(vars(again)) == comparable(vars(error))
    assert str(again) == str(error)
    assert comparable(again.args) == comparable(error.args)


@pytest.mark.parametrize("error", ERRORS, ids=name_of)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_can_be_copied(error, copied):
    again = copied(error)

    assert again is not error
    assert comparable(again) == comparable(error)
    assert str(again) == str(error)


@pytest.mark.parametrize("error", ERRORS, ids=name_of)
def test_keeps_its_cause_and_notes(error):
    cause = OSError(5, "x")
    error = copy.copy(error)

    try:
        raise error from cause
    except StateStoreError as raised:
        raised.add_note("seen")

    assert error.__cause__ is cause
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["seen"]


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (errors.RecordNotFound, KeyError),
        (errors.DuplicateId, ValueError),
        (errors.InvalidId, ValueError),
        (errors.InvalidKind, ValueError),
        (errors.InvalidRecord, ValueError),
        (errors.EncodeError, ValueError),
        (errors.DecodeError, ValueError),
        (errors.UnknownName, LookupError),
        (errors.MissingExtra, ImportError),
        (errors.NotARecordClass, TypeError),
    ],
)
def test_old_habits_of_catching_work(cls, builtin):
    assert issubclass(cls, builtin)


def test_root_is_no_builtin_that_others_catch():
    assert StateStoreError.__bases__ == (Exception,)


def test_system_error_becomes_one_with_its_number_and_a_hint():
    error = errors.StorageError.from_os("/srv/x", "write", OSError(errno.ENOSPC, "No space left"))

    assert (error.path, error.operation, error.errno) == ("/srv/x", "write", errno.ENOSPC)
    assert str(error) == "cannot write '/srv/x': No space left; free some space and try again"


@pytest.mark.parametrize("given", [OSError(), OSError("odd"), OSError(errno.EIO, None)], ids=repr)
def test_system_error_without_words_gets_some(given):
    error = errors.StorageError.from_os("/srv/x", "write", given)

    assert error.errno == given.errno
    assert str(error).startswith("cannot write '/srv/x': ")


def test_many_failures_are_counted_and_not_all_printed():
    failures = [Failure(Key("notes", str(n)), "save", ValueError(f"e{n}")) for n in range(50)]

    text = str(errors.CommitRefused(failures))

    assert "notes/2: e2" in text
    assert "notes/3" not in text
    assert text.endswith("and 47 more")


def test_one_failure_is_told_in_the_singular():
    report = SaveReport(sequence=1, **{**REPORT, "failures": FAILURES[:1]})

    assert str(errors.SaveFailed(report)).startswith("1 record not saved")
    assert list(errors.SaveFailed(report).failures) == list(FAILURES[:1])


def test_an_id_cannot_reach_the_terminal_as_a_code():
    error = errors.RecordNotFound("notes", "a\n\x1b[31mred")

    assert "notes/a\\n\\x1b[31mred" in str(error)
    assert str(error).isprintable()


def test_a_failure_names_its_record_once():
    named = errors.RecordNotFound("notes", "a\nb")
    unnamed = errors.EncodeError("$.x", "it is nan")

    assert str(Failure(Key("notes", "a\nb"), "save", named)) == str(named)
    assert str(Failure(Key("notes", "a\nb"), "save", unnamed)).startswith("notes/a\\nb: value")
