"""A refresh by another thread, such as a watch, while a transaction meets a conflict."""

import contextlib
import threading

import pytest

from statestore import Store, TransactionFailed
from statestore.engine.refreshing import Refresher
from statestore.engine.settling import Settler
from statestore.managers import ConversationManager, SessionManager
from statestore.models.keys import Key


class Side:
    """One opening of the store."""

    def __init__(self, path):
        self.store = Store(path)
        self.sessions = self.store.register(SessionManager())
        self.talks = self.store.register(ConversationManager())
        self.store.load_all()

    def note(self, name, value):
        context = {**self.sessions["a"].context, name: value}
        self.sessions.update("a", context=context)

    def refresh_elsewhere(self):
        thread = threading.Thread(target=self.store.refresh)
        thread.start()
        thread.join(60)


@pytest.fixture
def sides(tmp_path):
    one = Side(tmp_path / "store")
    one.sessions.create(id="a")
    one.talks.create(id="a")
    one.store.save_all()
    other = Side(tmp_path / "store")
    yield one, other
    for side in (one, other):
        side.store.load_all(discard=True)
        side.store.close()


@pytest.mark.parametrize("policy", ["error", "merge", "mine"])
def test_nothing_of_others_is_lost_where_a_refresh_comes_between_refusal_and_settling(
    sides, monkeypatch, policy
):
    one, other = sides
    other.note("other", 1)
    other.talks.add_message("a", role="user", content="other")
    other.store.save_all()
    true, acts = Settler.settle, [one.refresh_elsewhere]

    def settle(self, *args, **more):
        if acts:
            acts.pop()()
        return true(self, *args, **more)

    monkeypatch.setattr(Settler, "settle", settle)
    transaction = one.store.transaction(on_conflict=policy)
    with contextlib.suppress(TransactionFailed), transaction:
        one.talks.add_message("a", role="user", content="one")
        if policy == "merge":
            one.note("one", 1)

    assert not acts
    said = [message["content"] for message in one.store.raw("conversations/a")["messages"]]
    assert said in (["other"], ["other", "one"])
    assert one.store.raw("sessions/a")["context"]["other"] == 1


def test_refresh_that_knows_one_of_several_changes_already_reads_the_record(sides, monkeypatch):
    one, other = sides
    other.talks.delete("a")
    other.store.save_all()
    other.talks.create(id="a")
    other.store.save_all()
    for number in (4, 5):  # their revisions; what is known of the fourth is not noted again
        other.talks.add_message("a", role="user", content=str(number))
        other.store.save_all()
    true = Refresher._note

    def note(self, commit):
        if commit.revisions.get(Key("conversations", "a")) != 4:
            true(self, commit)

    monkeypatch.setattr(Refresher, "_note", note)
    report = one.store.refresh()

    assert report.failures == ()
    assert [message.content for message in one.talks["a"].messages] == ["4", "5"]
