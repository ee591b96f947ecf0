"""Subclasses: records of one kind that are of several classes."""

import abc
import pickle

import attrs
import orjson
import pytest

from statestore import Conflict, InvalidRecord, Manager, NotARecordClass, SaveFailed, Store
from statestore.errors import StructureError
from statestore.managers import Items, Session, items_field, tagged
from statestore.records.families import FamilyCodec
from statestore.records.misfit import Misfit


@attrs.frozen
class Shape:
    id: str
    name: str = ""


@tagged("circle")
@attrs.frozen
class Circle(Shape):
    radius: float = 1.0


@attrs.frozen
class Square(Shape):
    side: float = 1.0


@attrs.frozen
class Drawing(Shape):
    strokes: Items[Circle | Square] = items_field(Circle | Square)


@attrs.frozen
class Sketch(Shape):
    strokes: Items[Circle | Square] = items_field(Circle | Square)


@attrs.frozen
class Unknown(Shape):
    secret: str = "s3cr3t"


ALL = [Circle, Square, Drawing, Sketch]


def manager(subclasses=ALL, **options):
    return Manager("shapes", Shape, subclasses=subclasses, **options)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "s", on_conflict="merge") as store:
        yield store


def reloaded(store, shapes=None):
    with Store(store.path) as again:
        shapes = again.register(shapes or manager())
        report = again.load_all()
        return shapes, report, {id: again.raw(f"shapes/{id}") for id in shapes.ids()}


def test_records_come_back_as_the_classes_that_they_were(store):
    shapes = store.register(manager())
    made = [Shape("a"), Circle("b", radius=2.0), Square("c"), Drawing("d", strokes=[Circle("x")])]
    for one in made:
        shapes.add(one)
    store.save_all()

    again, report, documents = reloaded(store)

    assert report.failures == ()
    assert [type(one) for one in again.all()] == [Shape, Circle, Square, Drawing]
    assert list(again.all()) == made
    assert documents["b"] == {"class": "circle", "id": "b", "name": "", "radius": 2.0}
    assert documents["a"]["class"] == "Shape"


def test_record_of_a_class_is_created_with_an_id_of_the_managers():
    shapes = manager(make_id=lambda: "made")

    circle = shapes.create_as(Circle, radius=3.0)

    assert circle == Circle("made", radius=3.0)
    assert shapes["made"] is circle
    assert type(shapes.create(id="b", name="n")) is Shape


def test_class_that_is_not_named_is_refused_at_once():
    shapes = manager([Circle])

    with pytest.raises(InvalidRecord, match="Unknown, not a Circle or a Shape"):
        shapes.add(Unknown("a"))
    with pytest.raises(InvalidRecord, match="Square"):
        shapes.create_as(Square, id="a")
    assert len(shapes) == 0


def test_field_that_only_one_class_has_is_updated_and_saved(store):
    shapes = store.register(manager())
    shapes.add(Circle("a"))
    store.save_all()

    shapes.update("a", radius=5.0)
    store.save_all()

    again, _, _ = reloaded(store)
    assert again["a"] == Circle("a", radius=5.0)


def test_record_is_replaced_by_one_of_another_class(store):
    shapes = store.register(manager())
    shapes.add(Drawing("a", strokes=[Circle("x")]))
    store.save_all()

    shapes.replace(Square("a", side=4.0))
    store.save_all()

    again, _, documents = reloaded(store)
    assert again["a"] == Square("a", side=4.0)
    assert documents["a"] == {"class": "Square", "id": "a", "name": "", "side": 4.0}


def test_record_of_another_class_with_the_same_fields_is_written_whole(store):
    shapes = store.register(manager())
    drawing = shapes.add(Drawing("a", strokes=[Circle("x")]))
    store.save_all()

    shapes.replace(Sketch("a", strokes=drawing.strokes.extended([Circle("y")])))
    store.save_all()

    again, _, documents = reloaded(store)
    assert again["a"] == Sketch("a", strokes=[Circle("x"), Circle("y")])
    assert documents["a"]["class"] == "Sketch"


def test_growing_field_of_a_subclass_is_appended_to(store):
    shapes = store.register(manager())
    drawing = shapes.add(Drawing("a", strokes=[Circle("x")]))
    store.save_all()
    shapes.update("a", strokes=drawing.strokes.extended([Square("y")]))

    (pending,), _ = shapes.pending()
    assert pending.change.append[0].from_length == 1
    store.save_all()

    again, _, _ = reloaded(store)
    assert again["a"].strokes == (Circle("x"), Square("y"))


def test_load_that_changes_nothing_leaves_nothing_to_save(store):
    shapes = store.register(manager())
    shapes.add(Circle("a"))
    store.save_all()

    with Store(store.path) as other:
        shapes = other.register(manager())
        other.load_all()

        assert shapes.unsaved == ()
        assert other.save_all().items == 0


def test_record_that_was_written_before_there_were_subclasses_is_of_the_class_itself(store):
    before = store.register(Manager("shapes", Shape))
    before.create(id="a", name="old")
    store.save_all()

    again, report, _ = reloaded(store)

    assert report.failures == ()
    assert type(again["a"]) is Shape
    assert again["a"].name == "old"


def test_class_that_is_not_known_leaves_the_record_in_its_place(store):
    shapes = store.register(manager())
    shapes.add(Square("a"))
    shapes.add(Circle("b"))
    store.save_all()

    with Store(store.path) as other:
        shapes = other.register(manager([Circle]))
        (failure,) = other.load_all().failures

        assert isinstance(failure.error, StructureError)
        assert failure.error.problems == ("it is none of: Shape, circle at $.class",)
        assert other.raw("shapes/a")["class"] == "Square"
        assert shapes.ids() == ("b",)


