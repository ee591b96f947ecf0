"""ls and show: commands about records."""

import json

import pytest

from statestore import Store
from statestore.managers import LogManager, TaskManager


def ids(shell, *words):
    return [one["id"] for one in shell.json("ls", *words)["records"]]


def test_ls_lists_the_kinds_with_counts(shell):
    counted = {one["kind"]: one["records"] for one in shell.json("ls")["kinds"]}

    assert counted == {"conversations": 1, "notes": 1, "sessions": 1, "tasks": 3}
    assert shell("ls").stdout.splitlines()[0].split() == ["kind", "records", "size"]


def test_ls_shows_a_kind_without_a_manager(shell):
    assert ids(shell, "notes") == ["n1"]


def test_ls_shows_a_record_on_one_line_without_steering_the_terminal(shell):
    lines = shell("ls", "tasks").stdout.splitlines()

    assert len(lines) == 4
    assert "\x1b" not in "".join(lines)
    assert any("Line\\nbreak \\x1b[31m" in line for line in lines)


def test_ls_shows_of_a_kind_what_a_person_looks_for(shell):
    with Store(shell.store) as store:
        tasks = store.register(TaskManager())
        store.register(LogManager()).append_many("s1", ["one", "two"])
        store.load_all()
        tasks.create("Claimed", id="claimed", priority="high")
        store.save_all()
        tasks.claim_task("claimed", worker="ada")

        found = {one["id"]: one for one in shell.json("ls", "tasks")["records"]}
        header, *lines = (line.split() for line in shell("ls", "tasks").stdout.splitlines())

    columns = ["status", "priority", "worker"]
    assert [found["claimed"][name] for name in columns] == ["running", 10, "ada"]
    assert found["t1"]["worker"] is None
    assert header[5:] == [*columns, "title"]
    (line,) = (line for line in lines if line[0] == "claimed")
    assert line[5:] == ["running", "10", "ada", "Claimed"]
    assert [one["entries"] for one in shell.json("ls", "logs")["records"]] == [2]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("priority=5", ["t1"]),
        ("title=First of them", ["t1"]),
        ("metadata.deep.er=x", ["t2"]),
        ('metadata={"deep": {"er": "x"}}', ["t2"]),
        ("parent_id=null", ["T/3", "t1", "t2"]),
        ("priority=true", []),
        ("priority=five", []),
        ("revision=1", ["T/3", "t1", "t2"]),
        ("id=t1", ["t1"]),
    ],
)
def test_where_compares_as_text_and_as_json(shell, condition, found):
    assert sorted(ids(shell, "tasks", "--where", condition)) == found


def test_where_looks_into_lists(shell):
    assert ids(shell, "sessions", "--where", "tags=red") == ["s1"]
    assert ids(shell, "sessions", "--where", "tags.0=red") == ["s1"]
    assert ids(shell, "sessions", "--where", "tags=blue") == []


def test_all_conditions_must_hold(shell):
    assert ids(shell, "tasks", "--where", "status=pending", "--where", "priority=7") == ["t2"]


def test_a_field_that_no_record_has_is_noted(shell):
    result = shell("ls", "tasks", "--where", "priorty=5")

    assert result.stdout == ""
    assert "'priorty'" in result.stderr


def test_sort_and_limit(shell):
    assert ids(shell, "tasks", "--sort", "priority") == ["t1", "t2", "T/3"]
    assert ids(shell, "tasks", "--sort", "-priority", "--limit", "2") == ["T/3", "t2"]
    assert ids(shell, "tasks", "--sort", "-metadata.deep.er")[0] == "t2"
    assert len(ids(shell, "tasks", "--limit", "1")) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["tasks", "--where", "priority"],
        ["tasks", "--where", "=5"],
        ["tasks", "--limit", "0"],
        ["--sort", "id"],
        ["TASKS"],
    ],
)
def test_ls_refuses_what_makes_no_sense(shell, words):
    assert "error: " in shell("ls", *words, code=2).stderr


def test_an_unknown_kind_is_not_there(shell):
    result = shell("ls", "task", code=3)

    assert "tasks" in result.stderr
    assert shell.json("ls", "task", code=3)["error"]["type"] == "KindNotFound"
    assert ids(shell, "focus") == []


def test_ls_shows_the_rest_and_tells_what_cannot_be_read(broken):
    value = broken.json("ls", "tasks", code=7)

    assert sorted(one["id"] for one in value["records"]) == ["T/3", "t2"]
    assert [one["key"] for one in value["failures"]] == ["tasks/t1"]
    assert "failed: " in broken("ls", "tasks", code=7).stderr


def test_show_writes_the_document_alone_to_stdout(shell):
    result = shell("show", "tasks/t2")

    assert json.loads(result.stdout)["title"] == "Second of them"
    assert "revision 1" in result.stderr


def test_show_json_tells_all(shell):
    value = shell.json("show", "tasks/T/3")

    assert list(value) == ["key", "revision", "saved_at", "schema", "format", "path", "data"]
    assert (value["key"], value["revision"], value["data"]["priority"]) == ("tasks/T/3", 1, 20)


def test_show_raw_writes_the_bytes_of_the_file(broken):
    broken("convert", "--to", "gzip", "sessions")

    packed = broken("show", "sessions/s1", "--raw").stdout_bytes
    damaged = broken("show", "tasks/t1", "--raw").stdout_bytes

    assert packed == (broken.store / "sessions" / "s1.json.gz").read_bytes()
    assert damaged == b'{"kind": "tasks"'


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["tasks/none"], 3),
        (["nothing/none"], 3),
        (["tasks/t1"], 4),
        (["tasks"], 2),
        (["/t1"], 2),
        (["tasks/"], 2),
        (["TASKS/x"], 2),
        (["tasks/../sessions/s1"], 3),
        (["tasks/t2", "--raw", "--json"], 2),
        (["tasks/none", "--raw"], 3),
    ],
)
def test_show_of_what_cannot_be_shown(broken, words, code):
    result = broken("show", *words, code=code)

    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
