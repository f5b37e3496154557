"""The bundled workload against independent sources: strace, the clock, the process table."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from workbench import demo
from workbench.errors import TargetError

SOURCES = sorted(Path(demo.__file__).parent.glob("*.c"))
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")


@pytest.fixture(scope="module")
def slow_api(tmp_path_factory) -> str:
    """The program, compiled anew with every warning an error."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    binary = tmp_path_factory.mktemp("slow-api") / "slow-api"
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
    subprocess.run(["cc", *flags, *SOURCES, "-o", binary], check=True)
    return str(binary)


def run(*command: str, code: int = 0) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    return done.stdout


def alive(session: int) -> list[str]:
    """Names of the processes of a session that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = re.fullmatch(r"\d+ \((.*)\) (.*)\n", stat.read_text()).groups()
        except OSError:
            continue
        state, _ppid, _pgrp, its_session = rest.split()[:4]
        if int(its_session) == session and state not in "ZX":
            found.append(name)
    return found


def gone(session: int, patience: float = 5.0) -> bool:
    until = time.monotonic() + patience
    while alive(session):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


# ---- the Python side ----


def test_command_lists_its_options(monkeypatch, tmp_path):
    binary = tmp_path / "slow-api"
    binary.write_text("")
    binary.chmod(0o755)
    monkeypatch.setattr(demo, "BINARY", binary)
    assert demo.command(2.5, seed=3) == [str(binary), "demo", "--seconds", "2.5", "--seed", "3"]
    assert demo.command(1, requests=9, json="x")[-4:] == ["--requests", "9", "--json", "x"]
    assert demo.command(1, quiet=True)[-1] == "--quiet"


def test_command_without_the_binary_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "BINARY", tmp_path / "slow-api")
    with pytest.raises(TargetError, match="make workload"):
        demo.command()


# ---- demo ----


def test_demo_ends_by_itself_and_leaves_nothing(slow_api, tmp_path):
    summary = tmp_path / "summary.json"
    command = [slow_api, "demo", "--seconds", "1", "--json", summary]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    time.sleep(0.5)
    assert {"slow-api", "api-client"} <= set(alive(process.pid))
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert alive(process.pid) == []
    result = json.loads(summary.read_text())
    assert result["failed"] == 0
    assert result["requests"] == sum(e["requests"] for e in result["endpoints"])
    assert f"{result['requests']} requests" in output
    by_path = {e["path"]: e for e in result["endpoints"]}
    assert set(by_path) == {"/fast", "/slow", "/report", "/chatty"}
    assert by_path["/slow"]["p50_ms"] > 12  # it sleeps 12 ms, holding the lock


def test_number_and_mix_of_requests_are_fixed(slow_api, tmp_path):
    def mix() -> dict[str, int]:
        run(slow_api, "demo", "--requests", "60", "--clients", "1", "--json", f"{tmp_path}/s.json")
        result = json.loads((tmp_path / "s.json").read_text())
        return {e["path"]: e["requests"] for e in result["endpoints"]}

    first = mix()  # printed too, unless told to be quiet
    assert run(slow_api, "demo", "--requests", "2")
    assert not run(slow_api, "demo", "--requests", "2", "--quiet")
    assert sum(first.values()) == 60
    assert mix() == first


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_demo_and_its_children(slow_api, number):
    process = subprocess.Popen(
        [slow_api, "demo", "--seconds", "60"], stdout=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(0.3)
    process.send_signal(number)
    assert process.wait(10) == 128 + number
    assert alive(process.pid) == []


def test_killed_demo_takes_its_children_along(slow_api):
    process = subprocess.Popen(
        [slow_api, "demo", "--seconds", "60"], stdout=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(0.3)
    assert len(alive(process.pid)) == 3
    process.kill()
    process.wait(10)
    assert gone(process.pid)


@pytest.mark.parametrize("victim", ["api-client", "slow-api"])
def test_death_of_a_child_ends_the_demo(slow_api, victim):
    process = subprocess.Popen(
        [slow_api, "demo", "--seconds", "60"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(0.3)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    names = {Path(f"/proc/{child}/comm").read_text().strip(): int(child) for child in children}
    os.kill(names[victim], signal.SIGKILL)
    assert process.wait(20) != 0
    assert gone(process.pid)


# ---- serve ----


@pytest.fixture
def server(slow_api):
    with subprocess.Popen([slow_api, "serve"], stdout=subprocess.PIPE, text=True) as process:
        yield process, process.stdout.readline().split()[-1]
        process.terminate()
        assert process.wait(10) == 0


def test_serve_ends_well_as_soon_as_it_is_ready(slow_api):
    for _ in range(40):
        with subprocess.Popen([slow_api, "serve"], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            process.terminate()
            assert process.wait(10) == 0


@pytest.mark.parametrize("path", ["/fast", "/slow", "/report?rows=1000&seed=7", "/chatty"])
def test_endpoint_answers_json(server, path):
    with urlopen(server[1] + path, timeout=10) as answer:
        assert answer.status == 200
        assert json.load(answer)


def test_report_is_what_it_says(server):
    with urlopen(f"{server[1]}/report?rows=900&seed=7", timeout=10) as answer:
        rows = json.load(answer)["rows"]
    assert len(rows) == 100  # the last ones of 900, in pages of 400
    customers = [row["customer"] for row in rows]
    assert customers == sorted(customers)


def test_unknown_path_is_404(server):
    with pytest.raises(HTTPError) as caught:
        urlopen(f"{server[1]}/nonsense", timeout=10)
    assert caught.value.code == 404
    caught.value.close()


def test_threads_have_names(server):
    expected = [*(f"api-worker-{number}" for number in range(4)), "slow-api"]
    until = time.monotonic() + 5
    names: list[str] = []
    while names != expected and time.monotonic() < until:
        tasks = Path(f"/proc/{server[0].pid}/task").glob("*/comm")
        names = sorted(task.read_text().strip() for task in tasks)
    assert names == expected


def test_listens_on_loopback_only(server):
    port = int(server[1].rsplit(":", 1)[1])
    lines = Path(f"/proc/{server[0].pid}/net/tcp").read_text().splitlines()[1:]
    local = [line.split()[1] for line in lines if line.split()[3] == "0A"]  # LISTEN
    assert f"0100007F:{port:04X}" in local
    assert f"00000000:{port:04X}" not in local


def test_garbage_is_refused_and_the_server_lives(server):
    import socket

    host, port = server[1].removeprefix("http://").split(":")
    for garbage in (b"\0\1\2\r\n\r\n", b"POST /fast HTTP/1.1\r\n\r\n", b"x" * 5000):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(garbage)
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    with urlopen(f"{server[1]}/fast", timeout=10) as answer:
        assert answer.status == 200


# ---- wrong arguments ----


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["nonsense"], ["demo", "--seconds"], ["demo", "--seconds", "x"], ["demo", "--x", "1"],
        ["demo", "more"], ["demo", "--workers", "0"], ["demo", "--seconds", "-1"], ["load"],
        ["serve", "--port", "70000"], ["demo", "--seconds", "nan"],
    ],
)  # fmt: skip
def test_wrong_arguments_exit_with_2(slow_api, arguments):
    done = subprocess.run([slow_api, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage: slow-api" in done.stderr


def test_load_without_a_server_fails_clearly(slow_api):
    done = subprocess.run(
        [slow_api, "load", "--port", "1", "--seconds", "5"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "connect" in done.stderr


# ---- programs that know what they did ----


def test_burn_splits_three_to_one(slow_api):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    split = json.loads(run(slow_api, "burn", "--seconds", "1"))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert split["burn_three"] / split["burn_one"] == pytest.approx(3, rel=0.005)
    assert 0 <= split["three_held_up"] <= split["burn_three"]
    assert 0 <= split["one_held_up"] <= split["burn_one"]
    used = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    assert split["burn_three"] + split["burn_one"] == pytest.approx(used, abs=0.05)


@needs_strace
def test_calls_are_those_that_strace_sees(slow_api, tmp_path):
    trace = tmp_path / "trace"
    wanted = {"enoent": 11, "ebadf": 12, "eagain": 13, "einval": 14, "getppid": 15, "readv": 16}
    options = [word for name, count in wanted.items() for word in (f"--{name}", str(count))]
    told = json.loads(run("strace", "-f", "-o", str(trace), slow_api, "calls", *options))
    lines = trace.read_text().splitlines()
    assert [call["calls"] for call in told["calls"]] == list(wanted.values())
    assert told["readv_bytes"] == 16 * 7
    for call in told["calls"]:
        pattern = rf"\d+ +{call['syscall']}\(.*\) += " + (
            rf"-1 {call['error']} " if call["error"] else r"\d"
        )
        assert sum(bool(re.match(pattern, line)) for line in lines) == call["calls"], call
        assert os.strerror(call["errno"]) if call["errno"] else not call["error"]


@needs_strace
def test_sleeps_are_those_that_strace_sees(slow_api):
    done = subprocess.run(
        ["strace", "-f", "-c", "-U", "calls,name", slow_api, "sleep", "--count", "25", "--ns", "9"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(json.loads(done.stdout)) == 25
    assert re.search(r"^ *25 clock_nanosleep$", done.stderr, re.MULTILINE)
    # The clock is read without a system call, that of the CPU time is not.
    assert re.search(r"^ *50 clock_gettime$", done.stderr, re.MULTILINE)


def test_sleeps_take_what_they_should(slow_api):
    told = json.loads(run(slow_api, "sleep", "--count", "20", "--ns", "2000000"))
    assert len(told) == 20
    assert all(sleep["taken"] >= 2_000_000 and sleep["cpu"] > 0 for sleep in told)
    ends = [sleep["begin"] + sleep["taken"] for sleep in told]
    assert all(end < then["begin"] for end, then in zip(ends, told[1:], strict=False))
    assert all(sleep["voluntary"] + sleep["involuntary"] > 0 for sleep in told)


def test_sleep_of_nothing(slow_api):
    assert json.loads(run(slow_api, "sleep", "--count", "0")) == []
