"""The pause of the garbage collector."""

import gc
import threading

import pytest

from statestore.engine.collecting import collector_paused


@pytest.fixture(autouse=True)
def _collector_as_before():
    yield
    gc.enable()


def test_collector_is_off_within_and_on_after():
    with collector_paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collector_goes_on_after_an_error():
    with pytest.raises(KeyError), collector_paused():
        raise KeyError

    assert gc.isenabled()


def test_collector_stays_off_where_the_host_has_switched_it_off():
    gc.disable()

    with collector_paused():
        pass

    assert not gc.isenabled()


def test_inner_pause_does_not_end_the_outer_one():
    with collector_paused():
        with collector_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collector_waits_for_the_last_of_several_threads():
    inside, leave = threading.Event(), threading.Event()

    def pause():
        with collector_paused():
            inside.set()
            leave.wait(10)

    other = threading.Thread(target=pause)
    with collector_paused():
        other.start()
        assert inside.wait(10)
    assert not gc.isenabled()
    leave.set()
    other.join()

    assert gc.isenabled()


def test_what_stays_is_counted_among_the_old():
    gc.collect()

    with collector_paused(all_stay=True):
        made = [[] for _ in range(5000)]

    assert any(one is made for one in gc.get_objects(generation=2))
    assert gc.isenabled()


def test_what_the_host_has_frozen_stays_frozen():
    gc.freeze()
    try:
        count = gc.get_freeze_count()
        with collector_paused(all_stay=True):
            pass
        assert gc.get_freeze_count() >= count - 100  # a few may be gone, and are no longer counted
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
