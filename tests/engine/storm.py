"""A storm of SIGINT against a program that changes, saves and uses transactions; run by a test.

Each round works until it is interrupted at some moment, then looks: what is in memory is what is
stored, or it is unsaved; nothing hangs; the next save makes both equal.
"""

import faulthandler
import random
import signal
import sys
import tempfile
import threading
import time

import attrs
from queued import QueueingDriver

from statestore import Manager, Store
from statestore.drivers.directory import DirectoryDriver
from statestore.drivers.memory import MemoryDriver
from statestore.engine.engine import Engine

DRIVERS = {
    "queue": QueueingDriver,
    "memory": MemoryDriver,
    "directory": lambda: DirectoryDriver(tempfile.mkdtemp(dir=sys.argv[4])),
}
STORMS, DRIVER, SEED = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])


@attrs.frozen
class Note:
    id: str
    number: int = 0


def contents(driver, kind):
    return {one.key.id: one.document["number"] for one in driver.scan(kind)}


def change(store, notes, other, number):
    notes.update("a", number=number)
    store.save_all()
    with store.transaction():
        notes.update("b", number=number)
        other.update("b", number=number)
        with store.transaction():
            notes.update("c", number=number)
            other.update("c", number=number)
    notes.create(id=f"n{number}")
    notes.delete(f"n{number}")
    if number % 7 == 0:
        notes.delete_all()
        for id in "abc":
            if id not in notes:
                notes.create(id=id, number=0)
        with store.transaction():
            notes.update("b", number=number)
            notes.update("c", number=number)
            other.update("b", number=number)
            other.update("c", number=number)
    if number % 11 == 0:
        store.load_all()
    if number % 5 == 0:
        store.flush()


def mend(notes):
    for id in "abc":
        if id not in notes:
            notes.create(id=id)


def main():
    rng = random.Random(SEED)
    driver = DRIVERS[DRIVER]()
    store = Store("memory:")
    store._engine = Engine(driver, save_on_change=True)
    managers = notes, other = [store.register(Manager(kind, Note)) for kind in ("notes", "other")]
    for manager in managers:
        for id in "abc":
            manager.create(id=id)
    stop = threading.Event()
    broken = []

    def beside():
        mine = store._engine
        while not stop.is_set():
            try:
                other.create(id="beside")
                other.delete("beside")
                mine.save()
                time.sleep(0.001)
            except Exception as error:  # noqa: BLE001 # told at the end
                broken.append(error)
                return

    thread = threading.Thread(target=beside)
    thread.start()
    number = hits = 0
    watching = False

    def interrupt(*_):
        # As the default handler does, but only where the program is ready for it.
        if watching:
            raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    for _ in range(STORMS):
        faulthandler.dump_traceback_later(60, exit=True)
        try:
            watching = True
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.00005, 0.004), 0.0007)
            while True:
                number += 1
                change(store, notes, other, number)
        except KeyboardInterrupt:
            watching = False
            hits += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        watching = False
        unsaved = set(store.unsaved)
        store._engine.flights.wait_for_all()
        for manager in managers:
            memory = {one.id: one.number for one in manager if one.id != "beside"}
            stored = contents(driver, manager.kind)
            stored.pop("beside", None)
            keys = {key.id for key in unsaved if key.kind == manager.kind}
            differ = {id for id in {*memory, *stored} if memory.get(id) != stored.get(id)}
            assert differ <= keys, (manager.kind, memory, stored, keys)
        if "b" in notes and "c" in notes and notes["b"].number and notes["c"].number:
            assert notes["b"].number == notes["c"].number, (notes["b"], notes["c"])
        assert other["b"].number == other["c"].number
        report = store.save_all()
        assert not report.failures
        for manager in managers:
            memory = {one.id: one.number for one in manager if one.id != "beside"}
            stored = contents(driver, manager.kind)
            stored.pop("beside", None)
            assert memory == stored, (manager.kind, memory, stored)
        assert not broken, broken
        mend(notes)
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert not broken, broken
    driver.close()
    sys.stdout.write(f"{hits} {number}\n")


main()
