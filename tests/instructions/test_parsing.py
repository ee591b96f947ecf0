"""Instructions: a text becomes the tasks that it asks for, and no word of it is lost."""

# ruff: noqa: E501, RUF001 - tables are easier to read in lines, and marks of other scripts are meant

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from statestore import ConfigurationError, Store
from statestore.instructions.prose import ADDING, FOLLOWING, JOINERS, OPENING
from statestore.managers import (
    TASK_TYPES,
    TYPE_ALIASES,
    Instruction,
    TaskManager,
    detect_type,
    parse_instructions,
    tasks,
    type_named,
)

TWELVE = [f"Item number {n}" for n in range(1, 13)]
ABC = ["a", "b", "c"]

LISTS = [
    ("\n".join(f"{n}. {item}" for n, item in enumerate(TWELVE, 1)), TWELVE),
    ("\n".join(f"{n}) {item}" for n, item in enumerate(TWELVE, 1)), TWELVE),
    ("\n".join(f"({n}) {item}" for n, item in enumerate(TWELVE, 1)), TWELVE),
    ("\n".join(f"{n}: {item}" for n, item in enumerate(TWELVE, 1)), TWELVE),
    ("\n".join(f"#{n} {item}" for n, item in enumerate(TWELVE, 1)), TWELVE),
    ("\n".join(f"{n} - {item}" for n, item in enumerate(TWELVE, 1)), TWELVE),
    ("\n".join(f"Task {n}: {item}" for n, item in enumerate(TWELVE, 1)), TWELVE),
    ("\n".join(f"- {item}" for item in TWELVE), TWELVE),
    ("3. a\n7. b\n100. c", ABC),
    ("- a\n - b\n  - below b\n- c", ABC),
    ("10. a\n9. b\n8. c", ABC),
    ("1. a\n1. b\n1. c", ABC),
    ("98. a\n99. b\n100. c", ABC),
    ("  9. a\n 10. b\n 11. c", ABC),
    ("1. a\r\n2. b\r\n3. c", ABC),
    ("1. a\r2. b\r3. c", ABC),
    ("\t1.\ta\n\t2.\tb\n\t3.\tc", ABC),
    ("1. a\n\n2. b\n\n\n3. c", ABC),
    ("1.\na\n2.\nb\n3.\nc", ABC),
    ("a) a\nb) b\nc) c", ABC),
    ("(a) a\n(b) b\n(c) c", ABC),
    ("A. a\nB. b\nC. c", ABC),
    ("i) a\nii) b\niii) c", ABC),
    ("* a\n+ b\n- c", ABC),
    ("• a\n•b\n‣ c", ABC),
    ("– a\n— b\n◦ c", ABC),
    ("- [ ] a\n- [x] b\n* [X] c", ABC),
    ("1. [ ] a\n2. [x] b\n3. [ ] c", ABC),
    ("[ ] a\n[x] b\n[ ] c", ABC),
    ("☐ a\n☑ b\n✅ c", ABC),
    ("Step 1: a\nStep 2 - b\nSTEP 10. c", ABC),
    ("Task one: a\ntask two: b\nTask #3: c", ABC),
    ("**Step 1:** a\n**Step 2:** b\n**Step 3**: c", ABC),
    ("## Task 1: a\n## Task 2: b\n## Task 3: c", ABC),
    ("١. a\n٢. b\n١٠. c", ABC),
    ("１．a\n２．b\n１０）c", ABC),
    ("1、a\n2、b\n3、c", ABC),
    ("① a\n② b\n③ c", ABC),
    ("1️⃣ a\n2️⃣ b\n3️⃣ c", ABC),
    ("\ufeff1. a\n\u200f2. b\n\u200e3. c", ABC),
    ("1. אבג\n2. דהו", ["אבג", "דהו"]),
    ("- 🚀 launch\n- 🐛 fix", ["🚀 launch", "🐛 fix"]),
    ("1.Fix the bug\n2.Add a test", ["Fix the bug", "Add a test"]),
    ("1) a 2) b 3) c", ABC),
    ("Please do: 1. a 2. b 3. c", ABC),
    ("a) a, b) b, c) c", ABC),
    ("Step 1: a. Step 2: b. Step 3: c", ["a.", "b.", "c"]),
    ("1. a\n\n---\n\n2. b\n***\n3. c\n-\n4.", ABC),
    ("Please do the following:\n- a\n- b\nAnd these:\n- c", ABC),
    ("# Plan\n## Backend\n- a\n- b\n## Frontend\n- c", ABC),
    ("# Add login\n# Add logout", ["Add login", "Add logout"]),
]

