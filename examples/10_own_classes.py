"""Several classes in one kind, a type of your own, and rules that records have to keep."""

import tempfile
from fractions import Fraction

import attrs

from statestore import InvalidRecord, Manager, Store, ValidationFailed
from statestore.managers import OwnType, Problem, tagged


@attrs.frozen
class Ingredient:
    id: str
    name: str = ""


@tagged("flour")
@attrs.frozen
class Flour(Ingredient):
    cups: Fraction = Fraction(1)


@tagged("spice")
@attrs.frozen
class Spice(Ingredient):
    pinches: int = 1
    goes_with: tuple[str, ...] = ()


def has_a_name(ingredient, pantry):
    if not ingredient.name:
        yield Problem("name", "is empty")


def goes_with_what_is_there(ingredient, pantry):
    if isinstance(ingredient, Spice) and any(id not in pantry for id in ingredient.goes_with):
        yield Problem("goes_with", "names what is not in the pantry")


def pantry_of(store):
    """Return the manager as every program that opens the store makes it."""
    pantry = store.register(
        Manager(
            "pantry",
            Ingredient,
            subclasses=[Flour, Spice],
            types=[OwnType(Fraction, str, Fraction, is_frozen=True)],
        )
    )
    pantry.add_validator(has_a_name, level="structure")
    pantry.add_validator(goes_with_what_is_there)
    return pantry


with tempfile.TemporaryDirectory() as folder:
    with Store(f"{folder}/state") as store:
        pantry = pantry_of(store)
        rye = pantry.create_as(Flour, name="rye", cups=Fraction(2, 3))
        caraway = pantry.create_as(Spice, name="caraway", goes_with=(rye.id,))

        for wrong in ({"name": ""}, {"goes_with": ("nothing",)}):
            try:
                pantry.update(caraway.id, **wrong)
            except ValidationFailed as error:
                print("refused:", error)
        assert pantry[caraway.id] is caraway  # nothing has changed

        try:
            pantry.update(rye.id, spoons=3)
        except InvalidRecord as error:
            print("refused:", error)
            assert error.field == "spoons"

    with Store(f"{folder}/state") as store:
        pantry = pantry_of(store)
        store.load_all()
        assert pantry[rye.id] == rye  # a Flour again, with a Fraction
        print(store.raw(f"pantry/{rye.id}"))
        assert store.raw(f"pantry/{rye.id}")["class"] == "flour"
        assert pantry.validate_all() == {}
