"""Backups that earlier versions made: read and restored exactly, for ever.

`backup-1` was made by the first version: JSON, compact JSON and YAML. A new layout gets a new
folder beside it; what is there is never changed.
"""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from statestore.managers import Conversation, Message, Session

GOLDEN = Path(__file__).parent.parent / "golden" / "backup-1"
AT = datetime(2026, 5, 1, 8, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def copy(tmp_path, as_written):
    """A copy, because who checks out a tree chooses the permissions and times in it."""
    return as_written(shutil.copytree(GOLDEN, tmp_path / "golden", copy_function=shutil.copyfile))


@pytest.fixture
def wanted(note):
    records = (
        Session(
            id="sess-1",
            project_id="bicycle",
            name="Mend the chain",
            tags=["oil"],
            metadata={"1:30": "no", "n": 2**63},
            created_at=AT,
            updated_at=AT,
        ),
        Conversation(
            id="Talk/1",
            title="Chain",
            session_id="sess-1",
            created_at=AT,
            updated_at=AT,
            messages=(
                Message(id="m1", role="user", content="It squeaks:\n- a lot\n", created_at=AT),
                Message(
                    id="m2",
                    role="assistant",
                    content=None,
                    tool_calls=[{"id": "k1", "name": "oil", "arguments": '{"drops": 3}'}],
                    extra={"thought": "dry"},
                ),
                Message(
                    id="m3",
                    role="tool",
                    content=[{"type": "text", "text": "oiled"}],
                    tool_call_id="k1",
                ),
            ),
        ),
        note("e\u0301 ~", "no"),
        note("é ~", "yes", {"a": [1, 1.0, None, True], "": {}}),
    )
    kinds = ("sessions", "conversations", "notes", "notes")
    return {(kind, one.id): one for kind, one in zip(kinds, records, strict=True)}


def test_golden_backup_is_read_as_a_store(world, copy, wanted):
    w = world(copy, read_only=True, allow_unsafe=True)

    assert w.records == wanted
    assert set(w.revisions.values()) == {1}


def test_golden_files_that_a_person_copied_are_taken_for_edits(world, wanted, tmp_path):
    laid = shutil.copytree(GOLDEN, tmp_path / "laid", copy_function=shutil.copyfile)

    w = world(laid, allow_unsafe=True)

    assert w.records == wanted
    assert set(w.revisions.values()) == {2}


@pytest.mark.parametrize("format", ["json", "gzip", "yaml"])
def test_golden_backup_is_restored(world, copy, wanted, format):
    w = world(format=format)

    report = w.store.restore(copy)

    assert (w.records, report.items) == (wanted, 4)
    assert world().records == wanted


@pytest.mark.parametrize("format", ["json", "yaml"])
def test_files_are_written_as_ever(world, copy, tmp_path, format):
    w = world(copy, allow_unsafe=True)
    golden = {path.name: path.read_bytes() for path in GOLDEN.glob(f"[sc]*/*.{format}")}
    assert len(golden) == 1

    w.store.convert("gzip")
    w.store.convert(format)

    (name, data), (path,) = *golden.items(), [p for p in copy.glob("[sc]*/*") if p.name in golden]
    assert (path.name, path.read_bytes()) == (name, data)
