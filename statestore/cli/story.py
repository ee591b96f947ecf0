"""The story that the demonstration tells: every step is done for real, and every claim checked."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import attrs

from statestore.cli import output
from statestore.cli.samples import SAMPLE_MESSAGES, SAMPLES
from statestore.cli.telling import Story
from statestore.errors import InvalidTransition
from statestore.managers import ConversationManager, FocusManager, SessionManager, TaskManager
from statestore.managers.manager import Manager
from statestore.models.changes import Stored
from statestore.services.restore import verify_backup
from statestore.store import Store

_ROUND = ("gzip", "yaml", "compact", "json")
_EXTENSIONS = {"json": ".json", "gzip": ".json.gz", "yaml": ".yaml", "compact": ".json"}
_LINES_SHOWN = 14


@attrs.define
class _Stage:
    """Where the story takes place: the open store and its managers."""

    story: Story
    folder: str
    store: Store
    sessions: SessionManager
    conversations: ConversationManager
    chains: FocusManager
    tasks: TaskManager

    @property
    def backup(self) -> str:
        return os.path.join(self.folder, "backup")

    @property
    def transcripts(self) -> str:
        return os.path.join(self.folder, "transcripts")

    def records(self) -> dict[str, dict[str, object]]:
        """Return the live records, to be compared."""
        return _records(self.store)

    def file(self, kind: str, id: str) -> str:
        """Return the path of a record's file, which shows what is saved."""
        self.store.flush()
        return os.path.join(self.store.path, self.store.stored(f"{kind}/{id}").path)


def tell(story: Story, folder: str) -> None:
    """Tell the whole story in `folder`, which is empty.

    Raises:
        DemoFailed: something was not as it should be.
    """
    with _open(os.path.join(folder, "store")) as store:
        stage = _Stage(
            story,
            folder,
            store,
            *(_registered(store, kind) for kind in ("sessions", "conversations", "focus", "tasks")),
        )
        _keep_records(stage)
        _work(stage)
        _import(stage)
        _look_at_a_file(stage)
        _convert_around(stage)
        _mix(stage)
        _back_up(stage)
        _lose_everything(stage)
        _damage_one(stage)
        _put_right(stage)


def _open(path: str) -> Store:
    store = Store(path)
    for manager in (SessionManager(), ConversationManager(), FocusManager(), TaskManager()):
        store.register(manager)
    store.load_all()
    return store


def _registered(store: Store, kind: str) -> Any:
    return store.managers[kind]


def _keep_records(stage: _Stage) -> None:
    story = stage.story
    with story.step("keep what an agent works on"):
        session = stage.sessions.create(
            project_id="orchard", name="Harvest report", mode="planning", id="sess-harvest"
        )
        talk = stage.conversations.create("Weights first", session_id=session.id, id="weights")
        stage.conversations.add_message(talk.id, role="user", content="Which tree bore most?")
        stage.conversations.add_message(talk.id, role="assistant", content="The old pear: 212 kg.")
        chain = stage.chains.create("Report", session_id=session.id, id="report")
        stage.chains.push(chain.id, type="file", target="report.py", priority=10)
        whole = stage.tasks.create("Print the report", session_id=session.id, id="print")
        stage.tasks.create("Sort by weight", parent_id=whole.id, session_id=session.id, id="sort")
        report = stage.store.save_all()
        story.tell(
            "a session, a conversation, a focus chain and two tasks, saved: "
            f"{output.counted(report.items, 'file')}, {output.size(report.size_bytes)}, "
            f"{report.duration_s * 1000:.0f} ms; on the disk when save_all() returned"
        )
        story.check(report.items == 5 and not report.failures, "5 records were written")
        again = stage.store.save_all()
        story.check(again.items == 0, "saving again writes nothing")
        with _open(stage.store.path) as other:
            story.check(_records(other) == stage.records(), "a second opening reads equal records")


