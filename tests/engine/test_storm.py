"""A storm of interruptions: at no moment does one tear memory from the store, or hang anybody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import statestore

STORM = Path(__file__).with_name("storm.py")


@pytest.mark.parametrize("driver", ["queue", "memory", "directory"])
def test_interruptions_leave_before_or_after(driver, tmp_path):
    root = str(Path(statestore.__file__).parent.parent)

    done = subprocess.run(
        [sys.executable, str(STORM), "250", driver, "7", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) >= 200
