"""Each example is short, says what it is for, and runs without a warning."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import statestore

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))


def test_the_first_five_are_there():
    assert {path.name[:2] for path in EXAMPLES} >= {"01", "02", "03", "04", "05"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short_and_says_what_it_is_for(path):
    source = path.read_text()

    assert len(source.splitlines()) < 60
    assert ast.get_docstring(ast.parse(source))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_without_a_warning_and_leaves_nothing(path, tmp_path):
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    work.mkdir()
    temporary.mkdir()
    root = str(Path(statestore.__file__).parent.parent)

    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        cwd=work,
        env={**os.environ, "PYTHONPATH": root, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(work.iterdir()) == []
    assert list(temporary.iterdir()) == []
