"""Openings of one journal, each as a process of its own: a lock belongs to its opening."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from statestore.files.folders import open_folder
from statestore.journal.entries import DeleteOp, PutOp, encode_entry
from statestore.journal.journal import Journal, JournalOptions
from statestore.journal.standing import note_deleted
from statestore.models.keys import Key

STORE_ID = "5a" * 16
START = datetime(2026, 1, 1, tzinfo=UTC)


class Opening:
    """One process with the journal open. `seen` has what it made and took in: sequence → id."""

    def __init__(self, path, files=None, now_s=lambda: START.timestamp(), **options):
        self.path = path
        self.seen, self.gone, self.last_time = {}, {}, START
        self.own = open_folder(str(path), create=True, files=files)
        try:
            self.journal = Journal(
                self.own,
                STORE_ID,
                path=str(path),
                options=JournalOptions(**options),
                now_s=now_s,
                state=self._state,
            )
            try:
                self.recovered = self.journal.open()
            except BaseException:
                self.journal.close()
                raise
        except BaseException:
            self.own.close()
            raise
        self.gone = {key: (revision, at) for key, revision, at in self.recovered.deleted}
        self._take(self.recovered.window)

    def _state(self):
        return self.last_time, [(key, *rest) for key, rest in self.gone.items()]

    def _take(self, entries):
        for entry in entries:
            self.seen[entry.sequence] = ",".join(op.key.id for op in entry.ops)
            self.last_time = max(self.last_time, entry.committed_at)
            note_deleted(entry, self.gone)

    def catch_up(self):
        with self.journal.held():
            news = self.journal.catch_up_locked()
        if news.checkpoint is not None:
            self.gone = {
                **{key: (revision, at) for key, revision, at in news.checkpoint.deleted},
                **self.gone,
            }
        self._take(news.entries)
        return [entry.sequence for entry in news.entries]

    def append(self, *ids, delete=False):
        """Append a commit for each id, not synced."""
        with self.journal.held():
            self._take(self.journal.catch_up_locked().entries)
            payloads = []
            for id in ids:
                self.last_time += timedelta(seconds=1)
                key = Key("notes", id)
                op = DeleteOp(key, 9) if delete else PutOp(key, 1, 1, orjson.dumps({"id": id}))
                payloads.append(encode_entry(self.last_time, "test", [op]))
            self.journal.append_locked(payloads)
            for number, id in enumerate(reversed(ids)):
                self.seen[self.journal.sequence - number] = id
            for id in ids:
                self.gone.pop(Key("notes", id), None)
            if delete:
                self.gone[Key("notes", ids[-1])] = 9, self.journal.sequence

    def commit(self, *ids, delete=False):
        self.append(*ids, delete=delete)
        self.journal.sync()

    def files_written(self, upto=None):
        with self.journal.held():
            self._take(self.journal.catch_up_locked().entries)
            self.journal.files_written_locked(self.journal.sequence if upto is None else upto)

    def rotate(self):
        with self.journal.held():
            self._take(self.journal.catch_up_locked().entries)
            return self.journal.rotate_locked()

    def history(self, after=0):
        entries = self.journal.history(after, self.journal.sequence)
        return [(entry.sequence, entry.ops[0].key.id) for entry in entries]

    def segments(self):
        return sorted((self.path / "journal").glob("*.log"))

    def die(self):
        """End as a process that is killed: the system closes what it held."""
        self.journal.close()
        self.own.close()

    def close(self):
        try:
            self.journal.end()
        finally:
            self.die()


@pytest.fixture
def place(tmp_path):
    return tmp_path / "own"


@pytest.fixture
def opened(place):
    """Open the journal: `opened(files=…, segment_bytes=…)`, or another than that at `place`."""
    openings = []

    def open_journal(files=None, path=place, **options):
        openings.append(Opening(path, files, **options))
        return openings[-1]

    yield open_journal
    for opening in openings:
        opening.die()
