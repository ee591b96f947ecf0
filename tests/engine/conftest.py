"""What tests of the engine share."""

import importlib.util
import threading
from pathlib import Path

import pytest

from statestore import Store
from statestore.engine.engine import Engine

LIMIT_S = 60  # only against a hang


def _queued():
    path = Path(__file__).with_name("queued.py")
    spec = importlib.util.spec_from_file_location("queued", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


QueueingDriver = _queued().QueueingDriver


@pytest.fixture
def driver():
    driver = QueueingDriver()
    yield driver
    driver.gate.set()
    driver.close()


def _over(driver, *, save_on_change=False):
    """Return a store over a driver of a test."""
    store = Store("memory:")
    store._engine = Engine(driver, save_on_change=save_on_change)
    return store


@pytest.fixture
def over():
    return _over


class Running(threading.Thread):
    """A function on a thread of its own; `result` waits for it."""

    def __init__(self, function):
        super().__init__(daemon=True)
        self.function, self.error, self.value = function, None, None
        self.start()

    def run(self):
        try:
            self.value = self.function()
        except BaseException as error:  # noqa: BLE001 # told by result()
            self.error = error

    def result(self):
        self.join(LIMIT_S)
        assert not self.is_alive(), "it hangs"
        if self.error is not None:
            raise self.error
        return self.value


@pytest.fixture
def running():
    return Running
