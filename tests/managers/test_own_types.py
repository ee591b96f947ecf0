"""Types of the host's own: stored as the host says, strictly both ways."""

import ipaddress
from decimal import Decimal
from enum import Enum
from typing import Any

import attrs
import pytest

from statestore import InvalidRecord, Manager, NotARecordClass, SaveFailed, Store
from statestore.errors import StructureError
from statestore.managers import FrozenDict, Items, OwnType, items_field

SECRET = "s3cr3t"


class Money:
    """A class that attrs knows nothing of."""

    def __init__(self, amount, currency):
        self.amount, self.currency = Decimal(amount), currency

    def __eq__(self, other):
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self):
        return hash((self.amount, self.currency))

    def __str__(self):
        return f"{self.amount} {self.currency}"

    @classmethod
    def parse(cls, text):
        amount, currency = text.split()
        return cls(amount, currency)


class Coins(Money):
    pass


class Tone(Enum):
    LOUD = (255, 0)
    SOFT = (1, 1)


@attrs.frozen
class Version:
    major: int
    minor: int


MONEY = OwnType(Money, str, Money.parse, is_frozen=True)
TONE = OwnType(Tone, lambda tone: tone.name, lambda name: Tone[name], is_frozen=True)
VERSION = OwnType(
    Version,
    lambda one: f"{one.major}.{one.minor}",
    lambda text: Version(*map(int, text.split("."))),
    is_frozen=True,
)
ADDRESS = OwnType(ipaddress.IPv4Address, str, ipaddress.IPv4Address)


@attrs.frozen
class Invoice:
    id: str
    total: Money
    lines: tuple[Money, ...] = ()
    rest: Money | None = None
    by_name: dict[str, Money] = attrs.field(factory=dict)
    tone: Tone = Tone.SOFT
    either: Version | int = 0
    paid: Items[Money] = items_field(Money)


ALL = [MONEY, TONE, VERSION]


def invoices(types=ALL, **options):
    return Manager("invoices", Invoice, types=types, **options)


@pytest.mark.parametrize("format", ["json", "compact", "gzip", "yaml"])
def test_values_come_back_in_every_format(tmp_path, format):
    record = Invoice(
        "a",
        Money("1.10", "EUR"),
        (Money("1", "CHF"),),
        Money("2", "CHF"),
        {"x": Money("3", "GBP")},
        Tone.LOUD,
        Version(1, 2),
        paid=[Money("4", "EUR")],
    )
    with Store(tmp_path / "s", format=format) as store:
        store.register(invoices()).add(record)
        store.save_all()

    with Store(tmp_path / "s") as store:
        manager = store.register(invoices())
        store.load_all()

        assert manager["a"] == record
        assert store.raw("invoices/a")["total"] == "1.10 EUR"
        assert store.raw("invoices/a")["tone"] == "LOUD"
        assert store.raw("invoices/a")["either"] == "1.2"


def test_type_is_known_to_that_manager_alone():
    invoices()

    with pytest.raises(NotARecordClass, match="field 'total': its type Money is not known"):
        Manager("invoices", Invoice)


@attrs.frozen
class Held:
    id: str
    where: ipaddress.IPv4Address
    total: Money


def test_records_are_compared_by_identity_only_where_the_host_says_that_nothing_changes():
    frozen = OwnType(ipaddress.IPv4Address, str, ipaddress.IPv4Address, is_frozen=True)

    with Store("memory:") as store:
        one = store.register(Manager("one", Held, types=[MONEY, frozen]))
        other = store.register(Manager("other", Held, types=[MONEY, ADDRESS]))
        record = Held("a", ipaddress.IPv4Address("1.2.3.4"), Money("1", "EUR"))
        one.add(record)
        other.add(record)
        store.save_all()
        record.total.amount = Decimal(5)  # what was promised not to happen

        assert one.unsaved == ()
        assert other.unsaved == ("a",)


def test_what_is_handed_out_of_records_holds_what_is_stored():
    with Store("memory:") as store:
        manager = store.register(invoices())
        manager.add(Invoice("a", Money("1", "EUR")))

        (document,) = store.snapshot().document()["records"]["invoices"]

        assert document["total"] == "1 EUR"
        store.save_all()
        assert document == store.raw("invoices/a")


def test_growing_field_of_an_own_type_is_appended_to():
    @attrs.frozen
    class Log:
        id: str
        paid: Items[Money] = items_field(Money)

    with Store("memory:") as store:
        logs = store.register(Manager("bills", Log, types=[MONEY]))
        log = logs.create(id="a", paid=[Money("1", "EUR")])
        store.save_all()
        logs.update("a", paid=log.paid.extended([Money("2", "EUR")]))

        (pending,), _ = logs.pending()

        assert pending.change.append[0].items == ("2 EUR",)
        store.save_all()


# --- strictness -----------------------------------------------------------------------


def refused_at_save(record, types=ALL):
    with Store("memory:") as store:
        manager = store.register(invoices(types))
        manager.add(record)
        with pytest.raises(SaveFailed) as raised:
            store.save_all()
        manager.delete(record.id)
    (failure,) = raised.value.report.failures
    return failure.error


