"""Focus chains with a store on disk, saved, lost and loaded again, against lists and dicts."""

import copy
import tempfile
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from statestore import InvalidRecord, Store
from statestore.managers import FocusLimits, FocusManager

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
MAX_CHAINS = 3
NUMBERS = st.integers(0, 5)
SECONDS = st.sampled_from([None, 0, 1, 3])


def below(focuses):
    for focus in focuses:
        yield focus
        yield from below(focus["children"])


def holder_of(focuses, id):
    """Return the list that a focus stands in."""
    if any(one["id"] == id for one in focuses):
        return focuses
    found = (holder_of(one["children"], id) for one in focuses)
    return next((one for one in found if one is not None), None)


class FocusMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.seconds = 0
        self.count = 0
        self.chains = {}  # id -> what is expected of it, in the order of their making
        self.active = None
        self.saved = {}, None
        self.transaction = None
        self.before = None
        self.open()

    def open(self):
        self.store = Store(self.folder.name)
        limits = FocusLimits(max_chains=MAX_CHAINS)
        self.manager = self.store.register(FocusManager(clock=self.now, limits=limits))
        self.store.load_all(strict=True)

    def teardown(self):
        if self.transaction is not None:
            self.leave(error=True)
        self.manager.delete_all()
        self.store.close()
        self.folder.cleanup()

    def now(self):
        return MOMENT + timedelta(seconds=self.seconds)

    def new_id(self):
        self.count += 1
        return f"f{self.count:03}"

    # --- the model --------------------------------------------------------------------

    def chosen(self, number):
        ids = list(self.chains)
        return ids[number % len(ids)] if ids else None

    def chosen_focus(self, id, number, *, own=False):
        focuses = self.chains[id]["focuses"]
        ids = [one["id"] for one in (focuses if own else below(focuses))]
        return ids[number % len(ids)] if ids else None

    def is_over(self, focus):
        return focus["expires"] is not None and focus["expires"] <= self.seconds

    def put(self, id, focuses):
        """Let a chain hold other focuses, and point as near as can be to where it did."""
        chain = self.chains[id]
        old = [one["id"] for one in chain["focuses"]]
        left = [one["id"] for one in focuses]
        chain["focuses"] = focuses
        if chain["current"] is None or chain["current"] in left:
            return
        at = old.index(chain["current"])
        before = [one for one in old[:at] if one in left]
        behind = [one for one in old[at:] if one in left]
        chain["current"] = before[-1] if before else behind[0] if behind else None

    def fit(self, id, newest):
        chain = self.chains[id]
        focuses, size = chain["focuses"], chain["max_size"]
        if size and len(focuses) > size:
            end = len(focuses) - newest
            kept = [one for one in focuses[:end] if not self.is_over(one)] + focuses[end:]
            self.put(id, kept[-size:])

    def shown(self, id):
        """Return the id of the current focus that has not expired."""
        chain = self.chains[id]
        ids = [one["id"] for one in chain["focuses"]]
        if chain["current"] not in ids:
            return None
        at = ids.index(chain["current"])
        nearest = [*reversed(chain["focuses"][: at + 1]), *chain["focuses"][at + 1 :]]
        return next((one["id"] for one in nearest if not self.is_over(one)), None)

    def focus(self, ttl_s):
        expires = None if ttl_s is None else self.seconds + ttl_s
        return {"id": self.new_id(), "expires": expires, "priority": 5, "children": []}

    def trim(self, *kept):
        ids = [id for id in sorted(self.chains) if id not in (*kept, self.active)]
        over = len(self.chains) - MAX_CHAINS
        for id in ids[: max(0, over)]:
            del self.chains[id]

    # --- chains -----------------------------------------------------------------------

    @initialize(
        sizes=st.lists(st.integers(0, 4), min_size=1, max_size=2),
        ttls=st.lists(SECONDS, min_size=2, max_size=6),
        number=NUMBERS,
    )
    def begin_with_some(self, sizes, ttls, number):
        for place, max_size in enumerate(sizes):
            self.create(max_size, active=place == 0)
            for ttl_s in ttls:
                self.push(place, ttl_s, to_active=False)
            self.add_child(place, number, ttls[-1])
            self.point(place, number, none=False)

    @rule(max_size=st.integers(0, 3), active=st.booleans())
    def create(self, max_size, active):
        id = f"c{self.count:03}"
        self.count += 1
        self.seconds += 1  # so that the order of their making is known
        self.manager.create(id, id=id, max_size=max_size, active=active)
        self.chains[id] = {"focuses": [], "current": None, "max_size": max_size}
        if active:
            self.active = id
        self.trim(id)

    @precondition(lambda self: self.chains)
    @rule(number=NUMBERS)
    def delete(self, number):
        id = self.chosen(number)
        self.manager.delete(id)
        del self.chains[id]
        if self.active == id:
            self.active = None

    @precondition(lambda self: self.chains)
    @rule(number=NUMBERS)
    def activate(self, number):
        self.active = self.chosen(number)
        assert self.manager.activate(self.active) == self.manager.active

    @rule()
    def deactivate(self):
        was = self.manager.deactivate()
        assert self.active == (None if was is None else was.id)
        self.active = None

    @precondition(lambda self: self.chains)
    @rule(number=NUMBERS, max_size=st.integers(0, 3))
    def resize(self, number, max_size):
        id = self.chosen(number)
        self.manager.update(id, max_size=max_size)
        self.chains[id]["max_size"] = max_size
        self.fit(id, 0)

    @precondition(lambda self: self.chains)
    @rule(number=NUMBERS, other=NUMBERS)
    def merge(self, number, other):
        target, source = self.chosen(number), self.chosen(other)
        if target == source:
            return
        self.manager.merge(target, source)
        into, out_of = self.chains[target], self.chains[source]
        there = {one["id"] for one in below(into["focuses"])}

        def without(focuses):
            return [
                {**one, "children": without(one["children"])}
                for one in focuses
                if one["id"] not in there
            ]

        added = without(out_of["focuses"])
        into["focuses"] = into["focuses"] + added
        if into["current"] is None and out_of["current"] in {one["id"] for one in added}:
            into["current"] = out_of["current"]
        self.fit(target, 0)

    @precondition(lambda self: self.chains)
    @rule(number=NUMBERS, index=NUMBERS)
    def split(self, number, index):
        id = self.chosen(number)
        chain = self.chains[id]
        new = f"c{self.count:03}"
        self.count += 1
        self.seconds += 1
        if index >= len(chain["focuses"]):
            with pytest.raises(InvalidRecord, match="index"):
                self.manager.split(id, index, id=new)
            return
        self.manager.split(id, index, id=new)
        head, tail = chain["focuses"][:index], chain["focuses"][index:]
        current = chain["current"]
        for part in (head, tail):
            ids = [one["id"] for one in part]
            pointer = current if current in ids else ids[-1] if ids else None
            kept = id if part is head else new
            self.chains[kept] = {**chain, "focuses": part, "current": pointer}
        self.trim(id, new)

    @precondition(lambda self: self.chains)
    @rule(number=NUMBERS)
    def reverse(self, number):
        id = self.chosen(number)
        self.manager.reverse(id)
        self.chains[id]["focuses"].reverse()

    # --- focuses ----------------------------------------------------------------------

    @precondition(lambda self: self.chains)
    @rule(number=NUMBERS, ttls=st.lists(SECONDS, min_size=2, max_size=4))
    def push_some(self, number, ttls):
        for ttl_s in ttls:
            self.push(number, ttl_s, to_active=False)

    @precondition(lambda self: self.chains)
    @rule(number=NUMBERS, ttl_s=SECONDS, to_active=st.booleans())
    def push(self, number, ttl_s, to_active):
        focus = self.focus(ttl_s)
        if to_active and self.active is not None:
            id = self.active
            self.manager.push_to_active(id=focus["id"], ttl_s=ttl_s)
        else:
            id = self.chosen(number)
            self.manager.push(id, id=focus["id"], ttl_s=ttl_s)
        self.chains[id]["focuses"].append(focus)
        self.chains[id]["current"] = focus["id"]
        self.fit(id, 1)

    @precondition(lambda self: self.chains)
    @rule(number=NUMBERS)
    def pop(self, number):
        id = self.chosen(number)
        popped = self.manager.pop(id)
        focuses = self.chains[id]["focuses"]
        assert (popped and popped.id) == (focuses[-1]["id"] if focuses else None)
        self.put(id, focuses[:-1])

    @precondition(lambda self: self.chains)
    @rule(number=NUMBERS, other=NUMBERS)
    def remove(self, number, other):
        id = self.chosen(number)
        focus_id = self.chosen_focus(id, other)
        if focus_id is None:
            return
        assert self.manager.remove(id, focus_id).id == focus_id
        focuses = self.chains[id]["focuses"]
        holder = holder_of(focuses, focus_id)
        kept = [one for one in holder if one["id"] != focus_id]
        if holder is focuses:
            self.put(id, kept)
        else:
            holder[:] = kept

    @precondition(lambda self: self.chains)
    @rule(number=NUMBERS, other=NUMBERS, priority=st.integers(1, 20))
    def change(self, number, other, priority):
        id = self.chosen(number)
        focus_id = self.chosen_focus(id, other)
        if focus_id is None:
            return
        assert self.manager.update_focus(id, focus_id, priority=priority).priority == priority
        holder = holder_of(self.chains[id]["focuses"], focus_id)
        next(one for one in holder if one["id"] == focus_id)["priority"] = priority

    @precondition(lambda self: self.chains)
    @rule(number=NUMBERS, other=NUMBERS, ttl_s=SECONDS)
    def add_child(self, number, other, ttl_s):
        id = self.chosen(number)
        parent = self.chosen_focus(id, other)
        if parent is None:
            return
        focus = self.focus(ttl_s)
        self.manager.add_child(id, parent, id=focus["id"], ttl_s=ttl_s)
        holder = holder_of(self.chains[id]["focuses"], parent)
        next(one for one in holder if one["id"] == parent)["children"].append(focus)

    @precondition(lambda self: self.chains)
    @rule(number=NUMBERS)
    def clear(self, number):
        id = self.chosen(number)
        assert self.manager.clear_focuses(id).focuses == ()
        self.chains[id] = {**self.chains[id], "focuses": [], "current": None}

    @rule(number=st.none() | NUMBERS)
    def clean(self, number):
        ids = list(self.chains) if number is None or not self.chains else [self.chosen(number)]

        def fresh(focuses):
            return [
                {**one, "children": fresh(one["children"])}
                for one in focuses
                if not self.is_over(one)
            ]

        gone = 0
        for id in ids:
            focuses = self.chains[id]["focuses"]
            kept = fresh(focuses)
            gone += len(list(below(focuses))) - len(list(below(kept)))
            self.put(id, kept)
        assert self.manager.clean_expired(ids[0] if len(ids) == 1 else None) == gone

    # --- the pointer ------------------------------------------------------------------

    @precondition(lambda self: self.chains)
    @rule(number=NUMBERS, other=NUMBERS, none=st.booleans())
    def point(self, number, other, none):
        id = self.chosen(number)
        focus_id = None if none else self.chosen_focus(id, other, own=True)
        self.manager.set_current(id, focus_id)
        self.chains[id]["current"] = focus_id

    @precondition(lambda self: self.chains)
    @rule(
        number=NUMBERS,
        step=st.sampled_from(["next", "previous", "first", "last"]),
        expired=st.booleans(),
    )
    def step(self, number, step, expired):
        id = self.chosen(number)
        chain = self.chains[id]
        ids = [one["id"] for one in chain["focuses"]]
        fresh = [one["id"] for one in chain["focuses"] if expired or not self.is_over(one)]
        begin = chain["current"] if expired else self.shown(id)
        if step == "first" or (step == "next" and begin is None):
            wanted = fresh[:1]
        elif step == "last" or (step == "previous" and begin is None):
            wanted = fresh[-1:]
        elif step == "next":
            wanted = [one for one in fresh if ids.index(one) > ids.index(begin)][:1]
        else:
            wanted = [one for one in fresh if ids.index(one) < ids.index(begin)][-1:]
        found = getattr(self.manager, step)(id, expired=expired)
        assert (found and found.id) == (wanted[0] if wanted else None)
        if wanted:
            chain["current"] = wanted[0]

    # --- time, the store --------------------------------------------------------------

    @rule(seconds=st.integers(1, 2))
    def wait(self, seconds):
        self.seconds += seconds

    @precondition(lambda self: self.transaction is None)
    @rule()
    def save(self):
        self.store.save_all()
        assert self.manager.unsaved == ()
        self.saved = copy.deepcopy((self.chains, self.active))

    @precondition(lambda self: self.transaction is None)
    @rule()
    def lose_and_load(self):
        self.store.load_all(discard=True)
        self.chains, self.active = copy.deepcopy(self.saved)

    @precondition(lambda self: self.transaction is None)
    @rule()
    def save_and_open_again(self):
        self.save()
        kept = {one.id: one for one in self.manager}
        self.store.close()
        self.open()
        assert {one.id: one for one in self.manager} == kept
        self.chains = {one.id: self.chains[one.id] for one in self.manager}

    @precondition(lambda self: self.transaction is None)
    @rule()
    def begin(self):
        self.save()  # so that what a transaction commits is the same as what is saved
        self.before = copy.deepcopy((self.chains, self.active))
        self.transaction = self.store.transaction()
        self.transaction.__enter__()

    @precondition(lambda self: self.transaction is not None)
    @rule(error=st.booleans())
    def leave(self, error):
        transaction, self.transaction = self.transaction, None
        if not error:
            transaction.__exit__(None, None, None)
            assert self.manager.unsaved == ()
            self.saved = copy.deepcopy((self.chains, self.active))
            return
        transaction.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
        self.chains, self.active = self.before

    # --- what holds always ------------------------------------------------------------

    @invariant()
    def chains_are_as_the_model(self):
        def plain(focuses):
            return [
                {
                    "id": one.id,
                    "expires": one.expires_at and (one.expires_at - MOMENT).total_seconds(),
                    "priority": one.priority,
                    "children": plain(one.children),
                }
                for one in focuses
            ]

        assert {
            one.id: {
                "focuses": plain(one.focuses),
                "current": one.current_id,
                "max_size": one.max_size,
            }
            for one in self.manager
        } == self.chains
        active = self.manager.active
        assert (active and active.id) == self.active
        for id in self.chains:
            current = self.manager.current(id)
            assert (current and current.id) == self.shown(id)

    @invariant()
    def figures_are_as_the_model(self):
        figures = self.manager.statistics()
        focuses = [one for chain in self.chains.values() for one in below(chain["focuses"])]
        assert (figures.chains, figures.focuses) == (len(self.chains), len(focuses))
        assert figures.has_active == (self.active is not None)


TestFocus = FocusMachine.TestCase
TestFocus.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
