"""Save in the background, and hear of what could not be saved."""

import tempfile
import threading
from datetime import timedelta

import attrs

from statestore import Manager, RecordNotFound, Store
from statestore.managers import ConversationManager
from statestore.models.reports import Failure


@attrs.frozen
class Reading:
    id: str
    value: float = 0.0


with tempfile.TemporaryDirectory() as folder:
    with Store(folder, autosave=0.02) as store:  # seconds; a program at work takes 5 or 30
        conversations = store.register(ConversationManager())
        readings = store.register(Manager("readings", Reading))
        saved, failed = threading.Event(), threading.Event()

        def on_trouble(failure: Failure) -> None:
            """Runs once for each trouble, not each time that it is met."""
            print("not saved:", failure)
            failed.set()

        store.on_save(lambda _: saved.set())
        store.on_error(on_trouble)

        conversations.create("All day", id="talk")  # nobody calls save_all()
        assert saved.wait(timeout=60)
        assert store.raw("conversations/talk")["title"] == "All day"

        readings.create(id="bad", value=float("inf"))
        assert failed.wait(timeout=60)
        readings.update("bad", value=1.5)  # it is tried again

        store.enable_autosave(timedelta(minutes=5))  # at once
        assert store.autosave_interval_s == 300.0
        store.disable_autosave()  # saves once more, or raises
        assert store.unsaved == ()

    try:
        with Store(folder, autosave=300) as store:
            conversations = store.register(ConversationManager())
            conversations.create("Just begun", id="late")
            conversations.update("none", title="A program has its errors")
    except RecordNotFound as error:
        print("ended:", error)

    with Store(folder, read_only=True) as store:
        titles = [store.raw(f"conversations/{id}")["title"] for id in ("talk", "late")]
        assert titles == ["All day", "Just begun"]