PROSE = [
    ("Fix the login bug", ["Fix the login bug"]),
    (
        "add tests, fix the bug, and update the docs",
        ["add tests", "fix the bug", "update the docs"],
    ),
    (
        "add tests, fix the bug and update the docs.",
        ["add tests", "fix the bug", "update the docs."],
    ),
    ("a; b; c", ABC),
    ("Fix the app's bug, add the users' page", ["Fix the app's bug", "add the users' page"]),
    (
        "Research quantum dots; analyse the results",
        ["Research quantum dots", "analyse the results"],
    ),
    ("Fix the following: a; b; c", ABC),
    ("In auth.py: add a test, fix the bug", ["add a test", "fix the bug"]),
    ("run lint, build docs, deploy app", ["run lint", "build docs", "deploy app"]),
    ("First, a it. Then fix it. Finally test it.", ["a it.", "fix it.", "test it."]),
    (
        "first add tests, then fix the bug, next update docs, after that commit it and finally push",
        ["add tests", "fix the bug", "update docs", "commit it", "push"],
    ),
    ("First: a\nSecond: b\nThird: c", ABC),
    ("First, a\n\nThen, b\n\nLastly, c", ABC),
    ("Read the log and then fix the bug", ["Read the log", "fix the bug"]),
    ("Read the log. Also add a test.", ["Read the log.", "add a test."]),
    ("fix the bug\nadd tests\n\nwrite docs", ["fix the bug", "add tests", "write docs"]),
    ("Get the file, then unzip it", ["Get the file", "unzip it"]),
    (
        "The store keeps its lock for longer than it has to, so that the\nothers wait. It should let go of it when it waits for the\nnetwork.",
        [
            "The store keeps its lock for longer than it has to, so that the others wait. It should let go of it when it waits for the network.",
        ],
    ),
]

# Real-looking requests, with what is easily taken for something else.
REQUESTS = [
    (
        "Hi! I'm working on a web app (see src/App.tsx). First, migrate it to TypeScript. It is small. Then set up the linter, and finally write a README.",
        ["migrate it to TypeScript. It is small.", "set up the linter", "write a README."],
    ),
    (
        "Bump next.js to 14.2.3, then fix whatever breaks; don't touch package.json by hand",
        ["Bump next.js to 14.2.3", "fix whatever breaks; don't touch package.json by hand"],
    ),
    (
        "Can you review the PR, check the error handling, and suggest improvements?",
        ["Can you review the PR", "check the error handling", "suggest improvements?"],
    ),
    (
        "Refactor `a, b; c`: split it up, remove dead code",
        ["split it up", "remove dead code"],
    ),
    (
        "Get https://example.com/a,b;c?x=1, then unzip it",
        ["Get https://example.com/a,b;c?x=1", "unzip it"],
    ),
    (
        'Add tests (unit, integration; e2e), fix the "first, then" bug',
        ["Add tests (unit, integration; e2e)", 'fix the "first, then" bug'],
    ),
    (
        "Rename foo to bar everywhere, and update imports. Don't forget the docs.",
        ["Rename foo to bar everywhere", "update imports. Don't forget the docs."],
    ),
    (
        "I have a Flask app.\n\nPlease fix these:\n1. login\n2. logout\n\nAdd tests for both.\n",
        ["login", "logout", "Add tests for both."],
    ),
    (
        "1. Upgrade to version 2. Then test it\n2. Release it",
        ["Upgrade to version 2. Then test it", "Release it"],
    ),
]

