"""Back a store up, lose it, and get it back."""

import shutil
import tempfile
from pathlib import Path

from statestore import InvalidBackup, Store
from statestore.managers import SessionManager

with tempfile.TemporaryDirectory() as folder:
    path, safe = Path(folder) / "state", Path(folder) / "safe" / "monday"
    with Store(path) as store:
        sessions = store.register(SessionManager())
        for name in ("Plan", "Build", "Test"):
            sessions.create(id=name.lower(), name=name)

        report = store.backup(safe)  # saves what is unsaved, then copies and checks
        print(f"{report.items} records, {report.size_bytes} bytes in {Path(report.path).name}")

        sessions.delete("plan")
        sessions.update("build", description="changed after the backup")
        store.save_all()
        (path / "sessions" / "test.json").unlink()  # an accident

        result = store.restore(safe)
        print(f"{result.items} written, {result.deleted} deleted, {result.unchanged} left alone")
        assert sessions.ids() == ("build", "plan", "test")  # the managers hold it too
        assert sessions["build"].description == ""

        damaged = Path(folder) / "damaged"
        shutil.copytree(safe, damaged)
        (damaged / "sessions" / "plan.json").write_text("{}")
        try:
            store.restore(damaged)
        except InvalidBackup as error:
            print("refused:", error)
        assert len(sessions) == 3  # nothing was changed
