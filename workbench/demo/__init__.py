"""The bundled workload: a slow HTTP server, its client, and programs that know what they did.

``slow-api`` is one C program (``*.c`` beside this file, compiled by ``make``). Its mode ``demo``
runs a server with a slow, a CPU-heavy and a chatty endpoint and a client that asks a fixed mix of
questions, and ends by itself. Its modes ``burn``, ``calls`` and ``sleep`` do an exactly known
amount of work and print it as JSON: tests compare captures with that.

``python -m workbench.demo`` captures the workload and leaves a session, a report and an executed
notebook; see :mod:`workbench.demo.__main__`.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

from workbench.diagnosis import doctor
from workbench.errors import TargetError

BINARY = Path(__file__).with_name("slow-api")
"""The compiled program; ``make workload`` makes it, and wheels bring it along."""

DATASET = Path(__file__).parents[2] / "datasets" / "slow-api.wb"
"""A session of the demo, recorded by ``make dataset``; only checkouts have it."""

ORDERS = Path(__file__).with_name("orders.py")
"""The second workload: a Python job with three faults. It needs nothing but Python."""

ORDERS_DATASET = DATASET.with_name("orders.wb")
"""A session of it; ``make dataset`` records that, too."""

ORDERS_KINDS = {"cpu": {"hz": 999}, "offcpu": {}}

SHOP = Path(__file__).with_name("shop.py")
"""The third workload: a shop on loopback with a fault for each part of the system."""

SHOP_DATASET = DATASET.with_name("shop.wb")
"""A session of it; ``make dataset`` records that, too."""

SHOP_MEMORY_DATASET = DATASET.with_name("shop-memory.wb")
"""Another one, of its memory: recorded apart, as the probes for that slow it down."""

SHOP_SAMPLE_BYTES = 8192
"""Bytes between two sampled allocations: few, as the shop is small."""

SHOP_PROBES: dict[str, dict[str, Any]] = {
    "opened": {
        "probe": "tracepoint:syscalls:sys_enter_openat",
        "aggregate": ["count"],
        "by": ["file=str(filename)"],
    },
    "synced": {
        "probe": "uretprobe:libc:fsync",
        "aggregate": ["count", "hist(latency)"],
        "by": ["comm"],
    },
}
"""Two probes as a user would put them: which files are opened, how long libc's fsync takes."""

KINDS = ("cpu", "syscalls")
HZ = 999
"""Samples a second on each CPU: many enough for a flamegraph of five seconds."""


def program(*arguments: str) -> list[str]:
    """Return the command line of one mode of the bundled program.

    Parameters
    ----------
    *arguments : str
        Mode and options, as ``slow-api --help`` lists them.

    Returns
    -------
    list of str
        To be given to ``subprocess`` or to ``wb.capture(command=...)``.

    Raises
    ------
    TargetError
        The program was not compiled.
    """
    if not os.access(BINARY, os.X_OK):
        raise TargetError(
            "The bundled workload slow-api is not there.",
            why=f"{BINARY} does not exist or is not executable: it has not been compiled.",
            advice="Run `make workload` in the checkout (needs a C compiler), "
            "or install the package from a wheel.",
        )
    return [str(BINARY), *arguments]


def command(
    seconds: float = 5.0,
    *,
    requests: int | None = None,
    seed: int = 1,
    json: str | Path | None = None,
    quiet: bool = False,
) -> list[str]:
    """Return the command line of the demo: a server and a client that end together.

    Parameters
    ----------
    seconds : float
        How long the client asks.
    requests : int, optional
        End after this many requests instead.
    seed : int
        Seed of the mix of requests and of the pauses between them.
    json : path, optional
        Where the client's own summary goes: requests and latencies in milliseconds per endpoint.
    quiet : bool
        Do not print that summary.

    Returns
    -------
    list of str

    Raises
    ------
    TargetError
        The program was not compiled.
    """
    arguments = ["demo", "--seconds", f"{seconds:g}", "--seed", str(seed)]
    if requests is not None:
        arguments += ["--requests", str(requests)]
    if json is not None:
        arguments += ["--json", str(json)]
    if quiet:
        arguments.append("--quiet")
    return program(*arguments)


def orders_command(seconds: float = 4.0, *, python: str = sys.executable) -> list[str]:
    """Return the command line of the Python job.

    Parameters
    ----------
    seconds : float
        How long it starts new rounds.
    python : str
        Interpreter that runs it.

    Returns
    -------
    list of str
    """
    return [python, str(ORDERS), "--seconds", f"{seconds:g}"]


def shop_kinds(dns_port: int) -> dict[str, dict[str, Any]]:
    """Return what is captured of the shop, with parameters; its names are on a port of its own."""
    return {
        "sched": {},
        "locks": {"stacks": True},
        "files": {"regular": True},
        "block": {},
        "tcp": {},
        "dns": {"dns_port": dns_port},
        "http": {},
    }


def shop_command(dns_port: int, *, quiet: bool = False, python: str = sys.executable) -> list[str]:
    """Return the command line of the shop.

    Parameters
    ----------
    dns_port : int
        UDP port of its names, such as :func:`free_udp_port` returns.
    quiet : bool
        Do not print what was done.
    python : str
        Interpreter that runs it.

    Returns
    -------
    list of str
    """
    silent = ["--quiet"] if quiet else []
    return [python, str(SHOP), "--dns-port", str(dns_port), *silent]


def free_udp_port() -> int:
    """Return a UDP port of this host that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def why_not_live() -> str:
    """Return why the demo cannot be captured here and now; "" where it can.

    ``WORKBENCH_DEMO=dataset`` in the environment is a reason, too: it asks for the recorded
    session on a machine that could capture.
    """
    if os.environ.get("WORKBENCH_DEMO") == "dataset":
        return "WORKBENCH_DEMO=dataset asks for the recorded session."
    if not os.access(BINARY, os.X_OK):
        return "The bundled workload was not compiled."
    found = doctor()
    if found.ok:
        return ""
    missing = [check for check in found.checks if check.required and not check.ok]
    reasons = [f"{check.name}: {check.found or 'missing'}. {check.advice}" for check in missing]
    return "\n  ".join(["eBPF is not permitted here:", *reasons])