@pytest.mark.parametrize("value", ["1 EUR", Coins("1", "EUR"), None, 5], ids=repr)
def test_value_of_another_class_is_refused_with_its_field(value):
    error = refused_at_save(Invoice("a", value))

    assert error.where == "$.total"
    assert "where a Money belongs" in error.reason


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda money: 1 / 0, "raised ZeroDivisionError"),
        (lambda money: money, "of type Money, which is no part of a document"),
        (lambda money: "5 USD", "read back as something else"),
        (lambda money: SECRET, "it is no Money (ValueError)"),
    ],
)
def test_writer_that_does_not_fit_is_found_out_at_save(write, told):
    types = [OwnType(Money, write, Money.parse, is_frozen=True), TONE, VERSION]

    error = refused_at_save(Invoice("a", Money("1", "EUR")), types)

    assert error.where == "$.total"
    assert told in error.reason
    assert SECRET not in str(error)


@pytest.mark.parametrize("read", [lambda text: text, lambda text: Coins.parse(text)])
def test_reader_that_gives_another_class_is_found_out_at_save(read):
    types = [OwnType(Money, str, read, is_frozen=True), TONE, VERSION]

    assert "what reads a Money gave a" in str(
        refused_at_save(Invoice("a", Money("1", "EUR")), types)
    )


def test_document_that_the_reader_refuses_is_left_in_its_place(tmp_path):
    @attrs.frozen
    class Texts:
        id: str
        total: str

    @attrs.frozen
    class Moneys:
        id: str
        total: Money

    with Store(tmp_path / "s") as store:
        store.register(Manager("invoices", Texts)).create(id="a", total=SECRET)
        store.save_all()

    with Store(tmp_path / "s") as store:
        store.register(Manager("invoices", Moneys, types=[MONEY]))
        (failure,) = store.load_all().failures

        assert isinstance(failure.error, StructureError)
        assert failure.error.problems == ("it is no Money (ValueError) at $.total",)
        assert store.raw("invoices/a")["total"] == SECRET


# --- what is refused when the manager is made -----------------------------------------


@pytest.mark.parametrize(
    ("types", "told"),
    [
        ([*ALL, MONEY], "Money is in types more than once"),
        ([*ALL, OwnType(str, str, str)], "how a str is stored cannot be changed"),
        ([*ALL, OwnType(FrozenDict, dict, FrozenDict)], "how a FrozenDict is stored"),
        ([*ALL, (Money, str, str)], "types takes OwnType"),
        ([*ALL, OwnType("Money", str, str)], "types takes OwnType"),
    ],
)
def test_types_that_contradict_are_refused(types, told):
    with pytest.raises(NotARecordClass, match=told):
        invoices(types)


@attrs.frozen
class Small(Version):
    pass


@pytest.mark.parametrize("type_", [Coins, Small])
def test_class_derived_from_an_own_type_is_not_taken_for_it(type_):
    record_class = attrs.make_class(
        "Odd", {"id": attrs.field(type=str), "x": attrs.field(type=type_)}
    )

    with pytest.raises(NotARecordClass, match=r"field 'x'.*derived from"):
        Manager("odd", record_class, types=ALL)


# --- refused by the operation ---------------------------------------------------------


@attrs.frozen
class Free:
    id: str
    tags: tuple[str, ...] = ()
    anything: Any = None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"anything": object()}, "anything"),
        ({"tags": ("a", 5)}, "tags[1]"),
        ({"tags": "ab"}, "tags"),
    ],
)
def test_operation_refuses_what_cannot_be_stored_where_the_host_wants_it(fields, field):
    manager = Manager("free", Free, check_on_change=True)
    before = manager.create(id="a")

    with pytest.raises(InvalidRecord, match="cannot be stored") as created:
        manager.create(id="b", **fields)
    with pytest.raises(InvalidRecord, match="cannot be stored") as updated:
        manager.update("a", **fields)

    assert created.value.field == updated.value.field == field
    assert manager.ids() == ("a",)
    assert manager["a"] is before


def test_operation_that_only_adds_items_looks_at_those_alone():
    looked = []

    def write(money):
        looked.append(money)
        return str(money)

    @attrs.frozen
    class Log:
        id: str
        paid: Items[Money] = items_field(Money)

    types = [OwnType(Money, write, Money.parse, is_frozen=True)]
    logs = Manager("bills", Log, types=types, check_on_change=True)
    log = logs.create(id="a", paid=[Money(str(n), "EUR") for n in range(50)])
    looked.clear()

    logs.update("a", paid=log.paid.extended([Money("51", "EUR")]))

    assert set(map(str, looked)) == {"51 EUR"}


def test_operation_that_is_saved_at_once_fails_itself(tmp_path):
    with Store(tmp_path / "s", autosave="on-change") as store:
        manager = store.register(Manager("free", Free))

        with pytest.raises(SaveFailed, match=r"\$\.anything"):
            manager.create(id="a", anything=object())

        manager.delete("a")
