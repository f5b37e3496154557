from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from synthetic import make_session

from workbench.cli.termination import EXIT_CODE, cleaning_up

# The command line with a format that has written everything, and then waits.
COMMAND = """\
import signal, sys, time
from dataclasses import replace
import workbench.formats as own
from workbench.cli import main

signal.signal(signal.SIGTERM, signal.SIG_DFL)  # where coverage is measured it has a handler
csv = own.formats()["csv"]

def slow(*arguments):
    csv.write(*arguments)
    arguments[1].flush()
    print("written", flush=True)
    time.sleep(60)

own.formats = lambda: {"csv": replace(csv, write=slow)}
if sys.argv.pop(1) == "named":
    own._appearing._without_name = lambda folder: None
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def nobody_handles_it():
    """Coverage does, where it is measured."""
    old = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, old)


@pytest.mark.parametrize("kind", ["named", "without a name"])
@pytest.mark.parametrize("old", [True, False])
def test_an_export_that_is_terminated_leaves_nothing(kind, old, tmp_path):
    session = make_session(tmp_path / "s.wb", rows=50)
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / "x.csv"
    if old:
        target.write_text("old")
    words = ["export", str(session), "--format", "csv", "--table", "cpu", "-o", str(target)]
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, kind, *words], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "written\n"
        assert (len(list(folder.glob("*.part"))) == 1) is (kind == "named")
        child.terminate()
        assert child.wait(60) == EXIT_CODE == 143
    assert [path.name for path in folder.iterdir()] == ["x.csv"] * old
    assert not old or target.read_text() == "old"


def test_the_rest_runs_with_the_handler_as_before():
    with cleaning_up():
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def terminated(during):
    """Return the exit code of a block in which SIGTERM arrives, once and once more."""
    cleaned = []
    with pytest.raises(SystemExit) as caught, cleaning_up():
        try:
            during()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0)
            cleaned.append(True)
    assert cleaned
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    return caught.value.code


def arrive():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def taken_for_nothing():
    try:
        arrive()
    except SystemExit:
        pass


def made_an_error():
    try:
        arrive()
    except SystemExit as error:
        raise ValueError("the library failed") from error


@pytest.mark.parametrize("during", [arrive, taken_for_nothing, made_an_error])
def test_the_exit_code_is_that_of_a_terminated_process(during):
    assert terminated(during) == EXIT_CODE


def test_other_errors_stay():
    with pytest.raises(ValueError, match="of its own"), cleaning_up():
        raise ValueError("of its own")


def test_who_ignores_it_or_is_no_main_thread_goes_on():
    old = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with cleaning_up():
            os.kill(os.getpid(), signal.SIGTERM)
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, old)
    found = []

    def other():
        with cleaning_up():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]
