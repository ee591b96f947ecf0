"""Ids that several processes make in the same moment."""

import os
import subprocess
import sys
import textwrap

SCRIPT = """
    import os
    import sys

    from statestore.records import ids

    ids.time.time_ns = lambda: 1_700_000_000_123_456_789  # a clock so coarse that it stands still
    ids.new_id()  # what it keeps is the same in both after the fork
    child = os.fork()
    made = [ids.new_id() for _ in range(3000)]
    assert made == sorted(made)
    if child:
        os.waitpid(child, 0)  # or their lines would be mixed
    print(*made, sep="\\n", flush=True)
    os._exit(0)
"""


def test_ids_of_processes_whose_clocks_show_the_same_time_differ(tmp_path):
    script = tmp_path / "work.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    processes = [
        subprocess.Popen(
            [sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]

    made = [id for process in processes for id in process.communicate(timeout=60)[0].split()]

    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(made) == 3 * 2 * 3000
    assert len(set(made)) == len(made)
