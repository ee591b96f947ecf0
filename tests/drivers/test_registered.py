"""Drivers by the schemes of URLs: built in, and of others."""

from pathlib import Path

import pytest

from statestore import NameTaken, Store, UnknownName
from statestore.drivers.directory import DirectoryDriver
from statestore.drivers.memory import MemoryDriver
from statestore.drivers.registered import DriverOptions, get, names, register
from statestore.managers import TaskManager
from statestore.testing.driver import DriverContract


class CountingDriver:
    """A driver of a third party: it passes everything on, and counts the commits."""

    def __init__(self, inner):
        self._inner, self.commits = inner, 0

    def commit(self, changes, expect):
        self.commits += 1
        return self._inner.commit(changes, expect)

    def __getattr__(self, name):
        return getattr(self._inner, name)


class TestCustomDriver(DriverContract):
    @pytest.fixture
    def driver(self, clock):
        return CountingDriver(MemoryDriver(clock=clock))


OPENED = []


@pytest.fixture(scope="module", autouse=True)
def counting():
    def open_counting(options):
        driver = CountingDriver(MemoryDriver(f"counting:{options.target}", clock=options.clock))
        OPENED.append((options, driver))
        return driver

    register("counting", open_counting)


def test_store_opens_a_driver_of_others_by_its_scheme():
    with Store("counting:here", format="yaml", read_only=False) as store:
        tasks = store.register(TaskManager())
        tasks.create("t", id="t")
        store.save_all()
        assert store.path == "counting:here"

    options, driver = OPENED[-1]
    assert (options.target, options.format, options.read_only) == ("here", "yaml", False)
    assert driver.commits == 1


def test_scheme_that_is_taken_is_refused():
    with pytest.raises(NameTaken, match="memory"):
        register("memory", lambda _: None)


def test_scheme_that_is_not_known_is_refused_with_those_that_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UnknownName, match="directory, memory"):
        Store("redis:localhost")
    assert list(tmp_path.iterdir()) == []
    assert {"directory", "memory", "counting"} <= set(names())


def test_url_of_a_directory_is_its_path(tmp_path):
    driver = get("directory")(DriverOptions(target=str(tmp_path / "store")))

    assert isinstance(driver, DirectoryDriver)
    driver.close()
    with Store(f"directory:{tmp_path / 'store'}") as store:
        assert store.path == str((tmp_path / "store").resolve())


def test_path_object_is_never_a_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store(Path("memory:x")) as store:
        assert store.path == str(tmp_path / "memory:x")