def _work(stage: _Stage) -> None:
    story, tasks = stage.story, stage.tasks
    with story.step("do the tasks: each is claimed by one worker, and goes by its rules"):
        try:
            tasks.complete("sort")
        except InvalidTransition as error:
            story.tell(f"refused: {error}")
        story.check(tasks["sort"].status == "pending", "what was not begun cannot be completed")
        task = tasks.claim("sess-harvest", worker="ada")
        story.check(task is not None and task.id == "sort", "a worker gets a part, not the whole")
        with _open(stage.store.path) as other:
            story.check(
                _registered(other, "tasks").claim("sess-harvest", worker="bob") is None,
                "nobody else gets it",
            )
        tasks.complete(task or "sort", {"heaviest": "pear"}, confidence=0.9)
        done = {one.status for one in (tasks["sort"], tasks["print"])}
        story.check(done == {"succeeded"}, "with its last part the whole is done")
        story.tell("ada has sorted the rows, so the report is printed; both are on the disk")


def _import(stage: _Stage) -> None:
    story = stage.story
    with story.step("import the transcripts of three agents"):
        os.mkdir(stage.transcripts, 0o700)
        for name, text in SAMPLES.items():
            with open(os.path.join(stage.transcripts, name), "w", encoding="utf-8") as stream:
                stream.write(text)
        before = len(stage.conversations)
        report = stage.store.import_transcripts(stage.transcripts)
        story.tell(f"{', '.join(SAMPLES)}: {output.counted(report.messages, 'message')}")
        story.check(not report.failures, "all were understood")
        story.check(
            len(stage.conversations) - before == report.conversations == len(SAMPLES),
            "each is a conversation",
        )
        story.check(report.messages == SAMPLE_MESSAGES, "no message is missing")
        lamp = stage.conversations["chat-lighthouse"]
        call = lamp.messages[2].tool_calls[0]
        story.check(
            call.name == "sunset" and call.id == lamp.messages[3].tool_call_id,
            "the tool call and its answer belong together",
        )
        again = stage.store.import_transcripts(stage.transcripts)
        story.check(
            again.items == 0 and again.unchanged == len(SAMPLES), "a second import adds nothing"
        )


def _look_at_a_file(stage: _Stage) -> None:
    story = stage.story
    with story.step("read a record as it lies on the disk"):
        stage.store.flush()  # files follow what is saved by some milliseconds
        path = stage.file("sessions", "sess-harvest")
        with open(path, "rb") as stream:
            data = stream.read()
        lines = data.decode().splitlines()
        shown = [os.path.relpath(path, stage.folder), *(f"| {one}" for one in lines[:_LINES_SHOWN])]
        story.tell("\n".join([*shown, f"| … {len(lines) - _LINES_SHOWN} more lines"]))
        envelope, stored = json.loads(data), stage.store.stored("sessions/sess-harvest")
        story.check(envelope["data"] == stored.document, "the file is the record, whole")
        story.check(envelope["revision"] == stored.revision == 1, "its revision is 1")
        story.check(os.stat(path).st_mode & 0o777 == 0o600, "nobody else may read it")


def _convert_around(stage: _Stage) -> None:
    story = stage.story
    with story.step(f"convert the store: json → {' → '.join(_ROUND)}"):
        before, records = _files(stage.store), stage.records()
        sizes = [f"json {output.size(_size(before))}"]
        for name in _ROUND:
            report = stage.store.convert(name)
            story.check(
                not report.failures
                and report.items == len(before)
                and _formats(stage.store) == {"json" if name == "compact" else name}
                and all(path.endswith(_EXTENSIONS[name]) for path in _files(stage.store)),
                f"all {len(before)} files are {name}",
            )
            sizes.append(f"{name} {output.size(_size(_files(stage.store)))}")
            stage.store.load_all()
            story.check(stage.records() == records, "the records are equal")
        story.tell(", ".join(sizes))
        story.check(_files(stage.store) == before, "back in json every file has the same bytes")


def _mix(stage: _Stage) -> None:
    story = stage.story
    with story.step("mix the formats in one store"):
        chosen = {"sessions": "yaml", "conversations": "gzip", "tasks": "compact"}
        for kind, name in chosen.items():
            stage.store.convert(name, [kind])
        formats = ", ".join(f"{kind} in {name}" for kind, name in chosen.items())
        story.tell(f"{formats}, focus in json; the content of a file tells its format")
        ends = {os.path.splitext(path)[1] for path in _files(stage.store)}
        story.check(ends == {".json", ".gz", ".yaml"}, "the files are of all these formats")
        with _open(stage.store.path) as other:
            story.check(_records(other) == stage.records(), "it loads whole, every record equal")
            story.check(not other.verify().failures, "verify finds no fault")


