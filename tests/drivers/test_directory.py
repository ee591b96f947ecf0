"""The directory driver keeps the contract of drivers, in every format."""

import pytest

from statestore.drivers.directory import DirectoryDriver
from statestore.testing.driver import DurableDriverContract


class TestDirectory(DurableDriverContract):
    format = "json"

    @pytest.fixture
    def driver(self, tmp_path, clock):
        driver = DirectoryDriver(tmp_path / "store", format=self.format, clock=clock)
        yield driver
        driver.close()

    def reopen(self, driver, clock):
        return DirectoryDriver(driver.path, clock=clock)


class TestDirectoryOfYaml(TestDirectory):
    format = "yaml"


class TestDirectoryOfGzip(TestDirectory):
    format = "gzip"