def test_manager_without_the_subclasses_does_not_cut_them_down(store):
    shapes = store.register(manager())
    shapes.add(Circle("a", radius=7.0))
    store.save_all()

    with Store(store.path) as other:
        plain = other.register(Manager("shapes", Shape))
        other.load_all()
        plain.update("a", name="seen")
        other.save_all()

    again, _, _ = reloaded(store)
    assert again["a"] == Circle("a", name="seen", radius=7.0)


@attrs.frozen
class Abstract(abc.ABC):
    id: str

    @abc.abstractmethod
    def area(self) -> float: ...


@attrs.frozen
class Unit(Abstract):
    def area(self) -> float:
        return 1.0


def test_abstract_class_has_no_records_of_its_own():
    shapes = Manager("shapes", Abstract, subclasses=[Unit])

    assert shapes.create_as(Unit, id="a").area() == 1.0
    with pytest.raises(InvalidRecord):
        shapes.create(id="b")


def test_document_without_a_class_is_told_where_the_class_is_abstract(store):
    @attrs.frozen
    class Plain:
        id: str

    store.register(Manager("shapes", Plain)).create(id="a")
    store.save_all()

    _, report, _ = reloaded(store, Manager("shapes", Abstract, subclasses=[Unit]))

    (failure,) = report.failures
    assert failure.error.problems == ("it is missing, and one of: Unit at $.class",)


@attrs.frozen
class NoShape:
    id: str


@tagged("circle")
@attrs.frozen
class OtherCircle(Shape):
    pass


@pytest.mark.parametrize(
    ("subclasses", "told"),
    [
        ([NoShape], "no subclass of Shape"),
        ([Circle, OtherCircle], "same name 'circle'"),
        ([5], "no subclass"),
    ],
)
def test_classes_that_cannot_be_told_apart_are_refused(subclasses, told):
    with pytest.raises(NotARecordClass, match=told):
        manager(subclasses)


def test_class_that_is_only_abstract_is_refused():
    class Hidden(Abstract):
        pass

    with pytest.raises(NotARecordClass, match="abstract"):
        Manager("shapes", Abstract, subclasses=[Hidden])


# --- beside others --------------------------------------------------------------------


def both(store, mine, theirs, start):
    """Change a record here and elsewhere, and return what saving it raises, and the manager."""
    shapes = store.register(manager())
    shapes.add(start)
    store.save_all()
    with Store(store.path) as other:
        elsewhere = other.register(manager())
        other.load_all()
        theirs(elsewhere)
        other.save_all()
    mine(shapes)
    try:
        store.save_all()
    except SaveFailed as error:
        return shapes, error.report.failures[0].error
    return shapes, None


def test_changes_of_different_fields_of_a_subclass_are_merged(store):
    shapes, error = both(
        store,
        lambda here: here.update("a", name="mine"),
        lambda there: there.update("a", radius=9.0),
        Circle("a"),
    )

    assert error is None
    assert shapes["a"] == Circle("a", name="mine", radius=9.0)


def test_changes_of_the_class_contradict_every_other_change(store):
    shapes, error = both(
        store,
        lambda here: here.update("a", name="mine"),
        lambda there: there.replace(Square("a")),
        Circle("a"),
    )

    assert isinstance(error, Conflict)
    assert error.fields == ("class",)
    assert shapes["a"] == Circle("a", name="mine")
    store.save_all(on_conflict="theirs")
    assert shapes["a"] == Square("a")


@attrs.define
class Open:
    id: str
    texts: list[str] = attrs.field(factory=list)


@attrs.define
class Wide(Open):
    width: int = 0


def test_subclass_that_can_change_in_place_is_seen_at_the_next_save(store):
    boards = store.register(Manager("boards", Open, subclasses=[Wide]))
    board = boards.create_as(Wide, id="a")
    store.save_all()
    board.width = 5

    assert boards.unsaved == ("a",)
    store.save_all()
    assert store.raw("boards/a") == {"class": "Wide", "id": "a", "texts": [], "width": 5}


# --- documents ------------------------------------------------------------------------


@attrs.frozen
class LateSession(Session):
    """A class derived from one whose documents are read in columns."""


def test_document_of_a_class_that_is_read_in_columns_is_read_so_with_its_name():
    codec = FamilyCodec(Session, [LateSession])
    session = Session(id="a", name="n")
    document = orjson.loads(orjson.dumps(codec.encode(session)))

    assert codec.read_exact(document) == session
    assert codec.read_exact({**document, "class": "Other"}) is None
    assert codec.read_exact({**document, "class": ["Session"]}) is None
    assert codec.read_exact({key: document[key] for key in document if key != "class"}) is None


def test_what_is_handed_out_of_records_says_of_which_class_they_are(store):
    shapes = store.register(manager())
    shapes.add(Circle("a", radius=2.0))
    stored = {"class": "circle", "id": "a", "name": "", "radius": 2.0}

    assert store.snapshot().document()["records"]["shapes"] == [stored]
    assert pickle.loads(pickle.dumps(store.snapshot())).document()["records"]["shapes"] == [stored]


def test_text_that_a_name_looks_like_is_not_the_name():
    codec = FamilyCodec(Shape, [Circle])

    with pytest.raises(Misfit, match=r"none of: Shape, circle at \$\.class"):
        codec.decode({"class": None, "id": "a", "name": ""})
