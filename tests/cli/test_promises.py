"""What every command promises: one JSON value, exit codes, nothing made by looking, help, pages."""

import contextlib
import json
import os
import pickle
import pty
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from statestore.cli import output, problems
from statestore.cli.root import root
from statestore.errors import StateStoreError

_TERMINAL = {"TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)}
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"


def commands(group=root, path=()):
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


COMMANDS = dict(commands())
RUNNABLE = {
    ("demo",): [],
    ("init",): [],
    ("info",): [],
    ("ls",): [],
    ("show",): ["tasks/t1"],
    ("import",): ["nowhere"],
    ("convert",): ["--to", "yaml"],
    ("backup", "create"): [],
    ("backup", "list"): [],
    ("backup", "verify"): ["nowhere"],
    ("backup", "restore"): ["nowhere", "--yes"],
    ("verify",): [],
    ("recover",): [],
    ("history",): [],
    ("stats",): [],
}


def test_every_command_is_tried_below():
    groups = {path for path, command in COMMANDS.items() if isinstance(command, click.Group)}
    assert set(RUNNABLE) == set(COMMANDS) - groups


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_option_has_help_and_is_on_the_page(path):
    command, page = COMMANDS[path], PAGE.read_text(encoding="utf-8")

    assert command.help
    assert f"statestore {' '.join(path)}" in page
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.opts
            assert all(f"`{word}" in page or f"[{word}" in page for word in parameter.opts)


def test_the_options_of_all_commands_have_help_and_are_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    for parameter in root.params:
        assert parameter.help
        assert all(f"`{word}" in page for word in parameter.opts)


def test_the_exit_codes_in_the_help_are_those_of_the_page(empty):
    told = re.findall(r"^ +(\d+)  ", empty("--help").stdout, re.MULTILINE)
    page = re.findall(r"^\| (\d+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert set(told) | {"141"} == set(page)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_no_short_help_is_cut(empty, path):
    assert "..." not in empty(*path, "--help").stdout


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("path", RUNNABLE, ids=" ".join)
def test_json_is_one_value_wherever_the_option_stands(shell, path, after):
    words = [*path, *RUNNABLE[path]]
    words = [*words, "--json"] if after else ["--json", *words]

    result = shell(
        *words,
        code={"import": 7, "verify": 3, "restore": 3}.get(path[-1], 0)
        if path[0] in ("import", "backup")
        else 0,
    )

    assert isinstance(json.loads(result.stdout), dict)


@pytest.mark.parametrize("path", set(RUNNABLE) - {("demo",), ("init",)}, ids=" ".join)
def test_no_command_makes_a_store_by_the_way(empty, tmp_path, path):
    words = [*path, *RUNNABLE[path]]

    result = empty(*words, code=3)
    error = empty.json(*words, code=3)["error"]

    assert result.stderr.startswith("error: ")
    assert error["exit_code"] == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [[], ["frob"], ["ls", "--frob"], ["show"], ["convert", "--to"], ["backup", "frob"]]
)
def test_wrong_words_end_with_two(shell, words):
    assert shell.json(*words, code=2)["error"]["exit_code"] == 2
    assert "Traceback" not in shell(*words, code=2).stderr


def test_store_may_stand_after_the_command_and_comes_from_the_environment(shell, monkeypatch):
    elsewhere = type(shell)("nowhere")
    assert elsewhere.json("ls", "--store", shell.store)["kinds"]

    monkeypatch.setenv("STATESTORE_PATH", "nowhere")
    from click.testing import CliRunner

    assert "'nowhere'" in CliRunner().invoke(root, ["ls"]).stderr
    monkeypatch.setenv("STATESTORE_PATH", str(shell.store))
    assert CliRunner().invoke(root, ["ls"]).exit_code == 0
    monkeypatch.delenv("STATESTORE_PATH")
    assert CliRunner().invoke(root, ["ls"]).exit_code == 0  # ./state, which it is


def test_verbose_tells_where_an_error_arose(shell):
    assert "Traceback" not in shell("show", "tasks/x", code=3).stderr
    assert "Traceback" in shell("-v", "show", "tasks/x", code=3).stderr
    assert "Traceback" in shell("show", "tasks/x", "-v", code=3).stderr


def test_a_fault_of_ours_is_told_in_one_line(shell, monkeypatch):
    def fail(_):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("statestore.cli.settings.Settings.open_to_read", fail)

    error = shell.json("ls", code=1)["error"]

    assert "ZeroDivisionError: by zero" in error["message"]


def test_interruption_ends_with_130(shell, monkeypatch):
    def fail(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("statestore.cli.settings.Settings.open_to_read", fail)

    assert shell("ls", code=130).stderr == "interrupted\n"


def test_a_disk_that_refuses_ends_with_six(shell, monkeypatch):
    def fail(_):
        raise PermissionError(13, "Permission denied", "somewhere")

    monkeypatch.setattr("statestore.cli.settings.Settings.open_to_read", fail)

    assert "somewhere: Permission denied" in shell("ls", code=6).stderr


def test_version(empty):
    assert empty("--version").stdout.startswith("statestore ")
    assert set(empty.json("--version")) == {"statestore", "python"}


ERRORS = [
    problems.KindNotFound("task", ["tasks"]),
    problems.BadKey("task"),
    problems.FormatSettled("state", "json", "yaml"),
    problems.NotConfirmed("the restore"),
    problems.DemoFailed("step", "one is one"),
    problems.OutputFailed("no space"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_pickle_and_are_of_the_tree(error):
    copy = pickle.loads(pickle.dumps(error))

    assert isinstance(error, StateStoreError)
    assert (vars(copy), str(copy)) == (vars(error), str(error))


def test_every_error_of_the_command_line_is_tried():
    own = [
        one
        for one in vars(problems).values()
        if isinstance(one, type) and one.__module__ == problems.__name__
    ]
    assert {type(error) for error in ERRORS} == set(own)


# --- processes ------------------------------------------------------------------------


def test_without_its_packages_it_says_what_to_install(process):
    for name in ("click", "rich"):
        code = (
            f"import sys; sys.modules[{name!r}] = None\n"
            "from statestore.cli.entry import main; sys.exit(main())"
        )
        done = process("ls", code=code)

        assert done.returncode == 2
        assert done.stdout == b""
        assert done.stderr.decode() == (
            "the command line needs packages that are not installed; "
            "install them with: pip install 'statestore[cli]'\n"
        )


def test_a_pipe_gets_neither_colour_nor_boxes(process, shell):
    for words in (["ls"], ["ls", "tasks"], ["stats"], ["show", "tasks/t1"], ["info"], ["--help"]):
        done = process("--store", shell.store, *words, env={"FORCE_COLOR": "1"})

        assert done.returncode == 0, done.stderr
        assert b"\x1b" not in done.stdout
        assert not re.search("[─-╿]", done.stdout.decode())


def test_rich_is_not_imported_for_a_pipe(process, shell):
    code = (
        "import sys\nfrom statestore.cli.entry import main\n"
        "code = main()\nsys.exit(9 if 'rich' in sys.modules else code)"
    )

    assert process("--store", shell.store, "ls", "tasks", code=code).returncode == 0


def test_the_demo_in_a_process_without_a_home(process, tmp_path):
    done = process("demo", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_reader_that_goes_away_is_no_error(shell):
    code = "from statestore.cli.entry import main; import sys; sys.exit(main())"
    words = [sys.executable, "-c", code, "--store", str(shell.store), "show", "tasks/t1"]
    running = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    running.stdout.close()

    errors = running.stderr.read()
    running.stderr.close()

    assert running.wait(timeout=60) == 141
    assert b"Traceback" not in errors
    assert b"Exception ignored" not in errors


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_an_output_that_cannot_be_written_is_an_error(shell):
    code = "from statestore.cli.entry import main; import sys; sys.exit(main())"
    words = [sys.executable, "-c", code, "--store", str(shell.store), "ls", "--json"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            words,
            stdout=full,
            stderr=subprocess.PIPE,
            env={"PYTHONPATH": str(Path(__file__).parents[2])},
            check=False,
            timeout=60,
        )

    assert done.returncode == 6
    assert done.stderr.startswith(b"error: cannot write the output: ")
    assert done.stderr.count(b"\n") == 1


def test_names_that_are_no_text_do_not_break_json(capfd):
    value = {"path": b"\xff.json".decode("utf-8", "surrogateescape"), "text": "a\x9b31m"}

    output.write_json(value)

    written = capfd.readouterr().out
    assert "\\udcff.json" in written
    assert "\\u009b31m" in written
    assert json.loads(written) == value


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ls t", ["tasks"]),
        ("show ta", ["tasks/"]),
        ("show tasks/", ["tasks/@manager", "tasks/T/3", "tasks/t1", "tasks/t2"]),
        ("show nothing/", []),
        ("convert --to g", ["gzip"]),
        ("ls --store nowhere ", []),
    ],
)
def test_completion(process, shell, typed, offered):
    (shell.store / "tasks" / "@manager.json").touch()
    line = f"statestore --store {shell.store} {typed}"
    done = process(
        env={
            "_STATESTORE_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
        }
    )

    found = [line.partition(",")[2] for line in done.stdout.decode().split("\n") if line]
    assert (done.returncode, done.stderr) == (0, b"")
    assert sorted(found) == offered


# --- a terminal -----------------------------------------------------------------------


def test_a_terminal_gets_the_last_column_cut_to_fit(monkeypatch, capsys):
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")

    output.table(("id", "title"), [("a", "x" * 100), ("b", "[red]not markup")])

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].rstrip().endswith("…")
    assert "[red]not markup" in lines[2]


def test_a_document_at_a_terminal_is_json_too(monkeypatch, capsys):
    monkeypatch.setattr(output, "is_terminal", lambda: True)

    output.write_document({"text": "a\x9b31m\x7f 漢"})

    shown = capsys.readouterr().out
    assert "\x9b" not in shown
    assert "漢" in shown
    assert json.loads(shown) == {"text": "a\x9b31m\x7f 漢"}


@pytest.mark.parametrize("words", [["verify"], ["convert", "--to", "yaml"], ["backup", "create"]])
def test_work_is_shown_on_a_terminal_and_wiped_away(shell, words):
    """A terminal for stderr only: what goes to stdout is the same as in a pipe."""
    reader, terminal = pty.openpty()
    command = [sys.executable, "-m", "statestore", "--store", str(shell.store), *words]
    try:
        result = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=terminal, env={**os.environ, **_TERMINAL}
        )
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(reader, 4096):
                shown += part
    finally:
        os.close(reader)

    assert result.returncode == 0
    assert b"\x1b" not in result.stdout
    assert re.search(rb"verifying|converting to yaml|backing up", shown)
    assert shown.rstrip().endswith(b"\x1b[2K")  # the line is wiped
