"""The memory driver keeps the contract of drivers, at the cost of what is changed."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statestore.drivers.memory import MemoryDriver
from statestore.drivers.pieces import Pieces
from statestore.errors import CommitRefused, StateStoreError
from statestore.models.changes import Append, Patch, Put, apply_patch
from statestore.models.keys import Key
from statestore.testing.driver import DriverContract
from statestore.testing.strategies import documents

KEY = Key("notes", "a")
FIELDS = st.sampled_from(["text", "tags", "items", "more"])


class TestMemory(DriverContract):
    @pytest.fixture
    def driver(self, clock):
        return MemoryDriver(clock=clock)


def test_stores_in_memory_are_told_apart():
    assert MemoryDriver().store_id != MemoryDriver().store_id


# --- what is added to a record --------------------------------------------------------


@st.composite
def patches(draw):
    set_ = draw(st.dictionaries(FIELDS, documents() | st.lists(documents(), max_size=3)))
    length = draw(st.integers(0, 4))
    items = tuple(draw(st.lists(documents(), max_size=3)))
    appends = st.just(()) | st.just((Append(draw(FIELDS), length, items),))
    return Patch(KEY, set_, draw(appends))


def whole(document, changes):
    """Return a document as patches make it, and why they cannot be applied."""
    try:
        for one in changes:
            document = apply_patch(document, one)
    except StateStoreError as error:
        return None, str(error)
    return document, None


@given(
    st.fixed_dictionaries({"text": documents(), "tags": st.lists(documents(), max_size=4)}),
    st.lists(st.lists(patches(), min_size=1, max_size=2), max_size=4),
)
def test_patches_make_what_they_make_of_the_whole_document(document, commits):
    driver = MemoryDriver()
    model = {"id": "a", **document, "items": []}
    driver.commit([Put(KEY, model)], {})

    for changes in commits:
        expected, reason = whole(model, changes)
        if reason is None:
            driver.commit(changes, {})
            model = orjson.loads(orjson.dumps(expected))
        else:
            with pytest.raises(CommitRefused) as refused:
                driver.commit(changes, {})
            assert str(refused.value.failures[0].error) == reason

    stored = driver.read(KEY)
    assert orjson.dumps(stored.document) == orjson.dumps(model)
    assert stored.size_bytes == len(orjson.dumps(model))


def test_adding_costs_what_is_added_however_much_is_there(monkeypatch):
    driver = MemoryDriver()
    driver.commit([Put(KEY, {"id": "a", "n": 0, "items": ["x"] * 100})], {})
    looks = []
    of, joined = Pieces.of, Pieces.joined
    monkeypatch.setattr(Pieces, "of", lambda one: looks.append("apart") or of(one))
    monkeypatch.setattr(Pieces, "joined", lambda one: looks.append("joined") or joined(one))

    for n in range(20):
        driver.commit([Patch(KEY, {"n": n}, (Append("items", 100 + n, (f"{n}",)),))], {})

    assert looks == ["apart"]
    assert driver.read(KEY).document["items"][100:] == [f"{n}" for n in range(20)]


def test_what_an_older_scan_reads_is_not_changed_by_what_is_added():
    driver = MemoryDriver()
    driver.commit([Put(KEY, {"id": "a", "items": [1]})], {})
    driver.commit([Patch(KEY, {}, (Append("items", 1, (2,)),))], {})
    scan = driver.scan("notes")
    before = next(scan)

    driver.commit([Patch(KEY, {}, (Append("items", 2, (3,)),))], {})

    assert before.document["items"] == [1, 2]
    assert driver.read(KEY).document["items"] == [1, 2, 3]
