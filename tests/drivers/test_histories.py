"""Concurrent transactions of several processes are as if made one after the other."""

import importlib.util
import json
import textwrap
from collections import Counter
from pathlib import Path

import attrs
import pytest

from statestore import Manager, Store


def _histories():
    path = Path(__file__).with_name("histories.py")
    spec = importlib.util.spec_from_file_location("histories", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


histories = _histories()
Made = histories.Made

SCRIPT = """
    import json
    import random
    import sys

    import attrs

    from statestore import Manager, Store
    from statestore.errors import Conflict, TransactionFailed

    @attrs.frozen
    class Tokens:
        id: str
        items: tuple[str, ...] = ()

    path, role, name, turns = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    with Store(path) as store:
        lists = store.register(Manager("lists", Tokens))
        store.load_all()
        sequences = []
        store.on_save(lambda report: sequences.append(report.sequence))
        print("ready", flush=True)
        sys.stdin.readline()  # all begin at once
        chance = random.Random(name)
        tokens = [f"{name}.{turn}" for turn in range(turns)] if role == "add" else []
        for token in tokens:
            chosen = chance.sample(lists.ids(), chance.randint(1, 3))
            while True:
                reads = {}
                try:
                    with store.transaction():
                        for id in chosen:
                            reads[id] = lists[id].items
                            lists.update(id, items=(*reads[id], token))
                except TransactionFailed as error:
                    assert all(isinstance(one.error, Conflict) for one in error.failures)
                    store.refresh()
                else:
                    print(json.dumps([token, sequences[-1], reads]), flush=True)
                    break
        seen, before = 0, None
        while role == "look" and seen < turns:
            store.refresh()
            now = {one.id: one.items for one in lists.all()}
            if now != before:
                print(json.dumps(now), flush=True)
            seen, before = sum(map(len, now.values())), now
"""


@attrs.frozen
class Tokens:
    id: str
    items: tuple[str, ...] = ()


IDS = ("a", "b", "c", "d", "e")


@pytest.fixture
def lists(tmp_path):
    with Store(tmp_path / "store") as store:
        manager = store.register(Manager("lists", Tokens))
        for id in IDS:
            manager.create(id=id)
        store.save_all()

    def read():
        with Store(tmp_path / "store", read_only=True) as store:
            manager = store.register(Manager("lists", Tokens))
            assert store.load_all().failures == ()
            return {one.id: one.items for one in manager}

    return read


# --- real processes -------------------------------------------------------------------


def test_transactions_of_four_processes_have_a_serial_order(side_by_side, tmp_path, lists):
    path = str(tmp_path / "store")

    told = side_by_side(
        textwrap.dedent(SCRIPT), *((path, "add", name, "40") for name in ("p", "q", "r", "s"))
    )

    made = [Made(*json.loads(line)) for lines in told for line in lines]
    final = lists()
    assert len(made) == 160
    assert histories.problems(made, final) == []
    assert Counter(token for tokens in final.values() for token in tokens) == Counter(
        one.name for one in made for _ in one.reads
    )


def test_refresh_shows_transactions_of_others_wholly_and_in_their_order(
    side_by_side, tmp_path, lists
):
    path = str(tmp_path / "store")
    count = 60  # a token is in one list at least

    *told, looks = side_by_side(
        textwrap.dedent(SCRIPT),
        (path, "add", "p", "30"),
        (path, "add", "q", "30"),
        (path, "look", "", str(count)),
    )

    made = [Made(*json.loads(line)) for lines in told for line in lines]
    assert histories.problems(made, lists()) == []
    assert len(looks) > 1
    assert [problem for look in looks for problem in histories.torn(made, json.loads(look))] == []


# --- the judge itself -----------------------------------------------------------------

SOUND = [
    Made("t1", 1, {"x": (), "y": ()}),
    Made("t2", 2, {"y": ("t1",)}),
    Made("t3", 3, {"x": ("t1",), "y": ("t1", "t2")}),
]
SOUND_LISTS = {"x": ("t1", "t3"), "y": ("t1", "t2", "t3")}


def test_judge_finds_nothing_in_a_serial_history():
    assert histories.problems(SOUND, SOUND_LISTS) == []


@pytest.mark.parametrize(
    ("made", "lists", "found"),
    [
        pytest.param(
            [Made("t1", 1, {"x": ()}), Made("t2", 2, {"x": ()})],
            {"x": ("t2",)},
            ["t1 is lost"],
            id="lost update, gone",
        ),
        pytest.param(
            [Made("t1", 1, {"x": ()}), Made("t2", 2, {"x": ()})],
            {"x": ("t1", "t2")},
            ["each comes before the next"],
            id="an update made from what was old",
        ),
        pytest.param(
            SOUND,
            {"x": ("t1",), "y": ("t1", "t2", "t3")},
            ["of t3 a half is lost: ['x']"],
            id="half a transaction",
        ),
        pytest.param(
            SOUND,
            {"x": ("t1", "t3", "t3"), "y": ("t1", "t2", "t3")},
            ["t3 is in x 2 times"],
            id="made twice",
        ),
        pytest.param(
            [Made("t1", 1, {"x": (), "y": ("t2",)}), Made("t2", 2, {"x": ("t1",), "y": ()})],
            {"x": ("t1", "t2"), "y": ("t2", "t1")},
            ["the order of y is not that of the commits", "each comes before the next"],
            id="a cycle of writes",
        ),
        pytest.param(
            [
                Made("t1", 1, {"x": (), "z": ("t3",)}),
                Made("t2", 2, {"x": ("t1",), "y": ()}),
                Made("t3", 3, {"y": ("t2",), "z": ()}),
            ],
            {"x": ("t1", "t2"), "y": ("t2", "t3"), "z": ("t3", "t1")},
            ["the order of z is not that of the commits", "each comes before the next"],
            id="a cycle of three",
        ),
        pytest.param(
            [Made("t1", 1, {"x": ()}), Made("t2", 2, {"x": ("t0",)})],
            {"x": ("t1", "t2")},
            ["t2 has read in x what never was"],
            id="a read of what was never there",
        ),
        pytest.param(
            [Made("t1", 2, {"x": ()}), Made("t2", 1, {"x": ("t1",)})],
            {"x": ("t1", "t2")},
            ["the order of x is not that of the commits"],
            id="sequences in another order",
        ),
        pytest.param(
            [Made("t1", 1, {"x": ()}), Made("t2", 1, {"y": ()})],
            {"x": ("t1",), "y": ("t2",)},
            ["two transactions have one sequence"],
            id="one sequence twice",
        ),
        pytest.param(
            [Made("t1", 1, {"x": ()})],
            {"x": ("t1", "t9")},
            ["nobody has added t9 to x"],
            id="a token of nobody",
        ),
    ],
)
def test_judge_finds_what_no_order_explains(made, lists, found):
    problems = histories.problems(made, lists)

    assert len(problems) == len(found), problems
    for problem, begin in zip(problems, found, strict=True):
        assert problem.startswith(begin)


def test_judge_of_looks_finds_half_a_transaction_and_a_later_one_alone():
    assert histories.torn(SOUND, SOUND_LISTS) == []
    assert histories.torn(SOUND, {"x": ("t1",), "y": ("t1",)}) == []
    assert histories.torn(SOUND, {"x": ("t1",), "y": ()}) == ["t1 is seen in 1 of 2 lists"]
    assert histories.torn(SOUND, {"x": ("t1", "t3"), "y": ("t1", "t3")}) == [
        "t2, commit 2, is not seen, and commit 3 is"
    ]