# Each stays one task, word for word.
WHOLE = [
    "upgrade to 2.0.1, not 2.1",
    "1.5 GB of memory are missing",
    "10:30 is when it fails",
    "2024-01-05 was when it failed, 12:30, port 8080",
    "10.0.0.1 does not answer, 10.0.0.2 does",
    "#412 crashes",
    "5 - 3 = 2",
    "-flag does nothing",
    "*important* fix",
    "A. Smith reported it",
    "Support dates such as Jan. 5, 2024, e.g. in reports, and 1,000 rows",
    "Use the first name, then-clauses, next.js, and finally blocks",
    "First name must be required",
    "Next release will add it. Last release did not.",
    "If the test fails, then fix it",
    "When the user logs in, show a banner, and hide the menu",
    "Add tests, if they fail, fix the bug",
    "Write a script to read the file, parse the lines, and print the sum",
    "Write a function that reads a file, then closes it",
    "Add a feature to let users log in, reset passwords, and delete accounts",
    "Add a report that will load rows, sort them, and print them",
    "Add user names, addresses, and first names",
    "Update the API, test suite, and docs",
    "Create the model, view and controller",
    "Build, test, and deploy the app",
    "Make it fast, simple, and clean",
    "Read a.py, b.py and c.py",
    "Change 'add a, then fix b' to “add c; fix d”",
    "I ran it. Then, I saw an error. Finally, it crashed.",
    "The lock is held too long; add a timeout",
    "Step 2 of the wizard is broken",
    "First, fix it.",
    "then",
    "\x00",
    "’; DROP TABLE tasks; --",
]


def titles(text):
    return [instruction.text for instruction in parse_instructions(text)]


@pytest.mark.parametrize(("text", "expected"), [*LISTS, *PROSE, *REQUESTS])
def test_each_thing_that_is_asked_for_is_a_task(text, expected):
    assert titles(text) == expected


@pytest.mark.parametrize("text", WHOLE)
def test_what_only_looks_like_a_list_stays_whole(text):
    assert titles(text) == [text]


@pytest.mark.parametrize("text", ["", " ", "\n\r\n\t", "\ufeff", "---\n***\n- \n1.\n", "\u200b"])
def test_a_text_without_a_word_asks_for_nothing(text):
    assert parse_instructions(text) == ()


def test_a_text_is_a_str():
    with pytest.raises(ConfigurationError, match="bytes"):
        parse_instructions(b"1. a")
    with pytest.raises(ConfigurationError, match="NoneType"):
        detect_type(None)


def test_an_instruction_reads_as_its_text():
    assert [str(one) for one in parse_instructions("1. Read\n   the file\n2. Write")] == [
        "Read the file",
        "Write",
    ]


def test_ticked_boxes_are_done():
    text = "- [ ] a\n- [x] b\n* [X] c\n☑ d\n☐ e\n1. [✓] f"

    done = [instruction.done for instruction in parse_instructions(text)]

    assert done == [False, True, True, True, False, True]


@pytest.mark.parametrize(
    ("text", "title", "details"),
    [
        ("1. Backend\n   - add it\n     - deep\n   - test it\n2. x", "Backend", "- add it\n  - deep\n- test it"),
        ("1. Backend\n\t* a\n\t* b\n2. x", "Backend", "* a\n* b"),
        ("1. Backend\n- a\n- b\n2. x\n- c", "Backend", "- a\n- b"),
        ("1. Backend\n\n- a\n- b\n\n2. x\n\n- c", "Backend", "- a\n- b"),
        ("- Backend\n  1. a\n  2. b\n- x", "Backend", "1. a\n2. b"),
        ("- a\n\n  More on a.\n\n- b", "a", "More on a."),
        ("- A.\nMore on it.\n- b", "A.", "More on it."),
        ("- a that is broken\n  in two, and\n  in three\n- b", "a that is broken in two, and in three", ""),
        ("Fix it\n  in a.py\n  in b.py", "Fix it", "in a.py\nin b.py"),
        ("## Task 1: Do x\nWith care.\n\n- a\n\n### Why\n- b\n## Task 2: y", "Do x", "With care.\n\n- a\n\n### Why\n- b"),
        ("Fix this error:\nTypeError: x\nat foo", "Fix this error:", "TypeError: x\nat foo"),
        ("Fix it\n> 1. quoted\n> 2. lines", "Fix it", "> 1. quoted\n> 2. lines"),
    ],
)  # fmt: skip
def test_lines_below_a_task_are_its_details(text, title, details):
    first = parse_instructions(text)[0]

    assert (first.text, first.details) == (title, details)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fix:\n```py\n1. a\n\n- b; c, then d\n```\nTest it", [("Fix:", "```py\n1. a\n\n- b; c, then d\n```"), ("Test it", "")]),
        ("1. Run\n   ```\n   2. no\n   ```\n2. Go", [("Run", "```\n2. no\n```"), ("Go", "")]),
        ("~~~\n- a\n```\n- b\n~~~\nExplain it", [("Explain it", "~~~\n- a\n```\n- b\n~~~")]),
        ("```\n- a\n- b\n```", [("```\n- a\n- b\n```", "")]),
        ("Fix:\n```\n- never closed\n- b", [("Fix:", "```\n- never closed\n- b")]),
        ("Run ```a; b; c``` now", [("Run ```a; b; c``` now", "")]),
    ],
)  # fmt: skip
def test_code_is_never_taken_apart(text, expected):
    found = [(instruction.text, instruction.details) for instruction in parse_instructions(text)]

    assert found == expected


