"""The directory driver keeps the contract of drivers, in every format."""

import pytest

from statestore.drivers.directory import DirectoryDriver
from statestore.journal.journal import JournalOptions
from statestore.testing.driver import DurableDriverContract
from statestore.testing.shared_driver import SharedDriverContract


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


class TestOpeningsOfDirectory(SharedDriverContract):
    format = "json"

    @pytest.fixture
    def opening(self, tmp_path):
        return lambda: DirectoryDriver(tmp_path / "store", format=self.format)


class TestOpeningsOfDirectoryOfYaml(TestOpeningsOfDirectory):
    format = "yaml"


class TestOpeningsOfDirectoryThatWriteFilesAtOnce(SharedDriverContract):
    @pytest.fixture
    def opening(self, tmp_path):
        options = JournalOptions(segment_bytes=64)  # a new segment after each pass
        return lambda: DirectoryDriver(tmp_path / "store", journal=options, materialize="now")
