"""The contract of drivers by which several openings share one place, as tests to inherit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest

from statestore.drivers.driver import Driver
from statestore.errors import CommitRefused, Conflict, RecordNotFound
from statestore.models.changes import Append, Change, Delete, Patch, Put
from statestore.models.documents import thaw
from statestore.testing.driver import contents, key, put, refused

Open = Callable[[], Driver]


class SharedDriverContract:
    """What every driver does whose place several processes may open.

    Inherit it in a test module under a name that begins with "Test"; give, as the fixture
    `opening`, what opens the same place each time, which is empty at first.
    """

    @pytest.fixture
    def opening(self) -> Open:
        raise NotImplementedError("give what opens the place")

    @pytest.fixture
    def opened(self, opening: Open) -> Iterator[Open]:
        with ExitStack() as stack:
            yield lambda: stack.enter_context(closing(opening()))

    # --- seeing each other ------------------------------------------------------------

    def test_openings_are_of_one_store_and_runs_of_their_own(self, opened: Open) -> None:
        one, other = opened(), opened()

        assert one.store_id == other.store_id
        assert "" != one.run != other.run != ""

    def test_an_opening_sees_whether_another_goes_on(self, opened: Open) -> None:
        one, other = opened(), opened()
        assert not other.runs.is_held(one.run)

        one.runs.hold()
        one.runs.hold()

        assert other.runs.is_held(one.run)
        assert not one.runs.is_held(other.run)
        one.close()
        assert not other.runs.is_held(one.run)

    def test_what_one_commits_the_other_reads(self, opened: Open) -> None:
        one, other = opened(), opened()
        one.commit([put("a", n=1), put("gone")], {})
        other.commit([put("a", n=2), Delete(key("gone"))], {key("a"): 1})

        for driver in (one, other, opened()):
            assert contents(driver) == {"a": {"id": "a", "n": 2}}
            assert driver.read(key("a")).revision == 2
            with pytest.raises(RecordNotFound):
                driver.read(key("gone"))

    def test_catching_up_tells_the_last_commit(self, opened: Open) -> None:
        one, other = opened(), opened()
        assert other.catch_up() == 0

        for number in range(1, 4):
            assert one.commit([put("a", n=number)], {}).sequence == number
            assert [other.catch_up(), other.catch_up(), other.sequence] == [number] * 3

    def test_sequences_go_on_from_each_other(self, opened: Open) -> None:
        drivers = [opened(), opened(), opened()]

        made = [drivers[n % 3].commit([put("a", n=n)], {}).sequence for n in range(9)]

        assert made == list(range(1, 10))

    def test_feed_tells_of_everybody_who_and_what(self, opened: Open) -> None:
        one, other = opened(), opened()
        document: dict[str, Any] = {"id": "a", "items": [1], "n": 1}
        changes: list[Change] = [
            Put(key("a"), document, 3),
            Patch(key("a"), {"n": 2}, (Append("items", 1, (2, {"x": [None]})),)),
            Delete(key("a")),
        ]
        for driver, change in zip((one, other, one), changes, strict=True):
            driver.commit([change], {})

        for driver in (one, other, opened()):
            driver.catch_up()
            feed = list(driver.changes(0))
            assert [commit.sequence for commit in feed] == [1, 2, 3]
            assert [commit.run for commit in feed] == [one.run, other.run, one.run]
            assert [commit.revisions for commit in feed] == [{key("a"): n} for n in (1, 2, 3)]
            put_, patch, delete = (change for commit in feed for change in commit.changes)
            assert isinstance(put_, Put)
            assert (thaw(put_.document), put_.schema) == (document, 3)
            assert isinstance(patch, Patch)
            assert (dict(patch.set), patch.append[0].from_length) == ({"n": 2}, 1)
            assert [*patch.append[0].items] == [2, {"x": [None]}]
            assert delete == changes[2]

    # --- meeting each other -----------------------------------------------------------

    def test_change_of_what_the_other_has_changed_is_a_conflict(self, opened: Open) -> None:
        one, other = opened(), opened()
        one.commit([put("a", n=1)], {})
        other.commit([put("a", n=2)], {key("a"): 1})

        error = refused(one, [put("a", n=3), put("b")], {key("a"): 1})[key("a")]

        assert isinstance(error, Conflict)
        assert (error.expected, error.found) == (1, 2)
        assert contents(other) == {"a": {"id": "a", "n": 2}}

    def test_creation_of_what_the_other_has_created_is_a_conflict(self, opened: Open) -> None:
        one, other = opened(), opened()
        one.commit([put("a")], {key("a"): 0})

        assert isinstance(refused(other, [put("a")], {key("a"): 0})[key("a")], Conflict)

    def test_revisions_go_on_over_the_deletion_of_another(self, opened: Open) -> None:
        one, other = opened(), opened()
        one.commit([put("a")], {})
        other.commit([Delete(key("a"))], {key("a"): 1})

        assert one.commit([put("a")], {key("a"): 0}).revisions == {key("a"): 3}
        assert opened().read(key("a")).revision == 3

    def test_items_are_added_to_those_of_the_other(self, opened: Open) -> None:
        one, other = opened(), opened()
        one.commit([put("a", items=[1])], {})
        other.commit([Patch(key("a"), {}, (Append("items", 1, (2,)),))], {key("a"): 1})

        one.commit([Patch(key("a"), {}, (Append("items", 2, (3,)),))], {key("a"): 2})

        assert thaw(opened().read(key("a")).document) == {"id": "a", "items": [1, 2, 3]}

    def test_openings_side_by_side_lose_nothing(self, opened: Open) -> None:
        def count(driver: Driver) -> None:
            for _ in range(10):
                while True:
                    stored = driver.read(key("n"))
                    changed = put("n", count=stored.document["count"] + 1)
                    try:
                        driver.commit([changed], {key("n"): stored.revision})
                    except CommitRefused:
                        continue
                    break

        drivers = [opened() for _ in range(3)]
        drivers[0].commit([put("n", count=0)], {})
        with ThreadPoolExecutor(len(drivers)) as threads:
            list(threads.map(count, drivers))

        for driver in drivers:
            assert driver.read(key("n")).document["count"] == 30
            assert driver.read(key("n")).revision == 31

    def test_end_of_one_is_nothing_to_the_other(self, opened: Open) -> None:
        one, other = opened(), opened()
        one.commit([put("a")], {})
        one.close()

        other.commit([put("b")], {})
        assert sorted(contents(other)) == sorted(contents(opened())) == ["a", "b"]
