"""Keep records of a class of your own, beside the built-in ones."""

import tempfile
from datetime import UTC, datetime

import attrs

from statestore import InvalidRecord, Manager, RecordNotFound, Store
from statestore.managers import FrozenDict, extra_field


@attrs.frozen
class Note:
    """Any attrs class with an `id: str` will do. Frozen ones are cheaper to save."""

    id: str
    text: str = attrs.field(validator=attrs.validators.instance_of(str))
    tags: tuple[str, ...] = ()
    written_at: datetime = attrs.field(factory=lambda: datetime.now(UTC))
    extra: FrozenDict = extra_field()  # fields of a newer version are kept here


with tempfile.TemporaryDirectory() as folder:
    with Store(f"{folder}/state") as store:
        notes = store.register(Manager("notes", Note))
        note = notes.create(text="Buy milk", tags=("home",))
        notes.add(Note(id="2026/plans: final?", text="Any id will do"))

        changed = notes.update(note.id, text="Buy oat milk")
        assert note.text == "Buy milk"  # the old record is as it was
        assert notes[note.id] is changed

        try:
            notes.create(text=42)
        except InvalidRecord as error:
            print("refused:", error)

    with Store(f"{folder}/state") as store:
        notes = store.register(Manager("notes", Note))
        store.load_all()
        assert notes[note.id] == changed
        assert "2026/plans: final?" in notes

        notes.delete(note.id)
        store.save_all()
        try:
            notes[note.id]
        except RecordNotFound as error:  # it is a KeyError too
            print("gone:", error)
