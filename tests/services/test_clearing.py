"""Clearing beside those who write: it comes before their commits or after them."""

import pytest


@pytest.fixture
def beside(world):
    """Two filled openings; what is given is run when the first has read, and not cleared yet."""
    w, other = world().fill(), world()
    submit = w.store._engine.driver.submit

    def run(change):
        done = []

        def submitting(changes, expect, settle):
            if changes and not done:
                done.append(True)
                change(other)
                other.store.save_all()
            return submit(changes, expect, settle)

        w.store._engine.flights._submit = submitting
        w.store.clear()
        assert done
        return w, other

    return run


def test_what_others_change_meanwhile_is_removed_all_the_same(beside):
    w, other = beside(lambda other: other.tasks.update("t1", title="changed"))

    assert w.records == {}
    other.store.refresh()
    assert other.records == {}
    assert list(w.store.scan("tasks")) == []


def test_what_others_make_meanwhile_stays_and_is_shown(beside):
    w, other = beside(lambda other: other.tasks.create("late", id="late"))

    assert set(w.records) == {("tasks", "late")}
    other.store.refresh()
    assert other.records == w.records


def test_what_is_made_again_uses_no_revision_twice(beside):
    _, other = beside(lambda other: None)
    other.store.refresh()

    other.tasks.create("again", id="t1")
    other.store.save_all()

    assert other.tasks.revision("t1") == 3