def test_what_is_said_around_a_list_is_context_of_its_items():
    text = "# App\nIt is written in Flask.\n\nPlease fix:\n- login\n- logout\n\nThis must work on Windows.\n# Docs\n- guide"

    login, logout, guide = parse_instructions(text)

    assert login.context == logout.context
    assert login.context == (
        "App",
        "It is written in Flask.",
        "Please fix:",
        "This must work on Windows.",
    )
    assert guide.context == ("Docs",)


def test_what_leads_into_a_series_is_context_too():
    first, second = parse_instructions("I have a bug in a.py. First read it. Then fix it.")

    assert first.context == second.context == ("I have a bug in a.py.",)


def test_each_instruction_makes_a_task(tmp_path):
    assert tasks.parse_instructions is parse_instructions
    text = "Do this:\n1. [x] Write it\n   - well\n2. Test it \x00\U0001f600"

    with Store(tmp_path) as store:
        manager = store.register(TaskManager())
        for position, found in enumerate(parse_instructions(text)):
            manager.create(
                found.text, description=found.details, type=found.type, position=position
            )
        store.save_all()

    with Store(tmp_path) as store:
        manager = store.register(TaskManager())
        store.load_all()
        made = sorted(manager.all(), key=lambda task: task.position)
    assert [(task.title, task.description) for task in made] == [
        ("Write it", "- well"),
        ("Test it \x00\U0001f600", ""),
    ]


BITS = st.sampled_from(
    [
        *("1. ", "2. ", "10. ", "3) ", "(4) ", "#5 ", "6 - ", "a) ", "b. ", "- ", "* ", "• ", "[x] "),
        *("# ", "## ", "### ", "Task 1: ", "Step 2 - ", "**", "`", "```", "```\n", "> ", "| ", "---\n"),
        *("\n", "\n", "\n\n", "\r\n", "\r", " ", "   ", "\t", "\x00", "\u200f", "'", '"', "(", ")"),
        *("First, ", "then ", "and then ", "next, ", "finally ", "after that, ", "also ", "and "),
        *("; ", ", ", ". ", ": ", "you can ", "if ", "that ", "to ", "please ", "the following:\n"),
        *("add ", "fix the ", "test ", "https://", "1️⃣ ", "③ ", "１．"),
    ]
)  # fmt: skip
NAMES = st.integers(0, 99).map("word{}".format)
WORD = re.compile(r"[a-z]{2,}\d*")
LEFT_OUT = {
    *" ".join((*OPENING, *FOLLOWING, *ADDING, *JOINERS)).split(),
    *("task", "step"),
}


@given(st.lists(BITS | NAMES, max_size=40).map("".join))
@example("# a1\n1. ")
@example("some words:\n- ")
@example("- word1\n\nword2:\n\nword3")
@example("then and then")
def test_no_word_is_lost(text):
    found = parse_instructions(text)

    kept = set()
    for one in found:
        kept.update(WORD.findall("\n".join((one.text, one.details, *one.context)).casefold()))
        assert one.text
        assert one.text == one.text.strip()
        assert one.type in TASK_TYPES
    assert set(WORD.findall(text.casefold())) - kept <= LEFT_OUT


