"""The contract of drivers, as tests to inherit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from statestore.drivers.driver import Driver
from statestore.errors import (
    CommitRefused,
    Conflict,
    EncodeError,
    InvalidId,
    InvalidKind,
    NotSupported,
    RecordNotFound,
    StoreClosed,
)
from statestore.models.changes import Append, Change, Commit, Delete, Patch, Put, Stored
from statestore.models.documents import INT_MAX, INT_MIN, MAX_LEVEL, FrozenDict, Json, freeze, thaw
from statestore.models.keys import MAX_ID_BYTES, Key, settings_key
from statestore.models.reports import Failure

KIND = "notes"

HOSTILE_IDS = (
    *("../x", "/abs", "a/b", "a\\b", ".", "..", "...", "CON", "con", "nul.txt", "com1", "a.", " a"),
    *("a ", "A", "a", "-rf", "--", ".tmp", ".@x.tmp", "a.tmp", "a.json", "a.json.gz", ".json"),
    *("manifest.json", "meta.json", ".statestore", "@manager", "@manager.json", "~", "%", "%2F"),
    *("a%2Fb", "a~aaaaaaaaaaaa", "*", "?", "a:b", '"', "|", "<>", "$HOME", "`id`", "0", "null"),
    *("\n", "a\nb", "\r\n", "\t", "\x1b[31m", "\x7f", "\u202e", "\ufeff", "\u00e9", "e\u0301"),
    *("\u00c9", "\u00df", "\u0130", "\U0001f600", "\U0001f469\u200d\U0001f4bb", "\u00e9" * 200),
    *("x" * 120, "x" * 121, "x" * MAX_ID_BYTES, "\u4e2d" * (MAX_ID_BYTES // 3)),
)
"""Ids that some file system, shell or format takes for something else. No two are the same."""

INVALID_IDS = ("", "\0", "a\0b", "\ud800", "a\udfff", "x" * (MAX_ID_BYTES + 1), "\u00e9" * 513)
"""Ids that no driver stores."""

INVALID_KINDS = ("", "Notes", "1st", "a/b", "..", "a.b", "notes\n", "archive", "con", "x" * 65)
"""Kinds that no driver stores."""

HOSTILE_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -0.0, 1.0, 1e22, 5e-324, INT_MIN, INT_MAX, 2**53 + 1, "", [], {}),
    *(
        "no",
        "1:30",
        "~",
        "\0",
        "\x1b",
        "\x85",
        "\u2028",
        "\ufeff",
        "a\r\nb",
        " a\nb ",
        "\U0001f600",
    ),
    *([[], [[]], {}], {"": {"": ""}}, {"id": "other"}, {"a.b": 1, "$": 2, "[0]": 3, "<<": 4}),
)
"""Values that some format gives back as something else."""

REFUSED_VALUES: tuple[Any, ...] = (
    *(float("nan"), float("inf"), float("-inf"), INT_MAX + 1, INT_MIN - 1, "a\ud800", b"bytes"),
    *({"\ud800": 1}, {1: 2}, {"set"}, object(), datetime(2026, 1, 1, tzinfo=UTC)),
)
"""Values that no driver stores."""


class SteppedClock:
    """A clock that stands still until it is moved, forwards or backwards."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 17, 0, 0, 123456, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        """Move it: `move(days=-1)`."""
        self.now += timedelta(**by)


def key(id: str, kind: str = KIND) -> Key:
    """Return the key of a record to test with."""
    return Key(kind, id)


def put(id: str, kind: str = KIND, **fields: Any) -> Put:
    """Return the change that makes a record of `fields`."""
    return Put(key(id, kind), {"id": id, **fields})


def patch(id: str, *append: Append, **fields: Any) -> Patch:
    """Return the change that sets `fields` of a record, and appends."""
    return Patch(key(id), fields, append)


def contents(driver: Driver, kind: str = KIND) -> dict[str, Any]:
    """Return what a driver holds of a kind: id → plain document. Fails where one is unreadable."""
    found: dict[str, Any] = {}
    for one in driver.scan(kind):
        assert isinstance(one, Stored), one
        assert one.key.id not in found
        found[one.key.id] = thaw(one.document)
    return found


def refused(
    driver: Driver, changes: Sequence[Change], expect: Mapping[Key, int]
) -> dict[Key | None, Exception]:
    """Commit what must be refused whole; return the errors by key."""
    with pytest.raises(CommitRefused) as raised:
        driver.commit(changes, expect)
    failures = raised.value.failures
    assert all(isinstance(failure, Failure) for failure in failures)
    errors = {failure.key: failure.error for failure in failures if isinstance(failure, Failure)}
    assert len(errors) == len(failures), "one failure per key"
    return errors


class DriverContract:
    """What every driver does.

    Inherit it in a test module under a name that begins with "Test"; give the driver, empty, as the
    fixture `driver`, made with the clock of the fixture `clock`.
    """

    @pytest.fixture
    def clock(self) -> SteppedClock:
        return SteppedClock()

    @pytest.fixture
    def driver(self, clock: SteppedClock) -> Driver:
        raise NotImplementedError("give the driver to test")

    # --- what goes in comes out -------------------------------------------------------

    def test_begins_empty(self, driver: Driver) -> None:
        assert driver.sequence == 0
        assert list(driver.kinds()) == []
        assert contents(driver) == {}
        with pytest.raises(RecordNotFound):
            driver.read(key("a"))

    def test_says_what_and_where_it_is(self, driver: Driver) -> None:
        assert driver.traits.name
        assert driver.path
        assert driver.run

    def test_put_is_read_as_it_was_given(self, driver: Driver, clock: SteppedClock) -> None:
        document: dict[str, Any] = {
            "id": "a",
            "title": "First",
            "tags": ["x", {"y": None}],
            "n": 1.5,
        }

        commit = driver.commit([Put(key("a"), document, schema=3)], {})
        stored = driver.read(key("a"))

        assert thaw(stored.document) == document
        assert (stored.key, stored.schema, stored.revision) == (key("a"), 3, 1)
        assert stored.saved_at == commit.committed_at == clock.now
        assert commit.revisions == {key("a"): 1}
        assert commit.run == driver.run
        assert commit.size_bytes > 0  # the file that it has by now may be shorter
        assert stored.size_bytes > 0

    def test_frozen_document_is_kept_as_a_plain_one(self, driver: Driver) -> None:
        document = freeze({"id": "a", "tags": ["x", {"y": [1]}]})

        driver.commit([Put(key("a"), document)], {})

        assert thaw(driver.read(key("a")).document) == thaw(document)

    def test_order_of_fields_is_kept(self, driver: Driver) -> None:
        document: dict[str, Any] = {"z": 1, "id": "a", "b": {"y": 1, "x": 2}, "a": 3}

        driver.commit([Put(key("a"), document)], {})
        stored = driver.read(key("a")).document

        assert list(stored) == list(document)
        assert list(stored["b"]) == ["y", "x"]

    @pytest.mark.parametrize("value", HOSTILE_VALUES, ids=lambda value: ascii(value)[:30])
    def test_hostile_value_comes_back(self, driver: Driver, value: Json) -> None:
        driver.commit([put("a", field=value, list=[value])], {})

        document = thaw(driver.read(key("a")).document)

        assert repr(document) == repr({"id": "a", "field": value, "list": [value]})

    @pytest.mark.parametrize("id", HOSTILE_IDS, ids=lambda id: ascii(id)[:30])
    def test_hostile_id_comes_back(self, driver: Driver, id: str) -> None:
        driver.commit([put(id, n=1)], {key(id): 0})
        driver.commit([put(id, n=2)], {key(id): 1})

        assert thaw(driver.read(key(id)).document) == {"id": id, "n": 2}
        assert contents(driver) == {id: {"id": id, "n": 2}}

        driver.commit([Delete(key(id))], {key(id): 2})
        assert contents(driver) == {}

    def test_hostile_ids_live_side_by_side(self, driver: Driver) -> None:
        driver.commit([put(id, own=id) for id in HOSTILE_IDS], {key(id): 0 for id in HOSTILE_IDS})

        assert contents(driver) == {id: {"id": id, "own": id} for id in HOSTILE_IDS}
        for id in HOSTILE_IDS:
            assert driver.read(key(id)).document["own"] == id

    def test_kinds_do_not_share_records(self, driver: Driver) -> None:
        driver.commit([put("a", n=1), put("a", "tasks", n=2)], {})
        driver.commit([Delete(key("a"))], {})

        assert contents(driver) == {}
        assert contents(driver, "tasks") == {"a": {"id": "a", "n": 2}}

    # --- what a manager remembers -----------------------------------------------------

    def test_settings_are_kept_beside_records(self, driver: Driver) -> None:
        """They are under a key of their own, and have revisions, conflicts and commits alike."""
        settings = settings_key(KIND)
        first = driver.commit([Put(settings, {"limits": {"most": 1}}), put("@manager")], {})
        second = driver.commit([Put(settings, {"limits": {"most": 2}})], {settings: 1})

        assert first.revisions == {settings: 1, key("@manager"): 1}
        assert second.revisions == {settings: 2}
        assert thaw(driver.read(settings).document) == {"limits": {"most": 2}}
        assert driver.read(settings).revision == 2
        assert sorted(contents(driver)) == sorted([settings.id, "@manager"])
        assert isinstance(
            refused(driver, [Put(settings, {"limits": {}})], {settings: 1})[settings], Conflict
        )

        driver.commit([patch(settings.id, theme="dark")], {settings: 2})
        assert thaw(driver.read(settings).document) == {"limits": {"most": 2}, "theme": "dark"}
        driver.commit([Delete(settings)], {settings: 3})
        assert contents(driver) == {"@manager": {"id": "@manager"}}
        assert driver.commit([Put(settings, {})], {settings: 0}).revisions == {settings: 5}

    @pytest.mark.parametrize("id", ["@manager", settings_key(KIND).id, "a", ""])
    def test_settings_have_no_id(self, driver: Driver, id: str) -> None:
        settings = settings_key(KIND)
        driver.commit([Put(settings, {"n": 1})], {})

        for change in (Put(settings, {"id": id, "n": 2}), Patch(settings, {"id": id})):
            assert isinstance(refused(driver, [change], {})[settings], EncodeError)
        assert contents(driver) == {settings.id: {"n": 1}}

    # --- reading ----------------------------------------------------------------------

    def test_scan_gives_what_read_gives(self, driver: Driver) -> None:
        driver.commit([put("b", n=1), put("a", n=2)], {})
        driver.commit([patch("b", n=3), put("c")], {})

        scanned = list(driver.scan(KIND))

        assert [one.key.id for one in scanned if isinstance(one, Stored)] == ["a", "b", "c"]
        assert scanned == [driver.read(key(id)) for id in "abc"]

    def test_scan_of_an_unknown_kind_is_empty(self, driver: Driver) -> None:
        driver.commit([put("a")], {})

        assert list(driver.scan("tasks")) == []
        assert list(driver.kinds()) == [KIND]

    def test_kinds_are_sorted(self, driver: Driver) -> None:
        driver.commit([put("a", "tasks"), put("a", "focus"), put("a", "notes")], {})

        assert list(driver.kinds()) == ["focus", "notes", "tasks"]

    def test_what_was_read_is_a_copy(self, driver: Driver) -> None:
        driver.commit([put("a", tags=["x"], context={"n": 1})], {})

        scanned = [one for one in driver.scan(KIND) if isinstance(one, Stored)]
        for stored in (driver.read(key("a")), *scanned):
            document: Any = stored.document
            document["tags"].append("y")
            document["context"]["n"] = 2
            document["new"] = True

        assert contents(driver) == {"a": {"id": "a", "tags": ["x"], "context": {"n": 1}}}

    def test_what_was_put_may_change_afterwards(self, driver: Driver) -> None:
        document: dict[str, Any] = {"id": "a", "tags": ["x"]}
        driver.commit([Put(key("a"), document)], {})

        document["tags"].append("y")

        assert contents(driver) == {"a": {"id": "a", "tags": ["x"]}}

    def test_missing_record_is_named(self, driver: Driver) -> None:
        driver.commit([put("a")], {})

        with pytest.raises(RecordNotFound) as raised:
            driver.read(key("b"))

        assert (raised.value.kind, raised.value.id) == (KIND, "b")

    # --- batches ----------------------------------------------------------------------

    def test_changes_happen_in_their_order(self, driver: Driver) -> None:
        driver.commit([put("a", n=1), patch("a", n=2), Delete(key("a")), put("a", m=3)], {})

        assert contents(driver) == {"a": {"id": "a", "m": 3}}

    def test_later_change_wins(self, driver: Driver) -> None:
        driver.commit([put("a", n=1), put("b", n=1), put("a", n=2), Delete(key("b"))], {})

        assert contents(driver) == {"a": {"id": "a", "n": 2}}

    def test_several_changes_of_a_key_are_one_revision(self, driver: Driver) -> None:
        commit = driver.commit([put("a", n=1), put("a", n=2), patch("a", n=3)], {key("a"): 0})

        assert commit.revisions == {key("a"): 1}
        assert driver.read(key("a")).revision == 1

    def test_each_commit_takes_the_next_sequence(self, driver: Driver) -> None:
        sequences = [driver.commit([put("a", n=n)], {}).sequence for n in range(3)]

        assert sequences == [1, 2, 3]
        assert driver.sequence == 3

    @pytest.mark.parametrize("before", [0, 1])
    def test_no_change_is_no_commit(self, driver: Driver, before: int) -> None:
        made = [driver.commit([put("a")], {}) for _ in range(before)]

        nothing: list[list[Change]] = [
            [],
            [Delete(key("gone"))],
            [put("new"), Delete(key("new"))],
        ]
        for changes in nothing:
            commit = driver.commit(changes, {})

            assert commit.sequence == driver.sequence == before
            assert not commit.revisions
            assert commit.size_bytes == 0
            assert all(commit.committed_at == one.committed_at for one in made)
        assert list(contents(driver)) == ["a"] * before

    # --- revisions --------------------------------------------------------------------

    def test_revision_is_one_more_with_each_commit(self, driver: Driver) -> None:
        for n in range(1, 4):
            commit = driver.commit([put("a", n=n), put(f"other-{n}")], {})

            assert commit.revisions == {key("a"): n, key(f"other-{n}"): 1}
            assert driver.read(key("a")).revision == n

    def test_equal_content_takes_a_revision_too(self, driver: Driver) -> None:
        driver.commit([put("a")], {})

        assert driver.commit([put("a")], {}).revisions == {key("a"): 2}

    def test_revision_is_never_used_again(self, driver: Driver) -> None:
        driver.commit([put("a")], {})
        driver.commit([put("a")], {})

        deleted = driver.commit([Delete(key("a"))], {key("a"): 2})
        again = driver.commit([put("a")], {key("a"): 0})

        assert deleted.revisions == {key("a"): 3}
        assert again.revisions == {key("a"): 4}
        assert driver.read(key("a")).revision == 4

    def test_refused_commit_takes_no_revision_and_no_sequence(self, driver: Driver) -> None:
        driver.commit([put("a")], {})

        refused(driver, [put("a"), put("b")], {key("a"): 7})

        commit = driver.commit([put("a"), put("b")], {})
        assert commit.revisions == {key("a"): 2, key("b"): 1}
        assert commit.sequence == 2

    # --- what is expected -------------------------------------------------------------

    def test_expected_revision_is_accepted(self, driver: Driver) -> None:
        driver.commit([put("a", n=1)], {key("a"): 0})
        driver.commit([put("a", n=2)], {key("a"): 1})
        driver.commit([patch("a", n=3)], {key("a"): 2})
        driver.commit([Delete(key("a"))], {key("a"): 3})

        assert contents(driver) == {}

    @pytest.mark.parametrize("expected", [0, 1, 3])
    def test_another_revision_is_a_conflict(self, driver: Driver, expected: int) -> None:
        driver.commit([put("a", n=1)], {})
        driver.commit([put("a", n=2)], {})

        for change in (put("a", n=3), patch("a", n=3), Delete(key("a"))):
            error = refused(driver, [change], {key("a"): expected})[key("a")]

            assert isinstance(error, Conflict)
            assert (error.kind, error.id) == (KIND, "a")
            assert (error.expected, error.found) == (expected, 2)
        assert contents(driver) == {"a": {"id": "a", "n": 2}}

    def test_expecting_what_is_not_there_is_a_conflict(self, driver: Driver) -> None:
        for change in (put("a"), patch("a", n=1)):
            error = refused(driver, [change], {key("a"): 1})[key("a")]

            assert isinstance(error, Conflict)
            assert (error.expected, error.found) == (1, 0)

    def test_deleting_what_is_gone_is_no_conflict(self, driver: Driver) -> None:
        driver.commit([put("a")], {})
        driver.commit([Delete(key("a"))], {key("a"): 1})

        driver.commit([Delete(key("a")), put("b")], {key("a"): 1})

        assert list(contents(driver)) == ["b"]

    def test_what_is_only_expected_is_checked_and_not_changed(self, driver: Driver) -> None:
        driver.commit([put("a", n=1)], {})

        commit = driver.commit([put("b")], {key("a"): 1, key("never"): 0})
        error = refused(driver, [put("c")], {key("a"): 2})[key("a")]

        assert commit.revisions == {key("b"): 1}
        assert isinstance(error, Conflict)
        assert driver.read(key("a")).revision == 1
        assert list(contents(driver)) == ["a", "b"]

    def test_only_expected_key_that_is_gone_is_a_conflict(self, driver: Driver) -> None:
        error = refused(driver, [put("b")], {key("a"): 1})[key("a")]

        assert isinstance(error, Conflict)
        assert contents(driver) == {}

    def test_refused_commit_writes_nothing_and_names_every_key(self, driver: Driver) -> None:
        driver.commit([put("a", n=1), put("d", n=1)], {})
        changes: list[Change] = [
            *(put("good"), put("a", n=2), put("nan", n=float("nan")), patch("missing", n=1)),
            *(put("", n=1), put("x", "Bad Kind"), Delete(key("d")), Put(key("b"), {"id": "c"})),
        ]

        errors = refused(driver, changes, {key("a"): 9, key("d"): 1})

        assert {one: type(error) for one, error in errors.items()} == {
            key("a"): Conflict,
            key("nan"): EncodeError,
            key("missing"): RecordNotFound,
            key(""): InvalidId,
            key("x", "Bad Kind"): InvalidKind,
            key("b"): EncodeError,
        }
        assert contents(driver) == {"a": {"id": "a", "n": 1}, "d": {"id": "d", "n": 1}}
        assert list(driver.kinds()) == [KIND]

    # --- patches ----------------------------------------------------------------------

    def test_patch_sets_fields_and_keeps_the_others(self, driver: Driver) -> None:
        driver.commit([Put(key("a"), {"id": "a", "n": 1, "m": 1}, schema=4)], {})

        driver.commit([patch("a", n=2, new=[])], {key("a"): 1})
        stored = driver.read(key("a"))

        assert thaw(stored.document) == {"id": "a", "n": 2, "m": 1, "new": []}
        assert (stored.schema, stored.revision) == (4, 2)

    def test_patch_appends_items(self, driver: Driver) -> None:
        driver.commit([put("a", log=["x"], n=1)], {})

        driver.commit([patch("a", Append("log", 1, ("y", {"z": 1})), n=2)], {})
        driver.commit([patch("a", Append("log", 3, ())), patch("a", Append("log", 3, ("w",)))], {})

        log = ["x", "y", {"z": 1}, "w"]
        assert contents(driver) == {"a": {"id": "a", "log": log, "n": 2}}

    def test_patch_applies_to_what_its_batch_made(self, driver: Driver) -> None:
        driver.commit([put("a", log=[]), patch("a", Append("log", 0, (1,)), n=2)], {})

        assert contents(driver) == {"a": {"id": "a", "log": [1], "n": 2}}

    @pytest.mark.parametrize("length", [0, 1, 3])
    def test_patch_made_for_another_length_is_refused(self, driver: Driver, length: int) -> None:
        driver.commit([put("a", log=[1, 2])], {})

        error = refused(driver, [patch("a", Append("log", length, (3,)))], {})[key("a")]

        assert isinstance(error, EncodeError)
        assert error.where == "$.log"
        assert contents(driver) == {"a": {"id": "a", "log": [1, 2]}}

    @pytest.mark.parametrize("field", ["text", "missing"])
    def test_patch_of_what_is_no_list_is_refused(self, driver: Driver, field: str) -> None:
        driver.commit([put("a", text="")], {})

        error = refused(driver, [patch("a", Append(field, 0, (1,)))], {})[key("a")]

        assert isinstance(error, EncodeError)

    @pytest.mark.parametrize("deleted", [False, True], ids=["never there", "deleted in its batch"])
    def test_patch_of_nothing_is_refused(self, driver: Driver, deleted: bool) -> None:
        if deleted:
            driver.commit([put("a")], {})
        before = contents(driver)

        changes: list[Change] = [Delete(key("a"))] if deleted else []
        changes.append(patch("a", n=1))
        error = refused(driver, changes, {})[key("a")]

        assert isinstance(error, RecordNotFound)
        assert contents(driver) == before

    def test_patch_cannot_change_the_id(self, driver: Driver) -> None:
        driver.commit([put("a", n=1)], {})

        error = refused(driver, [Patch(key("a"), {"id": "b", "n": 2})], {})[key("a")]

        assert isinstance(error, EncodeError)
        assert contents(driver) == {"a": {"id": "a", "n": 1}}

    # --- what may not be stored -------------------------------------------------------

    @pytest.mark.parametrize("value", REFUSED_VALUES, ids=lambda value: ascii(value)[:30])
    def test_what_cannot_be_stored_is_refused(self, driver: Driver, value: Any) -> None:
        driver.commit([put("a", n=1, log=[])], {})
        before = contents(driver)

        for change in (
            put("a", n={"deep": [value]}),
            patch("a", n={"deep": [value]}),
            patch("a", Append("log", 0, (value,))),
        ):
            error = refused(driver, [put("good"), change], {})[key("a")]

            assert isinstance(error, EncodeError)
            assert error.where.startswith(("$.n.deep[0]", "$.log[0]"))
        assert contents(driver) == before

    def test_document_of_the_deepest_level_is_kept(self, driver: Driver) -> None:
        value: Json = "x"
        for _ in range(MAX_LEVEL - 2):  # the document is one level, what surrounds it another
            value = [value]

        driver.commit([put("a", deep=value)], {})

        assert contents(driver) == {"a": {"id": "a", "deep": value}}

    def test_too_deep_document_is_refused(self, driver: Driver) -> None:
        value: Json = "x"
        for _ in range(MAX_LEVEL):
            value = [value]

        error = refused(driver, [put("a", deep=value)], {})[key("a")]

        assert isinstance(error, EncodeError)

    @pytest.mark.parametrize("document", [{}, {"id": "b"}, {"id": None}, {"id": "A"}], ids=repr)
    def test_document_of_another_id_is_refused(
        self, driver: Driver, document: dict[str, Json]
    ) -> None:
        error = refused(driver, [Put(key("a"), document)], {})[key("a")]

        assert isinstance(error, EncodeError)
        assert contents(driver) == {}

    @pytest.mark.parametrize("id", INVALID_IDS, ids=lambda id: ascii(id)[:30])
    def test_invalid_id_is_refused(self, driver: Driver, id: str) -> None:
        for change in (put(id), Patch(key(id), FrozenDict()), Delete(key(id))):
            error = refused(driver, [put("good"), change], {})[key(id)]

            assert isinstance(error, InvalidId)
        with pytest.raises(InvalidId):
            driver.read(key(id))
        assert list(driver.kinds()) == []

    @pytest.mark.parametrize("kind", INVALID_KINDS, ids=lambda kind: ascii(kind)[:30])
    def test_invalid_kind_is_refused(self, driver: Driver, kind: str) -> None:
        error = refused(driver, [put("good"), put("a", kind)], {})[key("a", kind)]

        assert isinstance(error, InvalidKind)
        with pytest.raises(InvalidKind):
            driver.read(key("a", kind))
        with pytest.raises(InvalidKind):
            list(driver.scan(kind))
        assert list(driver.kinds()) == []

    # --- times ------------------------------------------------------------------------

    def test_time_of_commits_never_goes_back(self, driver: Driver, clock: SteppedClock) -> None:
        times = []
        for step in (0, 60, -3600, 30, -86400 * 365, 7200):
            clock.move(seconds=step)
            times.append(driver.commit([put("a", step=step)], {}).committed_at)

        assert times == sorted(times)
        assert times[1] > times[0]
        assert driver.read(key("a")).saved_at == times[-1]

    # --- the feed ---------------------------------------------------------------------

    def test_feed_tells_every_commit_in_order(self, driver: Driver) -> None:
        if not driver.traits.feed:
            with pytest.raises(NotSupported):
                list(driver.changes(0))
            return
        made: list[Commit] = [
            driver.commit([put("a"), put("b")], {}),
            driver.commit([Delete(key("a"))], {}),
            driver.commit([put("a")], {}),
        ]
        driver.commit([], {})
        refused(driver, [put("a")], {key("a"): 9})

        assert list(driver.changes(0)) == made
        assert list(driver.changes(2)) == made[2:]
        assert list(driver.changes(3)) == []

    def test_catching_up_tells_the_last_commit(self, driver: Driver) -> None:
        assert driver.catch_up() == 0
        driver.commit([put("a")], {})

        assert [driver.catch_up(), driver.catch_up(), driver.sequence] == [1, 1, 1]

    # --- threads ----------------------------------------------------------------------

    def test_threads_with_different_keys_lose_nothing(self, driver: Driver) -> None:
        def save(name: str) -> None:
            for n in range(1, 6):
                driver.commit([put(name, n=n)], {key(name): n - 1})

        names = [f"thread-{n}" for n in range(8)]
        with ThreadPoolExecutor(len(names)) as threads:
            list(threads.map(save, names))

        assert contents(driver) == {name: {"id": name, "n": 5} for name in names}
        assert driver.sequence == 40

    def test_of_threads_with_one_key_one_wins_each_revision(self, driver: Driver) -> None:
        def save(n: int) -> bool:
            try:
                driver.commit([put("a", n=n)], {key("a"): 0})
            except CommitRefused as error:
                return not isinstance(error.failures[0].error, Conflict)
            return True

        with ThreadPoolExecutor(8) as threads:
            won = list(threads.map(save, range(8)))

        assert won.count(True) == 1
        assert contents(driver) == {"a": {"id": "a", "n": won.index(True)}}

    # --- the end ----------------------------------------------------------------------

    def test_flush_changes_nothing(self, driver: Driver) -> None:
        driver.commit([put("a", n=1)], {})

        driver.flush()

        assert contents(driver) == {"a": {"id": "a", "n": 1}}
        assert driver.sequence == 1

    def test_close_twice_is_harmless(self, driver: Driver) -> None:
        driver.close()
        driver.close()

    def test_closed_driver_does_nothing(self, driver: Driver) -> None:
        driver.commit([put("a")], {})
        driver.close()

        for call in (
            lambda: driver.commit([put("b")], {}),
            lambda: driver.commit([], {}),
            lambda: driver.read(key("a")),
            lambda: list(driver.scan(KIND)),
            driver.kinds,
            driver.flush,
        ):
            with pytest.raises(StoreClosed):
                call()
        if driver.traits.feed:
            with pytest.raises(StoreClosed):
                list(driver.changes(0))


class DurableDriverContract(DriverContract):
    """What every driver does that is durable. It also gives `reopen`."""

    def reopen(self, driver: Driver, clock: SteppedClock) -> Driver:
        """Return a new driver on what the closed `driver` has stored, with `clock`."""
        raise NotImplementedError("give the driver opened again")

    def test_what_was_committed_is_there_again(self, driver: Driver, clock: SteppedClock) -> None:
        driver.commit([put(id, n=1) for id in HOSTILE_IDS], {})
        driver.commit([patch("a", n=2), Delete(key("A")), put("x", "tasks")], {})
        driver.flush()  # where a driver keeps files, it tells the size of those that are written
        stored = [list(driver.scan(KIND)), list(driver.scan("tasks"))]
        identity = driver.store_id
        driver.close()

        again = self.reopen(driver, clock)

        assert [list(again.scan(KIND)), list(again.scan("tasks"))] == stored
        assert again.store_id == identity
        assert list(again.kinds()) == [KIND, "tasks"]
        again.close()

    def test_revision_and_time_go_on_where_they_were(
        self, driver: Driver, clock: SteppedClock
    ) -> None:
        driver.commit([put("a")], {})
        clock.move(days=1)
        before = driver.commit([put("a")], {})
        driver.close()
        clock.move(days=-400)

        again = self.reopen(driver, clock)
        commit = again.commit([put("a")], {key("a"): 2})

        assert commit.revisions == {key("a"): 3}
        assert commit.committed_at >= before.committed_at
        again.close()

    def test_refused_commit_leaves_nothing_behind(
        self, driver: Driver, clock: SteppedClock
    ) -> None:
        driver.commit([put("a", n=1)], {})
        refused(driver, [put("a", n=2), put("b"), put("c", "tasks")], {key("b"): 1})
        driver.close()

        again = self.reopen(driver, clock)

        assert contents(again) == {"a": {"id": "a", "n": 1}}
        assert list(again.kinds()) == [KIND]
        again.close()
