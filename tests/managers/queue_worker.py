"""A worker at a queue, in a process of its own: queue_worker.py PATH NAME [DEATH].

It begins when it reads a line, and goes on until all tasks have ended. DEATH is when it kills
itself: "claims:3" after its third claim, "s:0.05" so many seconds after it began, wherever it is.
"""

import os
import signal
import sys
import threading

from statestore import Store
from statestore.managers import TaskManager

SESSION = "queue"


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def work(path, name, death=""):
    what, _, when = death.partition(":")
    with Store(path, source=name) as store:
        tasks = store.register(TaskManager())
        store.load_all()
        news = threading.Event()
        store.on_load(lambda _: news.set())
        store.watch(0.01)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        if what == "s":
            timer = threading.Timer(float(when), die)
            timer.daemon = True
            timer.start()
        claims = 0
        while True:
            news.clear()
            task = tasks.claim(SESSION, worker=name)
            if task is None:
                if tasks.progress(SESSION).all_done:
                    break
                news.wait(0.1)  # that somebody dies is no news
                continue
            claims += 1
            if death == f"claims:{claims}":
                die()
            tasks.complete(task, {"token": task.lease.token, "worker": name})


if __name__ == "__main__":
    work(*sys.argv[1:])