def _back_up(stage: _Stage) -> None:
    story = stage.story
    with story.step("back it up, and prove the backup"):
        report = stage.store.backup(stage.backup)
        counts = ", ".join(f"{kind} {count}" for kind, count in report.counts.items())
        story.tell(f"{output.counted(report.items, 'record')}: {counts}")
        story.check(report.items == len(_files(stage.store)), "every record is in it")
        proved = verify_backup(stage.backup)
        story.check(proved.items == report.items, "each file is what the manifest says")
        story.check(
            _files_below(stage.backup) == _files(stage.store), "byte for byte as in the store"
        )


def _lose_everything(stage: _Stage) -> None:
    story = stage.story
    with story.step("lose every record file, and restore"):
        records = stage.records()
        lost = list(_files(stage.store))
        for path in lost:
            os.unlink(os.path.join(stage.store.path, path))  # a slip of somebody's hand
        with _open(stage.store.path) as other:
            story.check(not any(_records(other).values()), "the store is empty")
        report = stage.store.restore(stage.backup)
        story.tell(f"{output.counted(len(lost), 'file')} removed by hand, {report.items} restored")
        story.check(stage.records() == records, "every record is what it was")
        with _open(stage.store.path) as other:
            story.check(_records(other) == records, "so it is on the disk")


def _damage_one(stage: _Stage) -> None:
    story = stage.story
    with story.step("damage a file: it is reported, the rest loads"):
        stage.store.flush()  # or the file could be written once more after it was damaged
        path = stage.file("tasks", "print")
        with open(path, "r+b") as stream:  # as a bad disk or a cut copy would leave it
            stream.truncate(100)
        with _open(stage.store.path) as other:
            report = other.load_all()
            story.check(
                [str(one.key) for one in report.failures] == ["tasks/print"],
                "the one damaged record is named",
            )
            story.tell(output.printable(str(report.failures[0])))
            wanted = stage.records()
            del wanted["tasks"]["print"]
            story.check(_records(other) == wanted, "all others are there, equal")
            story.check(os.path.getsize(path) == 100, "the damaged file was not touched")
            found = other.verify()
            story.check(len(found.failures) == 1, "verify finds the same")


def _put_right(stage: _Stage) -> None:
    story = stage.story
    with story.step("put it right from the backup"):
        records = stage.records()
        report = stage.store.restore(stage.backup)
        quarantine = os.path.join(stage.store.path, "quarantine", "tasks")
        kept = [name for name in os.listdir(quarantine) if not name.endswith(".why.json")]
        story.tell(
            f"{output.counted(report.items, 'record')} restored, {report.unchanged} left alone; "
            "the damaged bytes are in quarantine, with the reason"
        )
        story.check(stage.records() == records, "every record is what it was")
        story.check(len(kept) == 1, "nothing was thrown away")
        story.check(not stage.store.verify().failures, "verify finds no fault")


def _records(store: Store) -> dict[str, dict[str, object]]:
    managers: Mapping[str, Manager[Any]] = store.managers
    return {kind: {one.id: one for one in manager} for kind, manager in managers.items()}


def _formats(store: Store) -> set[str]:
    return {
        one.format for kind in store.kinds() for one in store.scan(kind) if isinstance(one, Stored)
    }


def _files(store: Store) -> dict[str, bytes]:
    store.flush()  # the files follow what is saved
    return _files_below(store.path)


def _files_below(folder: str) -> dict[str, bytes]:
    """Return path → bytes of the record files below a store or a backup."""
    found = {}
    for kind in ("conversations", "focus", "sessions", "tasks"):
        inside = os.path.join(folder, kind)
        for name in sorted(os.listdir(inside)):
            with open(os.path.join(inside, name), "rb") as stream:
                found[f"{kind}/{name}"] = stream.read()
    return found


def _size(files: Mapping[str, bytes]) -> int:
    return sum(len(data) for data in files.values())
