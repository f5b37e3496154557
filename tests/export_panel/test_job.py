from __future__ import annotations

import threading

import pytest

from workbench.export_panel.job import Job


class Log(list):
    def tell(self, text, seconds):
        self.append(("tell", text, seconds))

    def done(self, result, seconds):
        self.append(("done", result, seconds))


def run(work):
    log = Log()
    job = Job(work, log.tell, log.done)
    job.start()
    return job, log


def test_it_tells_its_progress_then_its_result():
    go = threading.Event()

    def work(progress, cancel):
        progress("half")
        go.wait(30)
        progress("whole")  # nobody is told any more
        return 7

    job, log = run(work)
    assert not job.wait(0.001)
    while not log:
        assert not job.wait(0.01)
    go.set()
    assert job.wait(30)
    assert log[0][:2] == ("tell", "half")
    assert [entry[:2] for entry in log if entry[0] == "done"] == [("done", 7)]
    assert log[-1][0] == "done"
    times = [entry[2] for entry in log]
    assert times == sorted(times)
    assert times[0] > 0


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(2)])
def test_what_it_raises_is_its_result(error):
    def work(progress, cancel):
        raise error

    job, log = run(work)
    assert job.wait(30)
    assert [entry[:2] for entry in log] == [("done", error)]


def test_cancel_reaches_it():
    job, log = run(lambda _, cancel: cancel.wait(30))
    job.cancel.set()
    assert job.wait(30)
    assert log[-1][:2] == ("done", True)
