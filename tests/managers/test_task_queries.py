"""Queries of tasks: filters, orders, pages, statistics."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statestore import InvalidRecord, UnknownName
from statestore.managers import Task, TaskManager, TaskStatus
from statestore.managers.queries import Page, page_of, sort_key, value_at

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.now = MOMENT

    def __call__(self):
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def tasks():
    tasks = TaskManager(clock=Clock())
    tasks.create("Alpha", id="a", session_id="s", priority="low", tags=["x", "y"])
    tasks.create("Beta", id="b", session_id="s", priority="critical", assigned_to="me")
    tasks.create("Gamma", id="c", priority="medium", parent_id="a", type="testing", tags=["x"])
    tasks.create("Delta", id="d", priority=12, assigned_to="you", description="the ALPHA of it")
    tasks.start("d")
    tasks.update("c", metadata={"cost": {"usd": 2.5}})
    tasks.update("a", metadata={"cost": {"usd": 10}})
    return tasks


def ids(page):
    return "".join(one.id for one in page)


# --- filters --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, "acdb"),
        ({"status": "pending"}, "acb"),
        ({"status": ["running", "failed"]}, "d"),
        ({"status": "InProgress"}, "d"),
        ({"status": TaskStatus.RUNNING}, "d"),
        ({"status": []}, ""),
        ({"category": "pending"}, "acb"),
        ({"category": {"active", "completed"}}, "d"),
        ({"parent_id": "a"}, "c"),
        ({"parent_id": None}, "adb"),
        ({"assigned_to": "me"}, "b"),
        ({"assigned_to": ["me", "you"]}, "db"),
        ({"assigned_to": None}, "ac"),
        ({"session_id": "s"}, "ab"),
        ({"session_id": None}, "cd"),
        ({"session_id": ["s", None]}, "acdb"),
        ({"type": "testing"}, "c"),
        ({"type": ["testing", "general"]}, "acdb"),
        ({"priority": "low"}, "a"),
        ({"priority": "HIGH"}, "d"),
        ({"priority": 12}, "d"),
        ({"priority": 10}, ""),
        ({"priority": ["critical", 5]}, "cb"),
        ({"tags": "x"}, "ac"),
        ({"tags": ["x", "y"]}, "a"),
        ({"search": "alpha"}, "ad"),
        ({"search": "Y"}, "a"),
        ({"search": "nowhere"}, ""),
        ({"search": ""}, "acdb"),
        ({"status": "pending", "tags": "x", "session_id": "s"}, "a"),
    ],
    ids=str,
)
def test_tasks_for_which_all_holds_are_found(filters, found, tasks):
    page = tasks.list(**filters)

    assert ids(page.items) == found
    assert page.total == len(found)


def test_times_are_from_and_before(tasks):
    a, b, c = (tasks[id] for id in "abc")

    def found(**bounds):
        return ids(tasks.list(sort="created_at", **bounds).items)

    assert found(created_after=b.created_at) == "bcd"
    assert found(created_before=b.created_at) == "a"
    assert found(created_after=b.created_at, created_before=c.created_at) == "b"
    assert found(updated_after=a.updated_at) == "a"
    assert found(updated_before=a.updated_at) == "bcd"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"status": "odd"}, "status"),
        ({"category": "odd"}, "category"),
        ({"priority": "odd"}, "priority"),
        ({"priority": 99}, "priority"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"updated_before": datetime(2026, 1, 1)}, "updated_before"),  # noqa: DTZ001
        ({"search": 5}, "search"),
        ({"sort": [5]}, "sort"),
        ({"limit": 0}, "limit"),
        ({"limit": 2.0}, "limit"),
        ({"offset": -1}, "offset"),
        ({"page": 0, "limit": 5}, "page"),
        ({"page": 1}, "page"),
        ({"page": 1, "limit": 1, "offset": 0}, "page"),
    ],
    ids=str,
)
def test_argument_that_makes_no_sense_is_refused(arguments, field, tasks):
    with pytest.raises(InvalidRecord) as caught:
        tasks.list(**arguments)

    assert caught.value.field == field


# --- order ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("-updated_at", "acdb"),
        ("updated_at", "bdca"),
        ("created_at", "abcd"),
        ("priority", "bdca"),
        ("-priority", "acdb"),
        ("title", "abdc"),
        ("-title", "cdba"),
        ("metadata.cost.usd", "cabd"),
        ("-metadata.cost.usd", "acbd"),
        ("progress.percent", "abcd"),
        ("assigned_to", "bdac"),
        ("-assigned_to", "dbac"),
        (("session_id", "-title"), "bacd"),
        (["metadata.cost", "id"], "acbd"),
        ((), "abcd"),
    ],
    ids=str,
)
def test_tasks_are_sorted_by_what_fields_mean(sort, found, tasks):
    assert ids(tasks.list(sort=sort).items) == found


def test_critical_comes_first_then_high_medium_low():
    tasks = TaskManager()
    for name in ("medium", "low", "critical", "high"):
        tasks.create(name, priority=name)

    assert [one.title for one in tasks.list(sort="priority").items] == [
        "critical",
        "high",
        "medium",
        "low",
    ]


@pytest.mark.parametrize("sort", ["", "odd", "-odd.deep", "--title"])
def test_field_that_nobody_knows_does_not_sort(sort, tasks):
    with pytest.raises(UnknownName, match="sort by"):
        tasks.list(sort=sort)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(JSON, max_size=6), st.sampled_from(["metadata.x", "-metadata.x", "-result"]))
def test_values_of_any_kind_can_be_sorted_and_none_comes_last(values, sort):
    made = [Task(str(at), metadata={"x": one}, result=one) for at, one in enumerate(values)]

    ordered = sorted(made, key=sort_key("tasks", Task, sort))

    found = [value_at(one, sort.removeprefix("-")) is None for one in ordered]
    assert found == sorted(found)
    assert sorted(ordered, key=lambda one: int(one.id)) == made


# --- pages ----------------------------------------------------------------------------


@given(st.integers(0, 30), st.integers(1, 12))
def test_pages_together_are_all_there_is(count, limit):
    records = list(range(count))

    first = page_of("tasks", records, limit=limit)
    pages = [
        page_of("tasks", records, limit=limit, page=number) for number in range(1, first.pages + 1)
    ]

    assert [one for page in pages for one in page.items] == records
    assert [page.number for page in pages] == list(range(1, len(pages) + 1))
    assert [page.has_more for page in pages] == [*[True] * (len(pages) - 1), False]
    assert {page.total for page in pages} == {count}
    assert pages[0] == first
    beyond = page_of("tasks", records, limit=limit, page=first.pages + 1)
    assert (beyond.items, beyond.total, beyond.has_more) == ((), count, False)


def test_page_is_a_part_by_limit_and_offset(tasks):
    page = tasks.list(sort="id", limit=2, offset=1)

    assert ids(page.items) == "bc"
    assert (page.total, page.limit, page.offset, page.has_more) == (4, 2, 1, True)
    assert ids(tasks.list(sort="id", limit=3, page=2).items) == "d"
    assert TaskManager().list() == Page((), 0, None, 0)


# --- short ways -----------------------------------------------------------------------


def test_short_ways_to_find_tasks(tasks):
    assert ids(tasks.by_status("pending", "running")) == "acdb"
    assert ids(tasks.by_parent("a")) == "c"
    assert ids(tasks.by_parent(None)) == "abd"
    assert ids(tasks.by_session("s")) == "ab"
    assert ids(tasks.by_session(None)) == "cd"
    assert ids(tasks.by_assignee("me")) == "b"
    assert ids(tasks.by_assignee(None)) == "ca"
    assert ids(tasks.recent(2)) == "ac"
    assert tasks.recent(0) == ()
    for number in (-1, True, "2"):
        with pytest.raises(InvalidRecord) as refused:
            tasks.recent(number)
        assert refused.value.field == "count"
    assert ids(tasks.find("ALPHA")) == "ad"


def test_tasks_of_a_session_stand_in_their_places(tasks):
    tasks.update("a", position=5)

    assert ids(tasks.by_session("s")) == "ba"


# --- statistics -----------------------------------------------------------------------


def test_statistics_count_each_task_once(tasks):
    tasks.complete("d")
    tasks.start("b")
    tasks.fail("b", "broken")
    tasks.cancel("c")

    figures = tasks.statistics()

    assert figures.total == len(tasks) == sum(figures.by_status.values())
    assert set(figures.by_status) == {one.value for one in TaskStatus}
    assert {name: count for name, count in figures.by_status.items() if count} == {
        "pending": 1,
        "succeeded": 1,
        "failed": 1,
        "cancelled": 1,
    }
    assert figures.by_assignee == {None: 2, "me": 1, "you": 1}
    assert figures.by_priority == {"critical": 1, "high": 1, "medium": 1, "low": 1}
    assert figures.by_type == {"general": 3, "testing": 1}
    assert (figures.completed, figures.failed, figures.cancelled) == (1, 1, 1)
    assert tasks.statistics(session_id="s").total == 2
    assert tasks.statistics(session_id=None).total == 2


def test_average_is_from_start_to_completion_of_those_that_succeeded():
    tasks = TaskManager(clock=lambda: MOMENT)
    for seconds, status in ((10, "succeeded"), (20, "succeeded"), (500, "failed")):
        task = tasks.create("t", created_at=MOMENT - timedelta(days=9))
        end = MOMENT + timedelta(seconds=seconds)
        done = attrs.evolve(task, status=status, started_at=MOMENT, completed_at=end)
        tasks.delete(task)
        tasks.add(done)
    tasks.add(Task("x", title="t", status="succeeded", completed_at=MOMENT))

    assert tasks.statistics().average_completion_s == 15.0
    assert TaskManager().statistics().average_completion_s is None
