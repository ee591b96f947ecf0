"""The memory driver keeps the contract of drivers."""

import pytest

from statestore.drivers.memory import MemoryDriver
from statestore.testing.driver import DriverContract


class TestMemory(DriverContract):
    @pytest.fixture
    def driver(self, clock):
        return MemoryDriver(clock=clock)


def test_stores_in_memory_are_told_apart():
    assert MemoryDriver().store_id != MemoryDriver().store_id
