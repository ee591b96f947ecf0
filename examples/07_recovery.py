"""Damage one record's file, edit another by hand: what happens, and what brings things back."""

import os
import tempfile
from pathlib import Path

from statestore import Store
from statestore.managers import TaskManager

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "state"
    with Store(path) as store:
        tasks = store.register(TaskManager())
        tasks.create("Weigh the pears", id="pears")
        tasks.create("Count the plums", id="plums")

    damaged, edited = path / "tasks" / "pears.json", path / "tasks" / "plums.json"
    damaged.write_bytes(b"\0" * 100)  # a bad disk
    os.utime(damaged, (0, 0))  # long ago: nobody is still writing it
    edited.write_text(edited.read_text().replace("Count", "Taste"))

    with Store(path) as store:
        tasks = store.register(TaskManager())
        loaded = store.load_all()
        print(*loaded.failures)
        assert tasks.ids() == ("plums",)
        assert tasks["plums"].title == "Taste the plums"  # the edit was taken in
        assert tasks.revision("plums") == 2

        report = store.recover()  # on the command line: statestore recover
        print(f"in quarantine: {report.quarantined[0].origin}, {report.quarantined[0].why}")
        print(f"missing: {report.absent[0].key}, of which revision {report.absent[0].kept} is kept")

        back = store.bring_back("tasks/pears")  # statestore recover tasks/pears
        print(f"{back.key} has revision {back.revision} now")
        assert tasks["pears"].title == "Weigh the pears"

        for commit in store.changes():  # statestore history
            changed = ", ".join(f"{key}@{revision}" for key, revision in commit.revisions.items())
            print(f"commit {commit.sequence} ({commit.source}): {changed}")
