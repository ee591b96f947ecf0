"""The table of named implementations."""

import importlib.metadata
import sys
import threading

import pytest

from statestore.errors import MissingExtra, NameTaken, UnknownName
from statestore.registry import Registry


class Point:
    """An entry point of an installed package."""

    def __init__(self, name, make=object):
        self.name, self.make, self.loaded = name, make, 0
        self.value = f"package.of:{name}"

    def load(self):
        self.loaded += 1
        return self.make


@pytest.fixture
def installed(monkeypatch):
    """The entry points that are installed, by group."""
    groups = {}
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: groups.get(group, ()))
    return groups


def test_object_is_found_under_its_name():
    registry = Registry("driver")
    one = object()

    registry.add("one", one)

    assert registry.get("one") is one


def test_names_are_in_the_order_of_registration():
    registry = Registry("driver")
    for name in ("z", "a", "m"):
        registry.add(name, object())

    assert registry.names() == ("z", "a", "m")


def test_path_is_imported_when_first_named_and_made_once():
    sys.modules.pop("colorsys", None)
    registry = Registry("driver")

    registry.add("lazy", "colorsys:object")
    registry.add("ordered", "collections:OrderedDict")

    assert "colorsys" not in sys.modules
    assert registry.get("ordered") is registry.get("ordered")
    assert type(registry.get("ordered")).__name__ == "OrderedDict"
    assert "colorsys" not in sys.modules


def test_unknown_name_is_refused_with_those_that_are_known():
    registry = Registry("driver")
    registry.add("memory", object())

    with pytest.raises(UnknownName) as raised:
        registry.get("memry")

    assert (raised.value.what, raised.value.name) == ("driver", "memry")
    assert raised.value.known == ("memory",)


def test_taken_name_is_refused_and_keeps_its_object():
    registry = Registry("driver")
    registry.add("memory", first := object())

    with pytest.raises(NameTaken):
        registry.add("memory", object())
    with pytest.raises(NameTaken):
        registry.add("memory", "collections:OrderedDict")

    assert registry.get("memory") is first


def test_known_part_that_is_not_installed_says_what_to_install():
    registry = Registry("driver")
    registry.add("s3", "statestore_no_such_module:S3", install="statestore[s3]")

    for _ in range(2):
        with pytest.raises(MissingExtra) as raised:
            registry.get("s3")

        assert raised.value.install == "statestore[s3]"
        assert isinstance(raised.value.__cause__, ModuleNotFoundError)
    assert "s3" in registry.names()


def test_failing_import_of_what_needs_no_extra_is_not_hidden():
    registry = Registry("driver")
    registry.add("broken", "statestore_no_such_module:X")

    with pytest.raises(ModuleNotFoundError):
        registry.get("broken")


def test_installed_package_adds_a_name(installed):
    installed["statestore.tests"] = [Point("theirs", dict)]
    registry = Registry("driver", entry_points="statestore.tests")
    registry.add("ours", object())

    assert registry.get("theirs") == {}
    assert registry.get("theirs") is registry.get("theirs")
    assert registry.names() == ("ours", "theirs")


def test_installed_package_is_not_asked_about_what_is_known(installed):
    installed["statestore.tests"] = [point := Point("theirs")]
    registry = Registry("driver", entry_points="statestore.tests")
    registry.add("ours", object())

    registry.get("ours")
    assert not point.loaded
    registry.names()
    assert not point.loaded, "a list of names imports nothing"
    registry.get("theirs")
    assert point.loaded == 1


def test_group_of_others_is_not_looked_at(installed):
    installed["statestore.others"] = [Point("theirs")]

    assert Registry("driver", entry_points="statestore.tests").names() == ()


@pytest.mark.parametrize(
    ("points", "known"),
    [
        (["ours"], ("ours",)),
        (["ours", "fine"], ("ours", "fine")),
        (["twice", "twice", "fine"], ("ours", "twice", "fine")),
    ],
    ids=str,
)
def test_installed_package_that_takes_a_name_is_left_out_alone(installed, points, known):
    installed["statestore.tests"] = made = [Point(name) for name in points]
    registry = Registry("driver", entry_points="statestore.tests")
    registry.add("ours", mine := object())

    with pytest.warns(RuntimeWarning, match="registered already"):
        assert registry.names() == known

    assert registry.get("ours") is mine
    for name in known[1:]:
        registry.get(name)
    assert sum(point.loaded for point in made) == len(known) - 1


def test_entry_that_is_not_called_is_what_was_imported(installed):
    installed["statestore.tests"] = [Point("theirs", dict)]
    registry = Registry("driver", entry_points="statestore.tests", call=False)
    registry.add("ours", "collections:OrderedDict")

    assert registry.get("ours").__name__ == "OrderedDict"
    assert registry.get("theirs") is dict


def test_threads_get_one_object():
    registry = Registry("driver")
    registry.add("lazy", "collections:OrderedDict")
    barrier = threading.Barrier(8)
    got = []

    def ask():
        barrier.wait()
        got.append(registry.get("lazy"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({id(one) for one in got}) == 1
    assert len(got) == 8
