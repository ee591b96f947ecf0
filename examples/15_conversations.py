"""A chat that keeps within limits, is searched, summed up, and goes on after a restart."""

import tempfile

from statestore import Store, WouldShrink
from statestore.managers import ConversationManager

with tempfile.TemporaryDirectory() as folder:
    with Store(folder, autosave="on-change") as store:
        talks = store.register(ConversationManager())
        talks.set_limits(max_messages=6, max_tokens=200)  # remembered by the store
        talk = talks.create("Release", session_id="s1", tags=["work"])
        talks.activate(talk.id)
        talks.add_message_to_active(role="system", content="You are terse.")
        for number in range(1, 5):  # each is durable when it returns
            talks.add_message_to_active(role="user", content=f"Is step {number} done?")
            talks.add_message_to_active(role="assistant", content=f"Step {number} is done.")
        print(talks.to_text(talk.id))

    with Store(folder) as store:  # a restart
        talks = store.register(ConversationManager())
        store.load_all()
        found = talks.active
        assert found is not None
        assert len(found.messages) == 6  # the system prompt, and the newest
        assert talks.limits.max_tokens == 200

        talks.set_summary(talk.id, "Steps 1 to 4 are done.")
        talks.add_message(talk.id, role="user", content="Ship it?")
        assert [one.content for one in talks.unsummarised(talk.id)] == ["Ship it?"]
        for hit in talks.search_messages("step 4"):
            print(hit.index, hit.message.role, hit.message.content)

        try:
            talks.update(talk.id, messages=talks.tail(talk.id, 2))
        except WouldShrink as error:
            print(error)
        talks.truncate(talk.id, keep_last=1)  # this is meant
        print(talks.conversation_statistics(talk.id))
