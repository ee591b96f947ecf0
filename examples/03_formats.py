"""Write records in another format, mix formats in one store, convert all of them."""

import tempfile
from pathlib import Path

from statestore import Store
from statestore.managers import TaskManager
from statestore.serializers import detect


def files(path: Path) -> list[str]:
    """Return the names of the record files."""
    return sorted(file.name for file in path.glob("tasks/*"))


with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "state"
    with Store(path, format="yaml") as store:
        tasks = store.register(TaskManager())
        tasks.create("Write it down", id="first", tags=["no", "1:30", "2026-11-20"])
        store.save_all()
        store.flush()  # files follow what is saved within a second
        print((path / "tasks/first.yaml").read_text())

        store.set_serializer("gzip")  # for what is saved from now on
        tasks.create("Pack it", id="second")
        store.save_all()
        store.flush()
        assert files(path) == ["first.yaml", "second.json.gz"]

    with Store(path) as store:  # whatever the format, each file is known by its content
        tasks = store.register(TaskManager())
        assert store.load_all().items == 2
        assert tasks["first"].tags == ("no", "1:30", "2026-11-20")

        report = store.convert("json")
        print(f"converted {report.items} records to {report.format}")
        assert files(path) == ["first.json", "second.json"]
        assert detect((path / "tasks/second.json").read_bytes()).name == "json"
