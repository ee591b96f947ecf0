"""Validators: rules of the host's own keep a record from being changed, and tell what is wrong."""

import contextlib
import threading

import attrs
import pytest

from statestore import (
    ConfigurationError,
    Conflict,
    InvalidRecord,
    Manager,
    RecordNotFound,
    SaveFailed,
    Store,
    ValidationFailed,
    ValidatorFailed,
)
from statestore.managers import Items, Problem, SessionManager, items_field

SECRET = "s3cr3t"


@attrs.frozen
class Step:
    id: str
    title: str = ""
    begins: int = 0
    ends: int = 0
    needs: tuple[str, ...] = ()


def ends_after_it_begins(step, _):
    if step.ends < step.begins:
        yield Problem("ends", "is before the beginning")


def needs_are_there(step, steps):
    return [
        Problem("needs", "names a step that is not there") for id in step.needs if id not in steps
    ]


def has_a_title(step, _):
    return None if step.title else [Problem("title", "is empty")]


def manager(*validators, **options):
    steps = Manager("steps", Step)
    for validator in validators:
        steps.add_validator(validator, **options)
    return steps


# --- what an operation may do ---------------------------------------------------------

OPERATIONS = {
    "create": lambda steps: steps.create(id="b", begins=5),
    "add": lambda steps: steps.add(Step("b", begins=5)),
    "update": lambda steps: steps.update("a", begins=5),
    "replace": lambda steps: steps.replace(Step("a", begins=5)),
    "modify": lambda steps: steps.modify("a", lambda step: attrs.evolve(step, begins=5)),
    "several": lambda steps: steps._change_all(
        lambda draft: (draft.add(Step("c")), draft.put(Step("a", begins=5)))
    ),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
@pytest.mark.parametrize("place", ["alone", "stored", "on-change", "transaction"])
def test_operation_that_breaks_a_rule_changes_nothing(tmp_path, operation, place):
    steps = manager(ends_after_it_begins)
    with Store(tmp_path / "s", autosave="on-change" if place == "on-change" else "manual") as store:
        if place != "alone":
            store.register(steps)
        before = steps.create(id="a")
        store.save_all()

        block = store.transaction() if place == "transaction" else contextlib.nullcontext()
        with pytest.raises(ValidationFailed) as raised, block:
            operation(steps)

        assert raised.value.problems == (
            Problem("ends", "is before the beginning", validator="ends_after_it_begins"),
        )
        assert raised.value.field == "ends"
        assert raised.value.kind == "steps"
        assert raised.value.id in ("a", "b")
        assert isinstance(raised.value, InvalidRecord)
        assert steps.all() == (before,)
        assert steps["a"] is before
        assert place == "alone" or steps.unsaved == ()


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_operation_that_keeps_the_rules_is_done(operation):
    steps = manager(needs_are_there)
    steps.create(id="a")

    operation(steps)

    assert [one.begins for one in steps.all() if one.id != "c"][-1] == 5


def test_operation_of_a_domain_is_looked_at_too():
    sessions = SessionManager()
    session = sessions.create(name="First")
    sessions.add_validator(lambda one, _: None if one.name else [Problem("name", "is empty")])

    with pytest.raises(ValidationFailed, match=r"sessions/.*name: is empty"):
        sessions.update(session.id, name="")

    assert sessions[session.id] is session


def test_deletion_is_not_looked_at():
    steps = manager()
    steps.create(id="a")
    steps.add_validator(has_a_title)

    steps.delete("a")

    assert len(steps) == 0


def test_rule_about_other_records_sees_them_as_they_will_be():
    steps = manager(needs_are_there)
    steps.create(id="a")
    steps.create(id="b", needs=("a",))

    with pytest.raises(ValidationFailed, match="needs: names a step"):
        steps.create(id="c", needs=("zzz",))
    steps._change_all(lambda draft: (draft.add(Step("d", needs=("e",))), draft.add(Step("e"))))
    with pytest.raises(ValidationFailed):
        steps._change_all(
            lambda draft: (draft.delete("a"), draft.put(Step("b", "t", needs=("a",))))
        )

    assert set(steps.ids()) == {"a", "b", "d", "e"}


def test_view_shows_what_the_transaction_sees_with_the_new_record():
    seen = []

    def look(step, steps):
        seen.append(
            ([one.title for one in steps], len(steps), steps[step.id] is step, "zz" in steps)
        )
        with pytest.raises(RecordNotFound):
            steps["zz"]

    with Store("memory:") as store:
        steps = store.register(manager())
        steps.create(id="a", title="A")
        steps.add_validator(look)
        with store.transaction():
            steps.create(id="b", title="B")
            steps.update("a", title="AA")

    assert seen == [(["A", "B"], 2, True, False), (["AA", "B"], 2, True, False)]


def test_all_errors_of_one_level_are_told():
    steps = manager(ends_after_it_begins, has_a_title)

    with pytest.raises(ValidationFailed) as raised:
        steps.create(id="a", begins=1)

    assert [problem.field for problem in raised.value.problems] == ["ends", "title"]
    assert str(raised.value) == (
        "record 'steps/a' is not valid: ends: is before the beginning; title: is empty"
    )


def test_later_level_is_asked_only_where_those_before_found_nothing():
    asked = []
    steps = manager()
    steps.add_validator(lambda step, _: asked.append("rules"))
    steps.add_validator(ends_after_it_begins, level="structure")
    steps.add_validator(lambda step, _: asked.append("semantics"), level="semantics")

    with pytest.raises(ValidationFailed):
        steps.create(id="a", begins=1)
    assert asked == []

    steps.create(id="b")
    assert asked == ["semantics", "rules"]


def test_cancelled_validator_is_not_asked():
    steps = manager()
    handle = steps.add_validator(has_a_title)
    with pytest.raises(ValidationFailed):
        steps.create(id="a")

    handle.cancel()
    handle.cancel()

    assert steps.create(id="a").title == ""


def test_update_that_changes_nothing_is_not_looked_at():
    steps = manager()
    step = steps.create(id="a")
    steps.add_validator(has_a_title)

    assert steps.modify("a", lambda one: one) is step


# --- warnings -------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["registration", "problem"])
def test_warning_keeps_nothing_from_being_changed_and_is_told(by):
    steps = manager()
    if by == "registration":
        steps.add_validator(has_a_title, severity="warning")
    else:
        steps.add_validator(
            lambda *_: [Problem("title", "is empty", "warning")], name="has_a_title"
        )

    step = steps.create(id="a")

    expected = (Problem("title", "is empty", "warning", "has_a_title"),)
    assert steps.validate("a") == expected
    assert steps.validate(step) == expected
    assert steps.validate_all() == {"a": expected}


def test_records_that_were_there_before_the_rule_are_reported(tmp_path):
    with Store(tmp_path / "s") as store:
        steps = store.register(manager())
        steps.create(id="a", title="A")
        steps.create(id="b", begins=1)
        store.save_all()

    with Store(tmp_path / "s") as store:
        steps = store.register(manager(ends_after_it_begins))
        report = store.load_all()

        assert report.failures == ()
        assert report.items == 2
        assert list(steps.validate_all()) == ["b"]
        with pytest.raises(ValidationFailed):
            steps.update("b", title="B")
        assert steps.update("b", ends=2).ends == 2


def test_levels_say_how_much_is_looked_at():
    steps = manager()
    steps.add_validator(has_a_title, level="structure", severity="warning")
    steps.add_validator(ends_after_it_begins, level="semantics", severity="warning")
    steps.add_validator(needs_are_there, level="rules", severity="warning")
    step = Step("a", begins=1, needs=("b",))

    def fields(level):
        return [problem.field for problem in steps.validate(step, level=level)]

    assert fields("structure") == ["title"]
    assert fields("semantics") == ["title", "ends"]
    assert fields("rules") == ["title", "ends", "needs"]


def test_what_cannot_be_stored_is_a_problem_of_structure():
    steps = manager(has_a_title)

    (problem,) = steps.validate(Step("a", title=5), level="structure")

    assert (problem.field, problem.severity, problem.validator) == ("title", "error", "storable")
    assert "cannot be stored" in problem.message


def test_what_is_no_record_of_the_kind_cannot_be_validated():
    steps = manager()

    with pytest.raises(RecordNotFound):
        steps.validate("zz")
    with pytest.raises(InvalidRecord):
        steps.validate(Problem("a", "b"))


@pytest.mark.parametrize("options", [{"level": "forensic"}, {"severity": "fatal"}])
def test_level_and_severity_that_are_not_there_are_refused(options):
    steps = manager()
    steps.create(id="a")

    with pytest.raises(ConfigurationError):
        steps.add_validator(has_a_title, **options)
    with pytest.raises(ConfigurationError):
        steps.validate("a", level="forensic")


# --- validators that fail -------------------------------------------------------------


def raising(step, _):
    raise LookupError(SECRET)


def raising_late(step, _):
    yield Problem("title", "is empty")
    raise LookupError(SECRET)


@pytest.mark.parametrize(
    ("validator", "told"),
    [
        (raising, "'raising' raised LookupError"),
        (raising_late, "'raising_late' raised LookupError"),
        (lambda *_: [SECRET], "returned a str, where a Problem belongs"),
        (lambda *_: 5, "raised TypeError"),
    ],
)
def test_validator_that_fails_is_told_by_its_name_and_nothing_is_changed(validator, told):
    steps = manager()
    before = steps.create(id="a")
    steps.add_validator(validator)

    with pytest.raises(ValidatorFailed) as raised:
        steps.update("a", title="A")

    assert told in str(raised.value)
    assert "steps/a" in str(raised.value)
    assert SECRET not in str(raised.value)
    assert steps["a"] is before
    with pytest.raises(ValidatorFailed):
        steps.validate("a")


# --- beside others --------------------------------------------------------------------


def test_validator_is_called_without_a_lock():
    steps = manager()
    steps.create(id="a")
    found = []

    def look(step, _):
        thread = threading.Thread(target=lambda: found.append(steps.delete("a")))
        thread.start()
        thread.join(30)
        assert not thread.is_alive()

    steps.add_validator(look)

    steps.create(id="b")

    assert [one.id for one in found] == ["a"]


@pytest.mark.parametrize("several", [False, True])
def test_record_that_was_changed_meanwhile_is_looked_at_again(several):
    steps = manager()
    steps.create(id="a", begins=1, ends=1)
    looked = []

    def look(step, _):
        looked.append((step.title, step.ends))
        if len(looked) == 1:
            handle.cancel()  # what is done here is not looked at itself
            steps.update("a", ends=7)
            steps.add_validator(look)

    handle = steps.add_validator(look)

    if several:
        steps._change_all(lambda draft: draft.put(attrs.evolve(draft["a"], title="T")))
    else:
        steps.update("a", title="T")

    assert looked == [("T", 1), ("T", 7)]
    assert steps["a"] == Step("a", "T", 1, 7)


def test_record_that_was_deleted_meanwhile_is_not_brought_back():
    steps = manager()
    steps.create(id="a")
    steps.add_validator(lambda step, _: steps.delete("a") and None)

    with pytest.raises(RecordNotFound):
        steps.update("a", title="T")

    assert len(steps) == 0


def test_updates_of_many_threads_keep_their_rule_and_lose_nothing():
    steps = manager()
    steps.create(id="a")
    steps.add_validator(
        lambda step, _: (
            [Problem("ends", "is not the beginning")] if step.ends != step.begins else None
        )
    )

    def work():
        for _ in range(50):
            steps._modify(
                "a", lambda one: attrs.evolve(one, begins=one.begins + 1, ends=one.ends + 1)
            )

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert steps["a"].begins == steps["a"].ends == 200


def test_merged_record_that_breaks_a_rule_stays_a_conflict(tmp_path):
    with Store(tmp_path / "s", on_conflict="merge") as store:
        steps = store.register(manager(ends_after_it_begins))
        steps.create(id="a", begins=1, ends=5)
        store.save_all()
        with Store(tmp_path / "s") as other:
            theirs = other.register(manager(ends_after_it_begins))
            other.load_all()
            theirs.update("a", ends=2)
            other.save_all()
        mine = steps.update("a", begins=4)

        with pytest.raises(SaveFailed) as raised:
            store.save_all()

        (failure,) = raised.value.report.failures
        assert isinstance(failure.error, Conflict)
        assert failure.error.fields == ("ends",)
        assert steps["a"] is mine
        store.save_all(on_conflict="theirs")
        assert (steps["a"].begins, steps["a"].ends) == (1, 2)


def test_additions_of_both_that_break_a_rule_stay_a_conflict(tmp_path):
    @attrs.frozen
    class Basket:
        id: str
        things: Items[Step] = items_field(Step)

    def holds_two(basket, _):
        return [Problem("things", "are more than two")] if len(basket.things) > 2 else None

    def filled(baskets, id):
        return baskets.update("a", things=baskets["a"].things.extended([Step(id)]))

    with Store(tmp_path / "s") as store:
        baskets = store.register(Manager("baskets", Basket))
        baskets.add_validator(holds_two)
        baskets.create(id="a", things=[Step("1")])
        store.save_all()
        with Store(tmp_path / "s") as other:
            theirs = other.register(Manager("baskets", Basket))
            other.load_all()
            filled(theirs, "2")
            other.save_all()
        mine = filled(baskets, "3")

        with pytest.raises(SaveFailed) as raised:
            store.save_all()

        assert raised.value.report.failures[0].error.fields == ("things",)
        assert baskets["a"] is mine
        store.save_all(on_conflict="theirs")


def test_merge_that_cannot_be_looked_at_is_told(tmp_path):
    with Store(tmp_path / "s", on_conflict="merge") as store:
        steps = store.register(manager())
        steps.create(id="a")
        store.save_all()
        with Store(tmp_path / "s") as other:
            theirs = other.register(manager())
            other.load_all()
            theirs.update("a", title="theirs")
            other.save_all()
        mine = steps.update("a", begins=1)
        handle = steps.add_validator(raising)

        with pytest.raises(SaveFailed) as raised:
            store.save_all()

        assert isinstance(raised.value.report.failures[0].error, ValidatorFailed)
        assert steps["a"] is mine
        handle.cancel()
        store.save_all()
        assert steps["a"] == Step("a", "theirs", 1)


def test_records_of_others_are_taken_in_whatever_the_rules_say(tmp_path):
    with Store(tmp_path / "s") as store:
        steps = store.register(manager(has_a_title))
        with Store(tmp_path / "s") as other:
            other.register(manager()).create(id="a")
            other.save_all()

        store.refresh()

        assert steps["a"].title == ""
        assert list(steps.validate_all()) == ["a"]
