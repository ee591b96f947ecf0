"""The bench runs, and tells people and programs what it measured; not how fast anything is."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench import slow_disk

ROOT = Path(__file__).parent.parent
CASES = [
    "change",
    "threads",
    "processes",
    "processes-2ms",
    "refresh",
    "seen",
    "message-100",
    "cold-save",
    "load",
]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    only = [part for name in CASES for part in ("--only", name)]
    arguments = ["--quick", "--rounds", "1", "--dir", str(folder), "--json", str(folder / "json")]
    return folder, subprocess.run(
        [sys.executable, "-m", "tests.bench", *arguments, *only],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_bench_runs_and_leaves_only_its_json(done):
    folder, process = done

    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    assert [path.name for path in folder.iterdir()] == ["json"]


def test_bench_says_what_it_was_run_on(done):
    folder, process = done

    machine = json.loads((folder / "json").read_text())["machine"]

    assert machine.keys() >= {"processors", "python", "kernel", "file system", "sqlite3", "lmdb"}
    assert all(f"{name:12} {value}" in process.stdout for name, value in machine.items())


def measured(cases):
    return [case for case in cases if slow_disk.NO_COMPILER not in case["notes"]]


def test_bench_judges_every_target_of_each_case(done):
    folder, process = done

    cases = json.loads((folder / "json").read_text())["cases"]

    assert [case["case"] for case in cases] == CASES
    for case in measured(cases):
        assert f"{case['case']}: {case['title']}" in process.stdout
        assert any(row["name"].startswith("statestore") for row in case["rows"])
        assert all(row["p10"] <= row["median"] <= row["p90"] for row in case["rows"])
        assert {target["verdict"] for target in case["targets"]} <= {
            "met",
            "missed",
            "not measured",
        }


def test_bench_measures_what_it_needs_no_other_package_for(done):
    folder, _ = done

    cases = json.loads((folder / "json").read_text())["cases"]
    targets = [target for case in measured(cases) for target in case["targets"]]

    assert all(one["value"] > 0 for one in targets if one["against"] != "lmdb")


def test_unknown_case_is_refused_with_the_known_ones():
    process = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--only", "nothing"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert process.returncode == 2
    assert "message-10000" in process.stderr


COUNTING = """
import os
from tests.bench.counting import Counted

os.makedirs(".statestore/journal")
counted = Counted()
with counted.watching(journal=True):
    for path in (".statestore/journal/1.log", "other"):
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        os.pwrite(fd, b"frame", 0)
        os.write(fd, memoryview(bytes(64)))
        os.fdatasync(fd)
        os.fsync(fd)
        os.fsync(fd)
os.fsync(fd)
print(counted.journal_writes, counted.syncs("fdatasync"), counted.syncs("fsync"))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells paths of files")
def test_counting_sees_syncs_and_what_grows_a_journal(tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", COUNTING],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert process.stderr == ""
    assert process.stdout.strip() == "[5] 2 4"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux loads it so")
@pytest.mark.parametrize(
    "call",
    [
        "os.fsync(fd)",
        "os.fdatasync(fd)",
        "mmap.mmap(fd, 8).flush()",
        "ctypes.CDLL(None).syncfs(fd)",
        "os.pwrite(os.open('file', os.O_WRONLY | os.O_DSYNC), b'x', 0)",
    ],
)
def test_slower_disk_is_slower_for_every_way_to_sync(tmp_path, call):
    environment = slow_disk.slower_disk(str(tmp_path))
    if environment is None:
        pytest.skip("no C compiler")
    opened = "fd = os.open('file', os.O_RDWR | os.O_CREAT); os.pwrite(fd, bytes(8), 0)"
    script = f"import ctypes, mmap, os; {opened}; {call}"

    subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, **environment},
        timeout=100,
        check=True,
    )

    began_ns = int.from_bytes((tmp_path / "flushes").read_bytes()[:8], sys.byteorder)
    assert 0 < began_ns < time.monotonic_ns() - slow_disk.ADDED_MS * 1_000_000
