"""The committer: many commits with one sync, each thread's in order, and nobody left waiting."""

import os
import signal
import threading
import warnings

import pytest

from statestore.journal.committer import Committer


class Collecting:
    """Makes nothing of requests but batches, the first of which waits until it is let go."""

    def __init__(self):
        self.batches = []
        self.began, self.go_on = threading.Event(), threading.Event()

    def make(self, batch):
        self.batches.append(list(batch))
        if len(self.batches) == 1:
            self.began.set()
            assert self.go_on.wait(30)


@pytest.fixture
def collecting():
    return Collecting()


@pytest.fixture
def committer(collecting):
    committer = Committer(collecting.make, "test-commits")
    yield committer
    collecting.go_on.set()
    committer.stop()


def test_all_that_gathers_while_a_batch_is_made_is_the_next_one(committer, collecting):
    committer.put("first")
    assert collecting.began.wait(30)
    threads = [
        threading.Thread(target=lambda name=name: [committer.put((name, n)) for n in range(50)])
        for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    collecting.go_on.set()
    committer.stop()

    [first, second] = collecting.batches
    assert first == ["first"]
    assert len(second) == 200
    for name in "abcd":
        assert [n for one, n in second if one == name] == list(range(50))


def test_stop_returns_when_all_is_made(committer, collecting):
    collecting.go_on.set()
    for number in range(100):
        assert committer.put(number)

    committer.stop()

    assert [one for batch in collecting.batches for one in batch] == list(range(100))


def test_what_comes_too_late_is_refused_instead_of_never_made(committer, collecting):
    collecting.go_on.set()
    committer.put("in time")
    committer.stop()

    assert not committer.put("too late")
    assert collecting.batches == [["in time"]]


def test_nothing_is_made_on_the_thread_that_asks(collecting):
    threads = []
    committer = Committer(lambda batch: threads.append(threading.current_thread()), "test-commits")
    committer.put(1)
    committer.stop()

    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon


def test_stop_without_a_request_begins_no_thread(collecting):
    before = threading.active_count()

    Committer(collecting.make, "test-commits").stop()

    assert threading.active_count() == before


def test_child_of_a_fork_does_not_wait_for_a_thread_that_it_has_not(committer, collecting):
    collecting.go_on.set()
    committer.put("a")
    assert collecting.began.wait(30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that a thread is there is the point
        pid = os.fork()
    if not pid:
        signal.alarm(20)
        committer.stop()
        os._exit(0)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
