"""What a host is told of, when, and what it may do then."""

from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest

from statestore import CallbackFailed, ConfigurationError, Manager, SaveFailed, Store
from statestore.engine.callbacks import Event

LIMIT_S = 60  # only against a hang


@attrs.frozen
class Note:
    id: str
    text: str = ""


def elsewhere_done(function):
    """Run a function in another thread and wait for it."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(function).result(LIMIT_S)
    finally:
        pool.shutdown(wait=False)


@pytest.fixture(params=["directory", "memory"])
def place(request, tmp_path):
    return tmp_path / "state" if request.param == "directory" else "memory:"


def test_callbacks_get_the_very_reports(place):
    store = Store(place)
    notes = store.register(Manager("notes", Note))
    saves, loads = [], []
    store.on_save(saves.append)
    store.on_load(loads.append)
    notes.create(id="a")

    reports = [store.save_all(), store.save("notes"), store.clear()]
    assert saves == reports
    assert loads == []
    reports = [store.load_all(), store.load("notes")]
    assert loads == reports
    assert len(saves) == 3
    store.close()


def test_what_cannot_be_called_is_refused_at_once_and_changes_nothing(place):
    with Store(place, autosave="on-change") as store:
        notes = store.register(Manager("notes", Note))
        ways = (
            store.on_save,
            store.on_load,
            store.on_error,
            lambda one: store.on("created", one),
            lambda one: notes.on("created", one),
            notes.add_validator,
        )
        for way in ways:
            with pytest.raises(ConfigurationError, match="takes a function"):
                way("print")

        notes.create(id="a")
        assert "a" in notes


def test_cancelled_callback_is_not_called_and_cancelling_twice_is_harmless(place):
    store = Store(place)
    calls = []
    first = store.on_save(lambda report: calls.append("first"))
    store.on_save(lambda report: calls.append("second"))
    store.save_all()

    first.cancel()
    first.cancel()
    store.save_all()

    assert calls == ["first", "second", "second"]
    store.close()


@pytest.mark.parametrize("event", ["on_save", "on_load", "on_error"])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["same thread", "other thread"])
def test_callback_may_use_the_store(place, event, elsewhere):
    store = Store(place)
    notes = store.register(Manager("notes", Note))
    notes.create(id="first")
    seen = []

    def use_store():
        notes.create(text="from the callback")
        store.save_all(strict=False)
        seen.append((store.last_save_time is not None, store.load_all().items))

    def callback(news):
        handle.cancel()  # another thread's save would call it again, for ever
        if elsewhere:
            elsewhere_done(use_store)
        else:
            use_store()

    handle = getattr(store, event)(callback)
    if event == "on_error":
        notes.create(id="bad", text="\ud800")
    if event == "on_load":
        store.load_all()
    else:
        store.save_all(strict=False)

    assert len(seen) == 1
    assert seen[0][0]
    assert seen[0][1] >= 1
    notes.get("bad") and notes.delete("bad")
    store.close()


def test_save_in_a_callback_of_a_save_does_not_go_on_for_ever(place):
    store = Store(place)
    notes = store.register(Manager("notes", Note))
    mine, others = [], []

    def save_again(report):
        mine.append(report)
        notes.create(id=f"from-{len(mine)}")
        store.save_all()

    store.on_save(save_again)
    store.on_save(others.append)
    store.save_all()

    assert len(mine) == 1
    assert [report.items for report in others] == [1, 0]  # the inner save, then the outer one
    assert store.unsaved == ()
    store.save_all()
    assert len(mine) == 2
    store.close()


def test_callback_that_raises_is_told_and_the_data_is_durable(tmp_path):
    store = Store(tmp_path)
    notes = store.register(Manager("notes", Note))
    called = []

    def fail(report):
        raise RuntimeError("the host's")

    store.on_save(fail)
    store.on_save(called.append)
    notes.create(id="a", text="x")

    with pytest.raises(CallbackFailed, match="the host's") as raised:
        store.save_all()

    assert [type(error) for error in raised.value.errors] == [RuntimeError]
    assert len(called) == 1
    with Store(tmp_path, read_only=True) as other:
        assert other.raw("notes/a")["text"] == "x"
    assert store.unsaved == ()
    assert store.last_save_time is not None
    store._close()


def test_failure_is_raised_even_if_a_callback_raises_too(place):
    store = Store(place)
    notes = store.register(Manager("notes", Note))
    calls = []

    def fail(failure):
        calls.append(failure)
        raise RuntimeError("the host's")

    store.on_error(fail)
    notes.create(id="bad", text="\ud800")

    with pytest.raises(SaveFailed) as raised:
        store.save_all()

    assert len(calls) == 1
    assert any("the host's" in note for note in raised.value.__notes__)


def test_callbacks_are_called_in_their_order_and_all_of_them():
    event = Event()
    calls = []

    def fail(news):
        calls.append(("fail", news))
        raise KeyError(news)

    event.add(lambda news: calls.append(("first", news)))
    event.add(fail)
    event.add(lambda news: calls.append(("last", news)))

    errors = event.emit(1)

    assert calls == [("first", 1), ("fail", 1), ("last", 1)]
    assert [type(error) for error in errors] == [KeyError]
    event.emit(2)  # one that has raised is called again
    assert len(calls) == 6


def test_callback_added_by_a_callback_hears_the_next_news():
    event = Event()
    calls = []
    event.add(lambda news: event.add(calls.append) if news == 1 else None)

    event.emit(1)
    assert calls == []
    event.emit(2)

    assert calls == [2]


def test_same_function_can_be_registered_twice_and_cancelled_once():
    event = Event()
    calls = []
    first = event.add(calls.append)
    event.add(calls.append)

    event.emit(1)
    first.cancel()
    event.emit(2)

    assert calls == [1, 1, 2]


def test_interrupt_in_a_callback_goes_through_and_does_not_silence_it():
    event = Event()
    calls = []

    def interrupted(news):
        calls.append(news)
        if news == 1:
            raise KeyboardInterrupt

    event.add(interrupted)
    with pytest.raises(KeyboardInterrupt):
        event.emit(1)
    event.emit(2)

    assert calls == [1, 2]
