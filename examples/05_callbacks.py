"""Be told of saves, loads and errors: for logs, metrics and alerts."""

import tempfile
from pathlib import Path

import attrs

from statestore import Manager, SaveFailed, Store
from statestore.managers import TaskManager
from statestore.models.reports import Failure, SaveReport


@attrs.frozen
class Reading:
    id: str
    value: float = 0.0


with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "state"
    with Store(path) as store:
        tasks = store.register(TaskManager())
        readings = store.register(Manager("readings", Reading))
        metrics = {"saves": 0, "bytes": 0}
        errors: list[Failure] = []

        def count(report: SaveReport) -> None:
            """Runs after the save, outside every lock: it may use the store."""
            metrics["saves"] += 1
            metrics["bytes"] += report.size_bytes
            assert store.last_save_time is not None

        handle = store.on_save(count)
        store.on_load(lambda report: print(f"loaded {report.items} in {report.duration_s:.3f} s"))
        store.on_error(errors.append)

        tasks.create("Good", id="good")
        store.save_all()
        handle.cancel()

        readings.create(id="bad", value=float("nan"))
        try:
            store.save_all()
        except SaveFailed as error:
            print("alert:", error)
        assert [str(failure.key) for failure in errors] == ["readings/bad"]
        readings.delete("bad")

        (path / "tasks" / "broken.json").write_text('{"kind": "tasks"')
        report = store.load_all()  # the good one is loaded, the broken one is reported and kept
        assert report.items == 1
        assert (path / "tasks" / "broken.json").exists()
        print("reported:", report.failures[0])
        print(f"{metrics['saves']} save counted, {len(errors)} errors heard")
