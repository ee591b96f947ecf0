"""Unions: where one of several classes may stand, the document says which, and is believed."""

import attrs
import orjson
import pytest
from hypothesis import strategies as st

from statestore import ConfigurationError, EncodeError, Manager, NotARecordClass, Store
from statestore.errors import StructureError
from statestore.managers import FrozenDict, Items, extra_field, items_field, tagged
from statestore.records.codec import Codec
from statestore.records.misfit import Misfit
from statestore.testing.strategies import for_each, texts

SECRET = "s3cr3t"


@attrs.frozen
class Cat:
    name: str
    lives: int = 9


@tagged("dog", "Hound")
@attrs.frozen
class Dog:
    name: str
    lives: int = 1


@attrs.frozen
class OddCat(Cat):
    odd: str = SECRET


@attrs.frozen
class Owner:
    id: str
    pet: Cat | Dog
    pets: list[Cat | Dog] = attrs.field(factory=list)
    maybe: Cat | Dog | None = None
    named: dict[str, Cat | Dog | str] = attrs.field(factory=dict)


@attrs.frozen
class Kennel:
    id: str
    motto: str = ""
    guests: Items[Cat | Dog] = items_field(Cat | Dog)


CODEC = Codec(Owner)


def decoded(codec, document):
    return codec.decode(orjson.loads(orjson.dumps(document)))[0]


def test_each_is_read_as_the_class_that_it_was():
    record = Owner("1", Dog("d"), [Cat("a"), Dog("b")], Cat("c"), {"x": Dog("y"), "z": "text"})
    document = CODEC.encode(record)

    again = decoded(CODEC, document)

    assert again == record
    assert [type(one) for one in again.pets] == [Cat, Dog]
    CODEC.check_round_trip(record, document)


PETS = st.builds(Cat, texts(), st.integers(0, 99)) | st.builds(Dog, texts(), st.integers(0, 99))


@for_each(
    record=st.builds(
        Owner,
        st.just("1"),
        PETS,
        st.lists(PETS, max_size=3),
        st.none() | PETS,
        st.dictionaries(texts(), PETS | texts(), max_size=3),
    )
)
def test_whatever_they_hold_they_come_back(record):
    document = CODEC.encode(record)

    CODEC.check_round_trip(record, document)
    assert decoded(CODEC, document) == record


def test_document_has_the_name_of_the_class_before_its_fields():
    document = CODEC.encode(Owner("1", Dog("d"), [Cat("a")]))

    assert document["pet"] == {"class": "dog", "name": "d", "lives": 1}
    assert list(document["pets"][0]) == ["class", "name", "lives"]
    assert document["pets"][0]["class"] == "Cat"


def test_name_that_a_class_had_before_is_read_and_not_written():
    record = decoded(CODEC, {"id": "1", "pet": {"class": "Hound", "name": "d", "lives": 1}})

    assert record.pet == Dog("d")
    assert CODEC.encode(record)["pet"]["class"] == "dog"


@pytest.mark.parametrize("tag", ["Fish", "Dog", "", None, 1, ["Cat"], {"a": SECRET}])
def test_name_that_is_not_known_is_refused_with_those_that_are(tag):
    document = {"id": "1", "pet": {"class": "Cat", "name": "c"}, "pets": [{"class": tag}]}

    with pytest.raises(Misfit) as raised:
        CODEC.decode(document)

    assert raised.value.problems == ("its class is none of: Cat, Hound, dog at $.pets[0]",)


@pytest.mark.parametrize("value", [None, "text", [], 5])
def test_what_is_no_mapping_is_refused_in_a_union_of_classes(value):
    with pytest.raises(Misfit, match=r"mapping is wanted at \$\.pet"):
        CODEC.decode({"id": "1", "pet": value})


def test_field_of_the_class_that_does_not_fit_is_told_with_its_path():
    with pytest.raises(Misfit) as raised:
        CODEC.decode({"id": "1", "pet": {"class": "Cat", "name": 5, "lives": SECRET}})

    paths = {problem.rpartition(" at ")[2] for problem in raised.value.problems}
    assert paths == {"$.pet.name", "$.pet.lives"}


@pytest.mark.parametrize("field", ["pet", "maybe"])
@pytest.mark.parametrize("value", [OddCat("a"), "text", {"class": "Cat", "name": "a"}, 5], ids=repr)
def test_what_is_of_none_of_the_classes_is_refused_at_save_and_named(field, value):
    record = attrs.evolve(Owner("1", Cat("a")), **{field: value})

    with pytest.raises(EncodeError) as raised:
        CODEC.check_round_trip(record, CODEC.encode(record))

    assert raised.value.where == f"$.{field}"
    assert "Cat" in str(raised.value)
    assert "Dog" in str(raised.value)
    assert SECRET not in str(raised.value)


# --- documents of before --------------------------------------------------------------


@attrs.frozen
class Fish:
    name: str
    fins: int


@attrs.frozen
class Bird:
    name: str
    wings: int
    colour: str = ""


@attrs.frozen
class Bowl:
    id: str
    inside: Fish | Bird


def test_document_without_a_name_is_read_if_it_fits_one_class():
    record = decoded(Codec(Bowl), {"id": "1", "inside": {"name": "b", "wings": 2}})

    assert record.inside == Bird("b", 2)


@pytest.mark.parametrize(
    ("union", "document", "how"),
    [
        (Owner, {"name": "a", "lives": 3}, "more than one"),
        (Owner, {"name": SECRET, "fins": 3}, "none"),
    ],
)
def test_document_without_a_name_that_fits_no_single_class_is_refused(union, document, how):
    with pytest.raises(Misfit) as raised:
        Codec(union).decode({"id": "1", "pet": document})

    (problem,) = raised.value.problems
    assert problem == f"it has no class, and fits {how} of: Cat, dog at $.pet"