@given(st.text())
def test_any_text_is_read(text):
    found = parse_instructions(text)

    assert all(isinstance(one, Instruction) and one.text for one in found)
    assert found or not any(character.isalpha() for character in text)


@pytest.mark.parametrize(
    "piece",
    [
        *("a", " ", "\t", "(", "()", "'a ", '"', "`", "``` ", "-", "- ", "#", "# ", "*", "**1. ", "[ ] "),
        *("1. ", "1.", "9", "#1 ", "task ", "step 1: a ", "first add x, then ", "then ", "and ", "a; "),
        *("add a, ", "a: ", "a:\n", "://", "please ", "you want ", "if ", "when that is ", "\n", "# a\n"),
        *("- a\n\nb c\n\n", "- a\n\nAs:\n\n", "  - a\n", "```\n", "> a\n", "a\r", "é\u0301 ", "\x00"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("start", ["", "1. a\n"])
def test_a_hostile_text_takes_no_longer_than_its_length(start, piece):
    # A quadratic step would take minutes, which the time limit of a test does not allow.
    parse_instructions(start + piece * (100_000 // len(piece)))


def test_a_mixed_megabyte_is_read():
    lines = "1. add a, fix (the b), and then test it\n   - more\n\n# Part\nplease do; this: `x`\n"

    found = parse_instructions(lines * (1_000_000 // len(lines)))

    assert len(found) > 10_000


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("Implement a REST API", "coding"),
        ("Fix the login bug", "coding"),
        ("Write a function in Python", "coding"),
        ("FIX IT", "coding"),
        ("Write tests for the parser", "testing"),
        ("Add unit tests", "testing"),
        ("Document the API", "documentation"),
        ("Write a README", "documentation"),
        ("Refactor the parser", "refactoring"),
        ("Simplify the code of the parser", "refactoring"),
        ("Review the pull request", "review"),
        ("Do a code review", "review"),
        ("Analyze the performance of the app", "analysis"),
        ("Compare both drivers", "analysis"),
        ("Research quantum computing", "research"),
        ("Investigate options for storage", "research"),
        ("Why is the sky blue?", "reasoning"),
        ("Prove that it ends", "reasoning"),
        ("Buy milk", "general"),
        ("", "general"),
        ("latest protest contested decoded", "general"),
        ("日本語", "general"),
    ],
)
def test_the_words_tell_the_type(text, type_):
    assert detect_type(text) == type_


def test_a_narrow_type_wins_a_tie():
    assert detect_type("so: refactoring, testing", words={}) == "refactoring"
    assert detect_type("x", words={"review": {"x": 1}, "coding": {"x": 1}}) == "review"
    assert detect_type("x", words={"coding": {"x": 1}, "review": {"x": 1}}) == "review"
    assert detect_type("x", words={"own": {"x": 1}, "coding": {"x": 1}}) == "coding"


def test_a_word_said_often_counts_once():
    assert detect_type("Fix the bug: why, why, why, why") == "coding"


def test_a_host_adds_words_and_types():
    words = {"deployment": {"Roll  out": 3}, "coding": {"test": 0, "hack": 3}}

    assert detect_type("please ROLL OUT the app", words=words) == "deployment"
    assert detect_type("hack it", words=words) == "coding"
    assert [one.type for one in parse_instructions("- roll out\n- hack", words=words)] == [
        "deployment",
        "coding",
    ]
    assert detect_type("please roll out the tests") == "testing"


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        *((name, name.casefold()) for name in ("Coding", "Analysis", "Research", "Reasoning", "General")),
        *(("query", "research"), ("code_generation", "coding"), ("code_review", "review")),
        *(("refactoring", "refactoring"), ("testing", "testing"), ("custom", "general")),
        *(("documentation", "documentation"), ("CODE_REVIEW", "review"), ("codeReview", "review")),
        *((" Code Generation ", "coding"), ("code-review", "review"), ("Own Type", "Own Type")),
    ],
)  # fmt: skip
def test_a_type_is_known_by_the_names_of_others(name, type_):
    assert type_named(name) == type_


def test_aliases_stand_for_types():
    assert set(TYPE_ALIASES.values()) == set(TASK_TYPES)
    assert all(type_named(alias.upper()) == type_ for alias, type_ in TYPE_ALIASES.items())
