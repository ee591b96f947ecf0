"""New ids."""

import threading
import uuid

from statestore.models.keys import check_id
from statestore.records import ids
from statestore.records.ids import new_id


def test_id_is_a_uuid_of_version_7_and_the_variant_of_rfc_9562():
    for _ in range(1000):
        parsed = uuid.UUID(new_id())

        assert parsed.version == 7
        assert parsed.variant == uuid.RFC_4122


def test_id_begins_with_the_milliseconds_of_its_making(monkeypatch):
    monkeypatch.setattr(ids, "_last", 0)
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1_700_000_000_123_456_789)

    parsed = uuid.UUID(new_id())

    assert parsed.int >> 80 == 1_700_000_000_123


def test_later_id_sorts_behind_an_earlier_one():
    made = [new_id() for _ in range(5000)]

    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_go_on_sorting_when_the_clock_stands_still_or_goes_back(monkeypatch):
    times = [2_000_000_000_000_000_000] * 5000 + [1_999_000_000_000_000_000] * 5000
    clock = iter(times)
    monkeypatch.setattr(ids, "_last", 0)
    monkeypatch.setattr(ids.time, "time_ns", lambda: next(clock))

    made = [new_id() for _ in times]

    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {uuid.UUID(one).version for one in made} == {7}


def test_ids_of_many_threads_differ():
    made = [[] for _ in range(8)]

    def work(own):
        own.extend(new_id() for _ in range(2000))

    threads = [threading.Thread(target=work, args=(own,)) for own in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert all(own == sorted(own) for own in made)
    assert len({one for own in made for one in own}) == 16000


def test_id_may_name_a_record_and_its_file_as_it_is():
    made = new_id()

    assert check_id(made) == made
    assert made == made.lower()
    assert len(made) == 36
