"""Statistics: how much there is, per kind and format."""

from datetime import UTC, datetime

from statestore import Store


def test_records_sizes_and_formats_are_counted(world, tmp_path):
    moment = datetime(2026, 5, 1, 8, tzinfo=UTC)
    w = world(clock=lambda: moment).fill()
    w.store.convert("yaml", ["sessions"])
    w.store.convert("gzip", ["focus"])
    (tmp_path / "state/tasks/torn.json").write_text("{")
    w.sessions.create(id="unsaved")

    stats = w.store.stats()

    assert (stats.path, stats.format) == (str(tmp_path / "state"), "json")
    assert {kind: one.records for kind, one in stats.kinds.items()} == {
        **dict.fromkeys(("sessions", "conversations", "focus", "tasks"), 1),
        "notes": len(w.notes),
    }
    assert {kind: one.formats for kind, one in stats.kinds.items() if kind != "notes"} == {
        "sessions": {"yaml": 1},
        "conversations": {"json": 1},
        "focus": {"gzip": 1},
        "tasks": {"json": 1},
    }
    assert [one.unreadable for one in stats.kinds.values()] == [0, 0, 0, 0, 1]
    assert stats.records == 4 + len(w.notes)
    sizes = {
        kind: sum(path.stat().st_size for path in (tmp_path / "state" / kind).iterdir())
        for kind in stats.kinds
    }
    sizes["tasks"] -= 1
    assert {kind: one.size_bytes for kind, one in stats.kinds.items()} == sizes
    assert stats.size_bytes == sum(sizes.values())
    assert {one.last_saved_at for one in stats.kinds.values()} == {moment}


def test_nothing_is_nothing(world):
    stats = world().store.stats()

    assert (stats.records, stats.size_bytes) == (0, 0)
    assert {one.last_saved_at for one in stats.kinds.values()} == {None}


def test_store_in_memory_has_no_formats(world):
    w = world("memory:").fill()

    stats = w.store.stats()

    assert stats.records == len(w.records)
    assert all(one.formats == {} for one in stats.kinds.values())


def test_kinds_without_a_manager_are_counted(world, tmp_path):
    w = world().fill()
    w.store.close()

    with Store(tmp_path / "state") as bare:
        assert bare.stats().records == len(w.records)
