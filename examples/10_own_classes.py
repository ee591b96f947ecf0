"""Several classes in one kind, a type of your own, and rules that records have to keep."""

import tempfile
from collections.abc import Iterator
from fractions import Fraction

import attrs

from statestore import Manager, Store, ValidationFailed
from statestore.managers import OwnType, Problem, View, tagged


@attrs.frozen
class Ingredient:
    id: str
    name: str = ""


@tagged("flour")  # what documents call it, whatever it is called later
@attrs.frozen
class Flour(Ingredient):
    cups: Fraction = Fraction(1)


@tagged("spice")
@attrs.frozen
class Spice(Ingredient):
    goes_with: tuple[str, ...] = ()


def goes_with_what_is_there(one: Ingredient, pantry: View[Ingredient]) -> Iterator[Problem]:
    if isinstance(one, Spice) and any(id not in pantry for id in one.goes_with):
        yield Problem("goes_with", "names what is not in the pantry")


def pantry_manager() -> Manager[Ingredient]:
    fraction = OwnType(Fraction, str, Fraction, is_frozen=True)
    pantry = Manager("pantry", Ingredient, subclasses=[Flour, Spice], types=[fraction])
    pantry.add_validator(goes_with_what_is_there)
    return pantry


with tempfile.TemporaryDirectory() as folder:
    with Store(f"{folder}/state") as store:
        pantry = store.register(pantry_manager())
        rye = pantry.create_as(Flour, name="rye", cups=Fraction(2, 3))
        caraway = pantry.create_as(Spice, name="caraway", goes_with=(rye.id,))
        try:
            pantry.update(caraway.id, goes_with=("nothing",))
        except ValidationFailed as error:
            print("refused:", error)
        assert pantry[caraway.id] is caraway  # nothing has changed

    with Store(f"{folder}/state") as store:
        pantry = store.register(pantry_manager())
        store.load_all()
        assert pantry[rye.id] == rye  # a Flour again, with a Fraction
        assert store.raw(f"pantry/{rye.id}")["class"] == "flour"
        assert pantry.validate_all() == {}
