"""The page of the Python API: what a host can call is on it."""

import inspect
from pathlib import Path

import attrs
import pytest

import statestore
from statestore import managers

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "reference" / "api.md").read_text()

BY_THE_STORE = {"Announced", "Changer", "Keeper", "Remembering", "Sharer"}
"""Classes whose operations a store calls: the protocol `RecordManager` promises them."""

OVERRIDDEN = {"ConversationKeeper", "DomainManager", "FocusBase", "FocusSharing", "TaskBase"}
"""Classes that only do otherwise what is described where it is first promised."""


@attrs.frozen
class Note:
    id: str


MANAGERS = [one for name, one in vars(managers).items() if name.endswith("Manager")]


@pytest.mark.parametrize("manager", MANAGERS)
def test_every_class_that_gives_a_manager_operations_is_on_the_page(manager):
    for cls in manager.__mro__:
        if not cls.__module__.startswith("statestore") or cls.__name__ in BY_THE_STORE | OVERRIDDEN:
            continue
        operations = [name for name in vars(cls) if not name.startswith("_")]
        place = f"{cls.__module__}.{cls.__name__}()\n"
        public = f"autoclass:: statestore.managers.{cls.__name__}\n"
        assert not operations or place in PAGE or public in PAGE, (cls, operations)


@pytest.mark.parametrize("name", managers.__all__)
def test_every_public_name_of_the_managers_is_on_the_page(name):
    assert f".{name}\n" in PAGE or name == "FrozenDict"  # that is one of the models


@pytest.mark.parametrize("manager", MANAGERS)
def test_every_event_is_on_the_page_of_events(manager):
    page = (DOCS / "how-to" / "events.md").read_text()
    kind = manager("notes", Note) if manager is managers.Manager else manager()
    told = {"focus": "focus chains"}.get(kind.kind, kind.kind)
    table = page.partition(f"| {told} | told when |")[2].partition("\n\n")[0]

    for name in kind.event_names:
        assert f"`{name}`" in table or name in ("created", "updated", "deleted")


@pytest.mark.parametrize("cls", [*MANAGERS, statestore.Store])
def test_every_public_operation_says_what_it_promises(cls):
    for name, member in inspect.getmembers(cls):
        if not name.startswith("_") and (callable(member) or isinstance(member, property)):
            assert inspect.getdoc(member), name