# --- classes --------------------------------------------------------------------------


def test_classes_of_the_same_name_are_refused_with_the_field():
    def named_cat():
        @attrs.frozen
        class Cat:
            x: int = 0

        return Cat

    record_class = attrs.make_class(
        "Both", {"id": attrs.field(type=str), "x": attrs.field(type=Cat | named_cat())}
    )

    with pytest.raises(NotARecordClass, match=r"field 'x'.*same name 'Cat'.*@tagged"):
        Codec(record_class)


def test_class_with_a_field_where_the_name_belongs_is_refused():
    fields = {"class": attrs.field(alias="class_", default=1, type=int)}
    other = attrs.make_class("Other", fields, frozen=True, repr=False, eq=False)
    record_class = attrs.make_class(
        "Both", {"id": attrs.field(type=str), "x": attrs.field(type=Cat | other)}
    )

    with pytest.raises(NotARecordClass, match="field 'class' of Other"):
        Codec(record_class)


def test_name_is_not_inherited():
    @attrs.frozen
    class Puppy(Dog):
        pass

    record_class = attrs.make_class(
        "Both", {"id": attrs.field(type=str), "x": attrs.field(type=Dog | Puppy)}
    )
    codec = Codec(record_class)

    assert codec.encode(record_class("1", Puppy("p")))["x"]["class"] == "Puppy"
    assert decoded(codec, codec.encode(record_class("1", Puppy("p")))).x == Puppy("p")


def test_class_may_be_named_below_its_decorator():
    @attrs.frozen
    @tagged("inner")
    class Below:
        x: int = 0

    record_class = attrs.make_class(
        "Both", {"id": attrs.field(type=str), "x": attrs.field(type=Cat | Below)}
    )

    assert Codec(record_class).encode(record_class("1", Below()))["x"]["class"] == "inner"


@pytest.mark.parametrize("name", ["", "a\n", 5, "\ud800"])
def test_name_that_cannot_be_stored_is_refused(name):
    with pytest.raises(ConfigurationError):
        tagged(name)


@attrs.frozen
class Leaf:
    value: int


@attrs.frozen
class Branch:
    inner: "tuple[Leaf | Branch, ...]" = ()


@attrs.frozen
class Tree:
    id: str
    root: Leaf | Branch


def test_class_may_hold_the_union_that_it_is_in():
    record = Tree("1", Branch((Leaf(1), Branch((Leaf(2),)))))
    codec = Codec(Tree)

    assert codec.is_immutable
    assert decoded(codec, codec.encode(record)) == record
    with pytest.raises(Misfit, match=r"at \$\.root\.inner\[1\]\.inner\[0\]"):
        codec.decode(
            {
                "id": "1",
                "root": {
                    "class": "Branch",
                    "inner": [
                        {"class": "Leaf", "value": 1},
                        {"class": "Branch", "inner": [{"class": "Twig"}]},
                    ],
                },
            }
        )


@attrs.frozen
class Keeping:
    name: str
    extra: FrozenDict = extra_field()


@attrs.frozen
class Mixed:
    id: str
    one: Keeping | Dog


def test_unknown_fields_of_a_class_in_a_union_are_kept_beside_its_name():
    codec = Codec(Mixed)
    document = {"id": "1", "one": {"class": "Keeping", "name": "k", "later": [1]}}

    record = decoded(codec, document)

    assert record.one.extra == {"later": (1,)}
    assert orjson.dumps(codec.encode(record)) == orjson.dumps(document)


def test_unknown_field_may_not_stand_where_the_name_of_the_class_does():
    with pytest.raises(EncodeError, match="name of the class") as raised:
        Codec(Mixed).encode(Mixed("1", Keeping("k", extra={"class": "Dog"})))

    assert raised.value.where == "$.one.class"


# --- in a store -----------------------------------------------------------------------


def test_growing_field_of_a_union_is_appended_to_and_read(tmp_path):
    with Store(tmp_path / "s") as store:
        kennels = store.register(Manager("kennels", Kennel))
        kennel = kennels.create(id="k", guests=[Cat("a")])
        store.save_all()
        kennels.update("k", guests=kennel.guests.extended([Dog("b")]))
        (pending,), _ = kennels.pending()

        assert pending.change.append[0].items == ({"class": "dog", "name": "b", "lives": 1},)
        store.save_all()

    with Store(tmp_path / "s") as store:
        kennels = store.register(Manager("kennels", Kennel))
        store.load_all()

        assert kennels["k"].guests == (Cat("a"), Dog("b"))
        grown = kennels.update("k", guests=kennels["k"].guests.extended([Cat("c")]))
        assert grown.guests.continues(kennels["k"].guests)


def test_item_that_is_of_none_of_the_classes_is_refused_when_it_is_added():
    with pytest.raises(TypeError, match="Cat or Dog"):
        Kennel("k", guests=[OddCat("a")])


@attrs.frozen
class OldOwner:
    id: str
    pet: Cat | Dog | Fish


def test_class_of_a_newer_version_leaves_the_record_in_its_place(tmp_path):
    with Store(tmp_path / "s") as store:
        owners = store.register(Manager("owners", OldOwner))
        owners.add(OldOwner("a", Fish("f", 2)))
        owners.add(OldOwner("b", Dog("d")))
        store.save_all()

    with Store(tmp_path / "s") as store:
        owners = store.register(Manager("owners", Owner))
        report = store.load_all()

        (failure,) = report.failures
        assert isinstance(failure.error, StructureError)
        assert failure.error.problems == ("its class is none of: Cat, Hound, dog at $.pet",)
        assert "a" not in owners
        assert owners["b"].pet == Dog("d")
        assert store.raw("owners/a")["pet"]["class"] == "Fish"
